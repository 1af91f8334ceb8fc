#include "store/secrets.h"

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "os/testing/faulty_fs.h"
#include "os/testing/memory_fs.h"
#include "store/sqlite_metadata.h"

namespace bdn::store {
namespace {

using bdn::testing::ManualClock;
using os::testing::FaultyFs;
using os::testing::MemoryFs;

class SecretVaultTest : public ::testing::Test {
 protected:
  ManualClock clock_;
  const std::unique_ptr<Metadata> metadata_ = *OpenSqliteMetadata(":memory:");
  SecretVault vault_{*metadata_, clock_, std::string(32, 'k')};
};

TEST_F(SecretVaultTest, ValuesComeBackByteForByteUnderEverySpellingOfTheName) {
  const std::string value(" hf_\0token\n\xff ", 14);
  ASSERT_TRUE(vault_.Set("org", "hf_access_token", value));
  EXPECT_EQ(*vault_.Get("org", "HF-ACCESS-TOKEN"), value);
  const auto list = vault_.List("org");
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ((*list)[0].name, "hf_access_token");
  EXPECT_EQ((*list)[0].updated_at, clock_.Now());
  ASSERT_TRUE(vault_.Set("org", "hf-access-token", "new"));
  EXPECT_EQ(*vault_.Get("org", "hf_access_token"), "new");
  ASSERT_TRUE(vault_.Delete("org", "hfaccesstoken"));
  EXPECT_EQ(vault_.Get("org", "hf_access_token").error().code(), Code::kNotFound);
}

TEST_F(SecretVaultTest, TheDatabaseNeverHoldsTheValue) {
  ASSERT_TRUE(vault_.Set("org", "token", "plaintext"));
  EXPECT_EQ(metadata_->GetSecret("org", "token")->sealed.find("plaintext"), std::string::npos);
}

TEST_F(SecretVaultTest, ASealedValueCannotBeMovedOrOpenedWithAnotherKey) {
  ASSERT_TRUE(vault_.Set("org", "token", "value"));
  SealedSecret moved = *metadata_->GetSecret("org", "token");
  ASSERT_TRUE(metadata_->PutSecret("org2", moved));
  EXPECT_EQ(vault_.Get("org2", "token").error().code(), Code::kCorrupt);
  moved.key = "other";
  ASSERT_TRUE(metadata_->PutSecret("org", moved));
  EXPECT_EQ(vault_.Get("org", "other").error().code(), Code::kCorrupt);
  SecretVault other(*metadata_, clock_, std::string(32, 'x'));
  const auto wrong = other.Get("org", "token");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), Code::kCorrupt);
  EXPECT_FALSE(wrong.error().hint().empty());
}

TEST_F(SecretVaultTest, NamesAndValuesHaveLimits) {
  for (const std::string& name : {std::string(), std::string("--"), std::string(257, 'a')}) {
    EXPECT_EQ(vault_.Set("org", name, "v").error().code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(vault_.Set("org", "a", "").error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(vault_.Set("org", "a", std::string(kSecretBytesMax, 'v')));
  const auto large = vault_.Set("org", "a", std::string(kSecretBytesMax + 1, 'v'));
  EXPECT_EQ(large.error().code(), Code::kInvalidArgument);
  EXPECT_EQ(large.error().message().find("vvv"), std::string::npos);
}

TEST(MasterKey, IsMadeOnceForItsOwnerOnly) {
  MemoryFs disk;
  const auto made = LoadOrCreateMasterKey(disk, "keys/master.key");
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->size(), 32u);
  EXPECT_EQ(disk.Stat("keys/master.key")->mode, 0600u);
  disk.DropUnsynced();
  EXPECT_EQ(*LoadOrCreateMasterKey(disk, "keys/master.key"), *made);
  EXPECT_NE(*LoadOrCreateMasterKey(disk, "other.key"), *made);
}

TEST(MasterKey, IsRefusedWhenOthersMayReadItOrItIsNoKey) {
  MemoryFs disk;
  ASSERT_TRUE(LoadOrCreateMasterKey(disk, "key"));
  ASSERT_TRUE(disk.SetMode("key", 0640));
  EXPECT_EQ(LoadOrCreateMasterKey(disk, "key").error().code(), Code::kFailedPrecondition);
  for (const std::string& text : {std::string(), std::string("abc"), std::string(63, 'a'),
                                  std::string(66, 'a'), std::string(64, 'g')}) {
    ASSERT_TRUE(os::WriteFileDurably(disk, "bad", text, 0600));
    EXPECT_EQ(LoadOrCreateMasterKey(disk, "bad").error().code(), Code::kCorrupt) << text;
  }
}

TEST(MasterKey, WhateverFailsAKeyThatWasHandedOutStays) {
  for (std::uint64_t n = 0;; ++n) {
    MemoryFs disk;
    FaultyFs faulty(disk.Share());
    faulty.FailAt(n);
    const auto made = LoadOrCreateMasterKey(faulty, "keys/key");
    const bool done = faulty.failures() == 0;
    disk.DropUnsynced();
    const auto again = LoadOrCreateMasterKey(disk, "keys/key");
    ASSERT_TRUE(again) << n << ": " << again.error().message();
    if (made) {
      EXPECT_EQ(*again, *made) << n;
    }
    if (done) break;
  }
}

}  // namespace
}  // namespace bdn::store
