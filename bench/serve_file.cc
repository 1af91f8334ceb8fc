// Serves the files of a directory with net::Server, so that it can be measured beside other
// servers:
//
//   serve_file DIRECTORY [LISTEN] [WORKERS] [CERTIFICATE KEY]
//   serve_file /srv/models 127.0.0.1:8080 16
//
// Each file is opened once and stays open. Ends on SIGINT or SIGTERM with a drain.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "base/guarded.h"
#include "net/server.h"
#include "os/real_fs.h"

namespace {

using bdn::Result;
using bdn::Status;

struct OpenFile {
  std::unique_ptr<bdn::os::File> file;
  bdn::net::ServerResponse::Body body;
};

// Files by their path below the directory. What was opened once is never closed.
class Files {
 public:
  explicit Files(std::unique_ptr<bdn::os::Fs> fs) : fs_(std::move(fs)) {}
  Result<const OpenFile*> Get(const std::string& path) {
    if (const OpenFile* known = Find(path)) return known;
    auto opened = std::make_unique<OpenFile>();
    BDN_ASSIGN(opened->file, fs_->Open(path, bdn::os::OpenMode::kRead));
    BDN_ASSIGN(const bdn::os::FileInfo info, opened->file->Info());
    const auto ticks = info.modified.time_since_epoch().count();
    opened->body = {.file = opened->file.get(),
                    .size = info.size_bytes,
                    .etag = "\"" + std::to_string(info.inode) + "-" + std::to_string(ticks) + "\""};
    // Two threads may open the same file; the first one stays.
    open_.With([&](auto& open) { open.emplace(path, std::move(opened)); });
    return Find(path);
  }

 private:
  const OpenFile* Find(const std::string& path) const {
    return open_.With([&](const auto& open) -> const OpenFile* {
      const auto it = open.find(path);
      return it == open.end() ? nullptr : it->second.get();
    });
  }
  std::unique_ptr<bdn::os::Fs> fs_;
  bdn::Guarded<std::map<std::string, std::unique_ptr<OpenFile>>> open_;
};

int Fail(const bdn::Error& error) {
  std::fprintf(stderr, "serve_file: %s\n", error.message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: serve_file DIRECTORY [LISTEN] [WORKERS] [CERTIFICATE KEY]\n");
    return 2;
  }
  // Blocked before any thread starts, so that only sigwait below takes them.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  auto fs = bdn::os::OpenRealFs(argv[1]);
  if (!fs) return Fail(fs.error());
  Files files(*std::move(fs));
  bdn::net::Router router;
  router.Add("GET", "/{path...}",
             [&](bdn::net::ServerRequest& request, bdn::net::ServerResponse& response) -> Status {
               BDN_ASSIGN(const OpenFile* file, files.Get(std::string(request.param("path"))));
               return response.SendFile({}, file->body);
             });
  bdn::net::ServerOptions options;
  if (argc > 2) options.listen = argv[2];
  if (argc > 3) options.workers = static_cast<std::size_t>(std::atoi(argv[3]));
  if (argc > 5) options.tls = bdn::net::TlsOptions{argv[4], argv[5]};
  auto server = bdn::net::StartServer(std::move(options), std::move(router));
  if (!server) return Fail(server.error());
  std::printf("%s\n", (*server)->base_url().c_str());
  std::fflush(stdout);
  int received = 0;
  sigwait(&ends, &received);
  (*server)->Stop();
  return 0;
}
