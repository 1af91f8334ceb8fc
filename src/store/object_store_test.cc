#include "store/object_store.h"

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "store/testing/memory_store.h"

namespace bdn::store {
namespace {

using bdn::testing::ManualClock;
using testing::MemoryStore;

TEST(ObjectStore, KeysAreThoseOfTheFormat) {
  crypto::Digest digest;
  digest.bytes[0] = 0xab;
  digest.bytes[1] = 0xcd;
  EXPECT_EQ(FullKey({.org = "o", .ns = "n"}, digest),
            "bdn/o/n/objects/b3/ab/cd/abcd" + std::string(60, '0'));
}

TEST(ObjectStore, ContentTypesAreNeverGuessed) {
  for (const auto kind : {ObjectKind::kChunk, ObjectKind::kChunkmap, ObjectKind::kManifest}) {
    for (const bool zstd : {false, true}) {
      const auto parsed = ParseContentType(ContentType(kind, zstd));
      ASSERT_TRUE(parsed);
      EXPECT_EQ(parsed->kind, kind);
      EXPECT_EQ(parsed->zstd, zstd);
    }
  }
  EXPECT_EQ(ContentType(ObjectKind::kManifest, true),
            "application/vnd.baseten.bdn.manifest.v1+zstd");
  for (const auto* wrong :
       {"", "application/octet-stream", "application/vnd.baseten.bdn.chunk.v2",
        "application/vnd.baseten.bdn.chunk.v1+gzip", "application/vnd.baseten.bdn.slabmap.v1",
        "application/vnd.baseten.bdn.chunk.v1 ", "Application/vnd.baseten.bdn.chunk.v1"}) {
    EXPECT_EQ(ParseContentType(wrong).error().code(), Code::kUnsupported) << wrong;
  }
}

TEST(ObjectStore, ScopesThatCannotBePathSegmentsAreRefused) {
  EXPECT_TRUE(CheckScope({.org = "org-1", .ns = "a.b_c"}));
  for (const auto* bad : {"", ".", "..", ".hidden", "a/b", "a b", "a\n", "ü"}) {
    EXPECT_FALSE(CheckScope({.org = bad, .ns = "n"})) << bad;
    EXPECT_FALSE(CheckScope({.org = "o", .ns = bad})) << bad;
  }
  EXPECT_FALSE(CheckScope({.org = std::string(256, 'a'), .ns = "n"}));
}

TEST(ObjectStore, GetAllStopsAtItsLimit) {
  const ManualClock clock;
  const Context ctx(clock);
  MemoryStore store(clock);
  const Scope scope{.org = "o", .ns = "n"};
  const std::string text = "twelve bytes";
  const auto digest = crypto::Blake3Of(text);
  ASSERT_TRUE(store.Put(ctx, scope, ObjectKind::kChunk, digest, std::as_bytes(std::span(text))));
  EXPECT_EQ(*GetAll(ctx, store, scope, ObjectKind::kChunk, digest, 12), text);
  EXPECT_EQ(GetAll(ctx, store, scope, ObjectKind::kChunk, digest, 11).error().code(),
            Code::kResourceExhausted);
}

}  // namespace
}  // namespace bdn::store
