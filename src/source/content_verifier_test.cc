#include "source/content_verifier.h"

#include <gtest/gtest.h>

namespace bdn::source {
namespace {

Status Verify(const RemoteFile& file, std::string_view content, std::size_t piece = 7) {
  ContentVerifier verifier(file);
  for (std::size_t at = 0; at < content.size(); at += piece) {
    verifier.Update(std::as_bytes(std::span(content.substr(at, piece))));
  }
  return verifier.Finish();
}

RemoteFile File(ContentHash kind, std::string hash, std::uint64_t size) {
  return {.path = "f", .size = size, .etag = {}, .version = {}, .hash_kind = kind, .hash = hash};
}

constexpr std::string_view kPointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nsize 0\n";

TEST(ContentVerifier, KnowsGitBlobs) {
  EXPECT_TRUE(
      Verify(File(ContentHash::kGitBlobSha1, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", 0), ""));
  const RemoteFile hello =
      File(ContentHash::kGitBlobSha1, "95d09f2b10159347eece71399a7e2e907ea3df4f", 11);
  EXPECT_TRUE(Verify(hello, "hello world"));
  const auto wrong = Verify(hello, "hello_world");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), Code::kCorrupt);
  EXPECT_NE(wrong.error().message().find(hello.hash), std::string::npos);
}

TEST(ContentVerifier, KnowsSha256AndMd5) {
  EXPECT_TRUE(Verify(File(ContentHash::kSha256,
                          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0),
                     ""));
  EXPECT_TRUE(Verify(File(ContentHash::kSha256,
                          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3),
                     "abc"));
  EXPECT_TRUE(Verify(File(ContentHash::kMd5, "900150983cd24fb0d6963f7d28e17f72", 3), "abc"));
  EXPECT_FALSE(Verify(File(ContentHash::kMd5, "900150983cd24fb0d6963f7d28e17f73", 3), "abc"));
}

TEST(ContentVerifier, KnowsWhatObjectStoresPublish) {
  const std::pair<ContentHash, std::string> of_digits[] = {
      {ContentHash::kSha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"},
      {ContentHash::kCrc32, "cbf43926"},
      {ContentHash::kCrc32c, "e3069283"},
      {ContentHash::kCrc64Nvme, "ae8b14860a799888"},
  };
  for (const auto& [kind, hash] : of_digits) {
    EXPECT_TRUE(Verify(File(kind, hash, 9), "123456789", 4)) << hash;
    const auto wrong = Verify(File(kind, hash, 9), "123456798");
    ASSERT_FALSE(wrong) << hash;
    EXPECT_EQ(wrong.error().code(), Code::kCorrupt);
    EXPECT_NE(wrong.error().message().find(hash), std::string::npos) << wrong.error().message();
  }
}

TEST(ContentVerifier, WithoutAHashTheSizeStillCounts) {
  EXPECT_TRUE(Verify(File(ContentHash::kNone, "", 3), "abc"));
  EXPECT_FALSE(Verify(File(ContentHash::kNone, "", 4), "abc"));
}

TEST(ContentVerifier, SaysThatAPointerCameInsteadOfTheContent) {
  const auto status = Verify(File(ContentHash::kSha256, std::string(64, 'a'), 1'000'000), kPointer);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kCorrupt);
  EXPECT_NE(status.error().message().find("Git LFS pointer"), std::string::npos);
}

TEST(ContentVerifier, DeliversAPointerThatWasCommittedByMistake) {
  RemoteFile file = File(ContentHash::kNone, "", kPointer.size());
  ContentVerifier verifier(file);
  verifier.Update(std::as_bytes(std::span(kPointer)));
  EXPECT_TRUE(verifier.Finish());
  EXPECT_TRUE(verifier.is_pointer_by_mistake());
}

}  // namespace
}  // namespace bdn::source
