#include "source/content_verifier.h"

#include <algorithm>

#include <fmt/format.h>

namespace bdn::source {
namespace {

std::optional<crypto::Hasher> MakeHasher(ContentHash kind, std::uint64_t size) {
  switch (kind) {
    case ContentHash::kNone:
      return std::nullopt;
    case ContentHash::kSha256:
      return crypto::Hasher(crypto::HashKind::kSha256);
    case ContentHash::kMd5:
      return crypto::Hasher(crypto::HashKind::kMd5);
    case ContentHash::kSha1:
      return crypto::Hasher(crypto::HashKind::kSha1);
    case ContentHash::kCrc32:
      return crypto::Hasher(crypto::HashKind::kCrc32);
    case ContentHash::kCrc32c:
      return crypto::Hasher(crypto::HashKind::kCrc32c);
    case ContentHash::kCrc64Nvme:
      return crypto::Hasher(crypto::HashKind::kCrc64Nvme);
    case ContentHash::kGitBlobSha1: {
      crypto::Hasher hasher(crypto::HashKind::kSha1);
      hasher.Update("blob " + std::to_string(size) + std::string(1, '\0'));
      return hasher;
    }
  }
  return std::nullopt;
}

std::string_view NameOf(ContentHash kind) {
  switch (kind) {
    case ContentHash::kNone:
      return "none";
    case ContentHash::kSha256:
      return "SHA-256";
    case ContentHash::kGitBlobSha1:
      return "git blob id";
    case ContentHash::kMd5:
      return "MD5";
    case ContentHash::kSha1:
      return "SHA-1";
    case ContentHash::kCrc32:
      return "CRC-32";
    case ContentHash::kCrc32c:
      return "CRC-32C";
    case ContentHash::kCrc64Nvme:
      return "CRC-64/NVME";
  }
  return "hash";
}

}  // namespace

bool LooksLikeLfsPointer(std::string_view content) {
  return content.size() < kLfsPointerBytesMax && content.starts_with(kLfsPointerPrefix);
}

ContentVerifier::ContentVerifier(const RemoteFile& file)
    : path_(file.path),
      size_(file.size),
      kind_(file.hash_kind),
      expected_(file.hash),
      hasher_(MakeHasher(file.hash_kind, file.size)) {}

void ContentVerifier::Update(std::span<const std::byte> bytes) {
  if (head_.size() < kLfsPointerPrefix.size()) {
    const auto take = std::min(bytes.size(), kLfsPointerPrefix.size() - head_.size());
    head_.append(reinterpret_cast<const char*>(bytes.data()), take);
  }
  seen_bytes_ += bytes.size();
  if (hasher_) hasher_->Update(bytes);
}

Status ContentVerifier::Finish() {
  const bool pointer = seen_bytes_ < kLfsPointerBytesMax && head_ == kLfsPointerPrefix;
  const std::string actual = hasher_ ? hasher_->FinishHex() : std::string();
  hasher_.reset();
  if (seen_bytes_ == size_ && actual == (kind_ == ContentHash::kNone ? "" : expected_)) {
    pointer_by_mistake_ = pointer;
    return {};
  }
  if (pointer && kind_ == ContentHash::kSha256) {
    return Error(Code::kCorrupt,
                 fmt::format("{}: the source sent the Git LFS pointer ({} bytes) instead of the "
                             "content ({} bytes): the large file was probably never uploaded; "
                             "tell the repository's owner",
                             path_, seen_bytes_, size_));
  }
  if (seen_bytes_ != size_) {
    return Error(Code::kCorrupt, fmt::format("{}: {} bytes arrived, the listing says {}", path_,
                                             seen_bytes_, size_));
  }
  return Error(Code::kCorrupt,
               fmt::format("{}: the content's {} is {}, the publisher says {}: it was damaged on "
                           "the way or at the source",
                           path_, NameOf(kind_), actual, expected_));
}

}  // namespace bdn::source
