#pragma once
// The repositories of the stand-in for the Hugging Face Hub: commits, branches and files, without
// HTTP.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fakes/content.h"

namespace bdn::fakes {

// Which files are kept as LFS objects: those of at least `bytes_min` and those with a suffix.
struct LfsRule {
  std::uint64_t bytes_min = 10'000'000;
  std::vector<std::string> suffixes = {".safetensors", ".onnx", ".bin"};
};

struct HubFile {
  ContentPtr content;
  std::string oid;     // of the git blob; for LFS that of the pointer
  std::string sha256;  // of the content; empty for a regular file
  bool lfs() const { return !sha256.empty(); }
  std::string pointer() const;  // what git holds for an LFS file
};
using HubTree = std::map<std::string, std::shared_ptr<const HubFile>>;

struct HubRepository {
  std::string kind = "models";  // "models", "datasets", "spaces"
  std::string id;               // "owner/name", or a name alone
  bool is_private = false;
  bool gated = false;
  bool disabled = false;

  std::map<std::string, std::shared_ptr<const HubTree>> commits = {};  // by full SHA
  std::map<std::string, std::string> refs = {};                        // branches, tags → SHA

  // A ref, a full SHA, or a unique beginning of at least seven digits.
  std::optional<std::string> FindRevision(std::string_view revision) const;
};

// Not thread-safe: HubFake guards it.
class HubStore {
 public:
  // kAlreadyExists, kInvalidArgument.
  Status Add(HubRepository repository);
  // Makes a commit on top of `branch` (which is made when it is not there) and moves it; with
  // `replace` the tree holds the changes alone. The SHA depends on parent and content only.
  Result<std::string> Commit(std::string_view kind,
                             std::string_view id,
                             const std::string& branch,
                             const std::map<std::string, std::shared_ptr<const HubFile>>& files,
                             const std::vector<std::string>& removed,
                             bool replace);
  // Points a branch or tag at a commit.
  Status SetRef(std::string_view kind,
                std::string_view id,
                const std::string& ref,
                const std::string& sha);
  // The old name answers with redirects from now on.
  Status Rename(std::string_view kind, std::string_view id, const std::string& new_id);

  HubRepository* Find(std::string_view kind, std::string_view id);
  const HubRepository* Find(std::string_view kind, std::string_view id) const;
  // The name that `id` is called today, when it is an old name or differs in case only.
  std::optional<std::string> RenamedTo(std::string_view kind, std::string_view id) const;
  // An LFS object of any repository.
  ContentPtr FindObject(std::string_view sha256) const;

 private:
  std::map<std::string, HubRepository> repositories_;  // "models/owner/name"
  std::map<std::string, std::string> renamed_;         // the same, old to new
  std::map<std::string, ContentPtr, std::less<>> objects_;
};

// Hashes the content, which may take long: outside of locks.
std::shared_ptr<const HubFile> MakeHubFile(std::string_view path,
                                           ContentPtr content,
                                           const LfsRule& rule);

}  // namespace bdn::fakes
