#pragma once
// Is what arrived what the publisher says it is? Fed with a whole file in order, on whatever thread
// has the bytes, while they are hot.
//
// Git names a blob by sha1("blob " + decimal length + "\0" + content) (git-scm.com, "Git Objects");
// Git LFS names content by its SHA-256 (git-lfs docs/spec.md). MD5, SHA-1 of the plain
// content and the CRCs are for object stores.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/hash.h"
#include "source/source.h"

namespace bdn::source {

// Begins every LFS pointer file.
inline constexpr std::string_view kLfsPointerPrefix = "version https://git-lfs.github.com/spec/v1";
// A pointer is about 130 bytes; the specification allows less than 1024.
inline constexpr std::uint64_t kLfsPointerBytesMax = 1024;
bool LooksLikeLfsPointer(std::string_view content);

// Not thread-safe; one per file and attempt.
class ContentVerifier {
 public:
  explicit ContentVerifier(const RemoteFile& file);

  void Update(std::span<const std::byte> bytes);

  // After the last byte. kCorrupt when the size or the publisher's hash differs, or when an LFS
  // pointer came instead of the content; the message names the file and both values. A file without
  // a publisher's hash is checked by its size.
  Status Finish();

  // A regular file that is itself an LFS pointer: published like that by mistake, delivered as it
  // is; worth a warning. True only after Finish.
  bool is_pointer_by_mistake() const { return pointer_by_mistake_; }

 private:
  const std::string path_;
  const std::uint64_t size_;
  const ContentHash kind_;
  const std::string expected_;
  std::optional<crypto::Hasher> hasher_;
  std::uint64_t seen_bytes_ = 0;
  std::string head_;  // the first bytes, as many as the prefix has
  bool pointer_by_mistake_ = false;
};

}  // namespace bdn::source
