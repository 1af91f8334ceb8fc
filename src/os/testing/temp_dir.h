#pragma once
#include <filesystem>
#include <string>
#include <system_error>

#include <stdlib.h>

#include "base/check.h"

namespace bdn::os::testing {

// A new directory below the system's temporary one, removed with all it holds.
class TempDir {
 public:
  TempDir() : path_(std::filesystem::temp_directory_path() / "bdn-test-XXXXXX") {
    BDN_CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bdn::os::testing
