#include "source/testing/memory_source.h"

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "source/testing/faulty_source.h"
#include "source/testing/source_conformance.h"

namespace bdn::source::testing {
namespace {

struct MemoryFixture {
  void Publish(const std::string& path, const std::string& content) {
    memory.Publish(path, content);
  }
  Source& source() { return memory; }
  const Context& context() { return ctx; }
  bdn::testing::ManualClock clock;
  Context ctx{clock};
  MemorySource memory;
};

// A FaultySource without a plan is the other source.
struct TransparentFixture : MemoryFixture {
  Source& source() { return faulty; }
  FaultySource faulty{memory, {}};
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, SourceConformance, MemoryFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(Transparent, SourceConformance, TransparentFixture);

class FaultySourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    world_.Publish("m", "0123456789");
    pin_ = *world_.memory.Resolve(world_.ctx);
    file_ = world_.memory.List(world_.ctx, pin_)->front();
  }
  Result<std::string> ReadWith(SourceFault fault, std::string* partial) {
    FaultySource faulty(world_.memory, {.operation = 0, .fault = fault});
    return ReadRange(world_.ctx, faulty, pin_, file_, {2, 8}, partial);
  }
  MemoryFixture world_;
  Pin pin_;
  RemoteFile file_;
};

TEST_F(FaultySourceTest, FailHalfDeliversAPrefix) {
  std::string partial;
  EXPECT_FALSE(ReadWith(SourceFault::kFailHalf, &partial));
  EXPECT_EQ(partial, "234");
}

TEST_F(FaultySourceTest, FlipTruncateAndOverrunSucceedWithWrongBytes) {
  std::string partial;
  EXPECT_EQ(ReadWith(SourceFault::kFlipByte, &partial).value(), "234467");
  EXPECT_EQ(ReadWith(SourceFault::kTruncate, &partial).value(), "23456");
  EXPECT_EQ(ReadWith(SourceFault::kOverrun, &partial).value().size(), 7u);
}

TEST_F(FaultySourceTest, OnlyTheNamedOperationFails) {
  FaultySource faulty(world_.memory, {.operation = 1, .code = Code::kTimeout});
  EXPECT_TRUE(faulty.Resolve(world_.ctx));
  const auto listed = faulty.List(world_.ctx, pin_);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code(), Code::kTimeout);
  EXPECT_TRUE(faulty.List(world_.ctx, pin_));
  EXPECT_TRUE(faulty.fired());
  EXPECT_EQ(faulty.operations(), 3);
}

TEST(MemorySource, RemembersRangesAndFlipsOnlyAsOftenAsAsked) {
  MemoryFixture world;
  world.Publish("m", "abcdef");
  const Pin pin = *world.memory.Resolve(world.ctx);
  const RemoteFile file = world.memory.List(world.ctx, pin)->front();
  world.memory.FlipByte("m", 1, 1);
  EXPECT_EQ(ReadRange(world.ctx, world.memory, pin, file, {0, 3}).value(), "acc");
  EXPECT_EQ(ReadRange(world.ctx, world.memory, pin, file, {0, 3}).value(), "abc");
  EXPECT_EQ(world.memory.reads().size(), 2u);
  EXPECT_EQ(world.memory.bytes_served(), 6u);
}

}  // namespace
}  // namespace bdn::source::testing
