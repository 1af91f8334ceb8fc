#include "mirror/tree_watch.h"

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "os/testing/memory_fs.h"

namespace bdn::mirror {
namespace {

class TreeWatchTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& content) {
    if (const auto slash = path.rfind('/'); slash != std::string::npos) {
      ASSERT_TRUE(os::MakeDirs(fs_, path.substr(0, slash)));
    }
    ASSERT_TRUE(os::WriteFileDurably(fs_, path, content));
  }
  // The names that are complete now, joined.
  std::string Look() {
    const auto found = watch_.Look(clock_.Monotonic());
    EXPECT_TRUE(found);
    std::string names;
    for (const auto& one : *found) names += one.name + "|";
    return names;
  }
  std::string LookAfter(Duration wait) {
    clock_.Advance(wait);
    return Look();
  }

  static constexpr Duration kQuiet = std::chrono::seconds(10);
  bdn::testing::ManualClock clock_;
  os::testing::MemoryFs fs_{&clock_};
  TreeWatch watch_{fs_, {.quiet = kQuiet}};
};

TEST_F(TreeWatchTest, ADirectoryIsCompleteWithItsMarkerAndAfterQuiet) {
  Write("checkpoint-1/model.safetensors", "w");
  EXPECT_EQ(Look(), "");
  EXPECT_EQ(LookAfter(kQuiet * 3), "") << "no marker";
  EXPECT_EQ(watch_.waiting(), 1u);
  Write("checkpoint-1/trainer_state.json", "{}");
  EXPECT_EQ(Look(), "") << "seen with its marker for the first time";
  EXPECT_EQ(LookAfter(kQuiet - std::chrono::nanoseconds(1)), "");
  EXPECT_EQ(LookAfter(std::chrono::nanoseconds(1)), "checkpoint-1|");
  EXPECT_EQ(Look(), "checkpoint-1|") << "until it is settled";
  watch_.Settle("checkpoint-1");
  EXPECT_EQ(LookAfter(kQuiet), "");
}

TEST_F(TreeWatchTest, EveryChangeBeginsTheQuietAnew) {
  Write("c/trainer_state.json", "{}");
  EXPECT_EQ(Look(), "");
  const auto changes = std::vector<std::function<void()>>{
      [&] { Write("c/model.safetensors", "w"); },   // a new file
      [&] { Write("c/model.safetensors", "ww"); },  // that grows
      [&] { Write("c/model.safetensors", "xx"); },  // of the same size, other content
      [&] { ASSERT_TRUE(fs_.SetMode("c/model.safetensors", 0600)); },
      [&] { ASSERT_TRUE(fs_.MakeDir("c/sub", 0755)); },
      [&] { Write("c/sub/deep", "1"); },
      [&] { ASSERT_TRUE(fs_.Remove("c/sub/deep")); },
      [&] { ASSERT_TRUE(fs_.Rename("c/model.safetensors", "c/other")); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    clock_.Advance(kQuiet / 2);
    changes[i]();
    EXPECT_EQ(LookAfter(kQuiet / 2), "") << i;
    EXPECT_EQ(LookAfter(kQuiet / 2), "") << i;
  }
  EXPECT_EQ(LookAfter(kQuiet), "c|");
}

TEST_F(TreeWatchTest, ARenamedInDirectoryWaitsLikeAnyOther) {
  Write("tmp-checkpoint-2/trainer_state.json", "{}");
  EXPECT_EQ(Look(), "");
  EXPECT_EQ(LookAfter(kQuiet * 2), "");
  ASSERT_TRUE(fs_.Rename("tmp-checkpoint-2", "checkpoint-2"));
  EXPECT_EQ(Look(), "");
  EXPECT_EQ(LookAfter(kQuiet), "checkpoint-2|");
}

TEST_F(TreeWatchTest, TheOldestContentComesFirst) {
  Write("checkpoint-9/trainer_state.json", "{}");
  clock_.Advance(std::chrono::seconds(1));
  Write("checkpoint-10/trainer_state.json", "{}");
  EXPECT_EQ(Look(), "");
  EXPECT_EQ(LookAfter(kQuiet), "checkpoint-9|checkpoint-10|");
}

TEST_F(TreeWatchTest, AMarkerThatGoesAwayTakesCompletenessWithIt) {
  Write("c/trainer_state.json", "{}");
  EXPECT_EQ(Look(), "");
  ASSERT_TRUE(fs_.Remove("c/trainer_state.json"));
  EXPECT_EQ(LookAfter(kQuiet), "");
  Write("c/trainer_state.json", "{}");
  EXPECT_EQ(LookAfter(kQuiet), "");
  EXPECT_EQ(LookAfter(kQuiet), "c|");
  watch_.StartOver("c");
  EXPECT_EQ(Look(), "");
  EXPECT_EQ(LookAfter(kQuiet), "c|");
}

TEST_F(TreeWatchTest, AMarkerOfOnesOwnReplacesTheCommonOnes) {
  TreeWatch watch(fs_, {.markers = {"DONE"}, .quiet = kQuiet});
  Write("a/trainer_state.json", "{}");
  Write("b/DONE", "");
  ASSERT_TRUE(watch.Look(clock_.Monotonic()));
  clock_.Advance(kQuiet);
  const auto found = watch.Look(clock_.Monotonic());
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->at(0).name, "b");
}

TEST_F(TreeWatchTest, SnapshotsAreEqualOnlyWhenNothingChanged) {
  Write("c/x/y", "1");
  Write("c/a", "22");
  const auto first = TakeSnapshot(fs_, "c");
  ASSERT_TRUE(first);
  ASSERT_EQ(first->entries.size(), 3u);
  EXPECT_EQ(first->entries[0].path, "a");
  EXPECT_EQ(first->entries[2].path, "x/y");
  EXPECT_TRUE(first->Has("x/y"));
  EXPECT_EQ(*TakeSnapshot(fs_, "c"), *first);
  clock_.Advance(std::chrono::nanoseconds(1));
  Write("c/a", "33");
  EXPECT_NE(*TakeSnapshot(fs_, "c"), *first);
  EXPECT_EQ(TakeSnapshot(fs_, "gone").error().code(), Code::kNotFound);
}

TEST(IsTemporaryName, KnowsWhatWaitsForARename) {
  for (const char* name : {".hidden", "tmp-checkpoint-1", "tmp_x", "c.tmp", "c-tmp", "c.partial",
                           "c.incomplete", "c.writing", "c~"}) {
    EXPECT_TRUE(IsTemporaryName(name)) << name;
  }
  for (const char* name : {"checkpoint-1", "template", "tmp", "final", "epoch=1-step=2"}) {
    EXPECT_FALSE(IsTemporaryName(name)) << name;
  }
}

}  // namespace
}  // namespace bdn::mirror
