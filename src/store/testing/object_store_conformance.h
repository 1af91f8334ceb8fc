#pragma once
// What every ObjectStore does. Instantiate it with a factory of empty ones, whose ages follow the
// clock that they are given:
//   INSTANTIATE_TEST_SUITE_P(X, ObjectStoreConformance, ::testing::Values(StoreFactory{...}));
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "crypto/blake3.h"
#include "store/object_store.h"

namespace bdn::store::testing {

struct StoreFactory {
  std::string name;
  std::function<std::unique_ptr<ObjectStore>(const Clock&)> make;
};
inline std::ostream& operator<<(std::ostream& out, const StoreFactory& factory) {
  return out << factory.name;
}

class ObjectStoreConformance : public ::testing::TestWithParam<StoreFactory> {
 protected:
  using Digest = crypto::Digest;
  Result<bool> Put(const Scope& scope, ObjectKind kind, const std::string& text) {
    return store_->Put(ctx_, scope, kind, crypto::Blake3Of(text), std::as_bytes(std::span(text)));
  }
  Digest MustPut(const std::string& text, ObjectKind kind = ObjectKind::kChunk) {
    const auto put = Put(scope_, kind, text);
    EXPECT_TRUE(put) << put.error().message();
    return crypto::Blake3Of(text);
  }
  Result<std::string> Read(const Digest& digest, ObjectKind kind = ObjectKind::kChunk) {
    return GetAll(ctx_, *store_, scope_, kind, digest, 64u << 20);
  }
  std::map<std::pair<Scope, Digest>, ObjectInfo> All() {
    std::map<std::pair<Scope, Digest>, ObjectInfo> all;
    EXPECT_TRUE(store_->List(ctx_, [&](const Scope& scope, const ObjectInfo& info) -> Status {
      EXPECT_TRUE(all.emplace(std::pair(scope, info.digest), info).second) << "listed twice";
      return {};
    }));
    return all;
  }
  template <class R>
  static Code CodeOf(const R& result) {
    EXPECT_FALSE(result) << "unexpected success";
    return result ? Code::kInternal : result.error().code();
  }

  const Scope scope_{.org = "org", .ns = "ns"};
  bdn::testing::ManualClock clock_;
  const Context ctx_{clock_};
  std::unique_ptr<ObjectStore> store_ = GetParam().make(clock_);
};

TEST_P(ObjectStoreConformance, EveryKindComesBackByteForByte) {
  const std::string long_text(700'001, 'w');
  for (const ObjectKind kind : {ObjectKind::kChunk, ObjectKind::kChunkmap, ObjectKind::kManifest}) {
    for (const std::string& base : {std::string(), std::string("\0\1\2", 3), long_text}) {
      const std::string text = base + std::string(KindName(kind));
      const Digest digest = MustPut(text, kind);
      EXPECT_EQ(*Read(digest, kind), text);
      const auto info = store_->Stat(ctx_, scope_, digest);
      ASSERT_TRUE(info);
      EXPECT_EQ(info->kind, kind);
      EXPECT_EQ(info->digest, digest);
    }
  }
  EXPECT_EQ(*Read(MustPut("")), "");
}

TEST_P(ObjectStoreConformance, WhatIsNotThereIsNotFound) {
  const Digest digest = crypto::Blake3Of("x");
  EXPECT_EQ(CodeOf(Read(digest)), Code::kNotFound);
  EXPECT_EQ(CodeOf(store_->Stat(ctx_, scope_, digest)), Code::kNotFound);
  EXPECT_EQ(CodeOf(store_->Open(ctx_, scope_, digest)), Code::kNotFound);
  EXPECT_FALSE(*store_->Touch(ctx_, scope_, digest));
  EXPECT_TRUE(store_->Delete(ctx_, scope_, digest));
  EXPECT_FALSE(*store_->DeleteIfOlder(ctx_, scope_, digest, WallTime::max()));
  EXPECT_TRUE(All().empty());
}

TEST_P(ObjectStoreConformance, BytesThatAreNotTheDigestsAreRefused) {
  const std::string text = "text";
  EXPECT_EQ(CodeOf(store_->Put(ctx_, scope_, ObjectKind::kChunk, crypto::Blake3Of("other"),
                               std::as_bytes(std::span(text)))),
            Code::kCorrupt);
  EXPECT_TRUE(All().empty());
}

TEST_P(ObjectStoreConformance, ScopesDoNotShare) {
  const Digest digest = MustPut("secret");
  for (const Scope& other : {Scope{.org = "org", .ns = "ns2"}, Scope{.org = "org2", .ns = "ns"}}) {
    EXPECT_EQ(CodeOf(store_->Stat(ctx_, other, digest)), Code::kNotFound);
    EXPECT_TRUE(*Put(other, ObjectKind::kChunk, "secret"));
    ASSERT_TRUE(store_->Delete(ctx_, other, digest));
  }
  EXPECT_EQ(*Read(digest), "secret");
  EXPECT_EQ(CodeOf(Put({.org = "..", .ns = "ns"}, ObjectKind::kChunk, "x")),
            Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(store_->Stat(ctx_, {.org = "a/b", .ns = "ns"}, digest)), Code::kInvalidArgument);
}

TEST_P(ObjectStoreConformance, OneDigestHasOneKind) {
  const Digest digest = MustPut("both", ObjectKind::kManifest);
  EXPECT_EQ(CodeOf(Put(scope_, ObjectKind::kChunk, "both")), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(Read(digest, ObjectKind::kChunk)), Code::kCorrupt);
  EXPECT_EQ(*Read(digest, ObjectKind::kManifest), "both");  // asking wrongly did no harm
}

TEST_P(ObjectStoreConformance, PuttingAgainRenewsTheAge) {
  const Digest digest = MustPut("x");
  const WallTime first = store_->Stat(ctx_, scope_, digest)->stored_at;
  EXPECT_EQ(first, clock_.Now());
  clock_.Advance(std::chrono::hours(1));
  EXPECT_FALSE(*Put(scope_, ObjectKind::kChunk, "x"));
  EXPECT_EQ(store_->Stat(ctx_, scope_, digest)->stored_at, first + std::chrono::hours(1));
  clock_.Advance(std::chrono::hours(1));
  EXPECT_TRUE(*store_->Touch(ctx_, scope_, digest));
  EXPECT_EQ(store_->Stat(ctx_, scope_, digest)->stored_at, first + std::chrono::hours(2));
}

TEST_P(ObjectStoreConformance, PutChunksStoresEachAndRenewsWhatIsThere) {
  for (const int count : {0, 1, 100}) {
    std::vector<std::string> texts;
    for (int i = 0; i < count; ++i) {
      texts.push_back("many " + std::to_string(count) + "/" + std::to_string(i % 90));
    }
    if (count > 0) MustPut(texts[0]);
    clock_.Advance(std::chrono::hours(1));
    std::vector<ChunkBytes> chunks;
    for (const auto& text : texts) {
      chunks.push_back({.digest = crypto::Blake3Of(text), .bytes = std::as_bytes(std::span(text))});
    }
    ASSERT_TRUE(store_->PutChunks(ctx_, scope_, chunks));
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(*Read(chunks[i].digest), texts[i]);
      EXPECT_EQ(store_->Stat(ctx_, scope_, chunks[i].digest)->stored_at, clock_.Now());
    }
  }
}

TEST_P(ObjectStoreConformance, PutChunksRefusesWhatPutRefuses) {
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) texts.push_back("chunk " + std::to_string(i));
  std::vector<ChunkBytes> chunks;
  for (const auto& text : texts) {
    chunks.push_back({.digest = crypto::Blake3Of(text), .bytes = std::as_bytes(std::span(text))});
  }
  EXPECT_EQ(CodeOf(store_->PutChunks(ctx_, {.org = "..", .ns = "ns"}, chunks)),
            Code::kInvalidArgument);
  const Digest manifest = MustPut(texts[3], ObjectKind::kManifest);
  EXPECT_EQ(CodeOf(store_->PutChunks(ctx_, scope_, chunks)), Code::kFailedPrecondition);
  ASSERT_TRUE(store_->Delete(ctx_, scope_, manifest));
  chunks[7].digest = crypto::Blake3Of("other");
  EXPECT_EQ(CodeOf(store_->PutChunks(ctx_, scope_, chunks)), Code::kCorrupt);
  EXPECT_EQ(CodeOf(Read(chunks[7].digest)), Code::kNotFound);
}

TEST_P(ObjectStoreConformance, TouchAllRenewsAllOrNamesTheMissing) {
  std::vector<Digest> digests;
  for (int i = 0; i < 100; ++i) digests.push_back(MustPut(std::to_string(i)));
  clock_.Advance(std::chrono::hours(1));
  EXPECT_EQ(*store_->TouchAll(ctx_, scope_, digests), std::nullopt);
  for (const Digest& digest : digests) {
    EXPECT_EQ(store_->Stat(ctx_, scope_, digest)->stored_at, clock_.Now());
  }
  ASSERT_TRUE(store_->Delete(ctx_, scope_, digests[70]));
  EXPECT_EQ(*store_->TouchAll(ctx_, scope_, digests), digests[70]);
  EXPECT_EQ(*store_->TouchAll(ctx_, scope_, std::span(digests).subspan(70, 1)), digests[70]);
  EXPECT_EQ(*store_->TouchAll(ctx_, scope_, {}), std::nullopt);
  EXPECT_EQ(CodeOf(store_->TouchAll(ctx_, {.org = "..", .ns = "ns"}, digests)),
            Code::kInvalidArgument);
}

TEST_P(ObjectStoreConformance, DeleteIfOlderSparesTheYoung) {
  const Digest digest = MustPut("x");
  const WallTime stored = clock_.Now();
  EXPECT_FALSE(*store_->DeleteIfOlder(ctx_, scope_, digest, stored));
  EXPECT_EQ(*Read(digest), "x");
  EXPECT_TRUE(*store_->DeleteIfOlder(ctx_, scope_, digest, stored + std::chrono::seconds(1)));
  EXPECT_EQ(CodeOf(Read(digest)), Code::kNotFound);
  EXPECT_TRUE(*Put(scope_, ObjectKind::kChunk, "x"));
}

TEST_P(ObjectStoreConformance, ListsEveryObjectOnce) {
  std::map<Digest, ObjectKind> expected;
  for (int i = 0; i < 20; ++i) {
    const ObjectKind kind = i % 2 == 0 ? ObjectKind::kChunk : ObjectKind::kManifest;
    expected[MustPut(std::to_string(i), kind)] = kind;
  }
  ASSERT_TRUE(Put({.org = "org2", .ns = "n"}, ObjectKind::kChunk, "0"));
  const auto all = All();
  EXPECT_EQ(all.size(), 21u);
  for (const auto& [digest, kind] : expected) EXPECT_EQ(all.at({scope_, digest}).kind, kind);
  EXPECT_EQ(CodeOf(store_->List(ctx_,
                                [](const Scope&, const ObjectInfo&) -> Status {
                                  return Error(Code::kTimeout, "enough");
                                })),
            Code::kTimeout);
}

TEST_P(ObjectStoreConformance, AnErrorOfTheSinkEndsGetAndDoesNoHarm) {
  const Digest digest = MustPut("x");
  EXPECT_EQ(CodeOf(store_->Get(ctx_, scope_, ObjectKind::kChunk, digest,
                               [](auto) -> Status { return Error(Code::kCorrupt, "mine"); })),
            Code::kCorrupt);
  EXPECT_EQ(*Read(digest), "x");
}

TEST_P(ObjectStoreConformance, AnOpenObjectOutlivesItsName) {
  const std::string text = "opened";
  const Digest digest = MustPut(text);
  auto object = store_->Open(ctx_, scope_, digest);
  if (!object) {
    EXPECT_EQ(object.error().code(), Code::kUnsupported);
    return;
  }
  ASSERT_TRUE(store_->Delete(ctx_, scope_, digest));
  std::string got(object->info.stored_bytes, ' ');
  ASSERT_EQ(*object->file->ReadAt(object->offset, std::as_writable_bytes(std::span(got))), 6u);
  EXPECT_EQ(got, text);
}

TEST_P(ObjectStoreConformance, ACancelledContextDoesNothing) {
  std::stop_source stop;
  stop.request_stop();
  const Context cancelled(clock_, stop.get_token());
  const std::string text = "x";
  EXPECT_EQ(CodeOf(store_->Put(cancelled, scope_, ObjectKind::kChunk, crypto::Blake3Of(text),
                               std::as_bytes(std::span(text)))),
            Code::kCancelled);
  EXPECT_TRUE(All().empty());
}

TEST_P(ObjectStoreConformance, ManyThreadsPutTheSame) {
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          EXPECT_EQ(*Read(MustPut(std::to_string(i))), std::to_string(i));
        }
      });
    }
  }
  EXPECT_EQ(All().size(), 20u);
}

}  // namespace bdn::store::testing
