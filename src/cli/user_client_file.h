#pragma once
// client.json in the user's configuration directory: where commands without options look first.
#include <string>

#include "cli/app.h"

namespace bdn::cli {

// Held by a control plane while it serves. The file names it from Claim to the destructor, which
// removes the file if nobody else has written it since.
class UserClientFile {
 public:
  // Writes `mine` unless the file names another control plane that answers; then, or when it cannot
  // be written, a warning says how commands reach this one, whose own file is in `data`.
  static UserClientFile Claim(const App& app, const ClientFile& mine, const std::string& data);
  UserClientFile(UserClientFile&& from) noexcept;
  UserClientFile& operator=(UserClientFile&&) = delete;
  ~UserClientFile();

 private:
  UserClientFile() = default;

  std::string path_;  // empty: not ours
  std::string text_;
};

}  // namespace bdn::cli
