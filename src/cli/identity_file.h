#pragma once
// The identity token of a running server as a file in memory that is always good: written before
// the server starts, replaced by rename well before it ends, removed with the run.
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "api/identity.h"
#include "base/context.h"
#include "base/result.h"
#include "os/fs.h"

namespace bdn::cli {

class IdentityFile {
 public:
  using Fetch = std::function<Result<api::IdentityTokenBody>(const Context&)>;

  // Fetches the first token and writes it below `parent` (a directory in memory) in a directory of
  // its own that only this user can enter; the file can only be read.
  // Errors: of `fetch` and of the file system.
  static Result<std::unique_ptr<IdentityFile>> Make(const Context& ctx,
                                                    Fetch fetch,
                                                    const std::string& parent = "/dev/shm");
  // Stops renewing and removes the file.
  ~IdentityFile();

  const std::string& path() const { return path_; }
  // Fetches and replaces once. Gives how long to wait before the next time: two thirds of what the
  // token has left, or after a failure a tenth of what the old one has left, within 1 to 60 s; the
  // old token then stays.
  Duration Renew(const Context& ctx);
  // Renews from a thread of its own until the object goes. Call it once.
  void KeepFresh(const Context& ctx);

 private:
  IdentityFile(Fetch fetch, std::string dir);
  Result<Duration> Replace(const Context& ctx);

  const Fetch fetch_;
  const std::string dir_;
  const std::string path_;
  std::unique_ptr<os::Fs> fs_;
  WallTime ends_at_{};
  std::jthread renewer_;
};

}  // namespace bdn::cli
