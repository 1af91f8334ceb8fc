#include "auth/grant.h"

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"

namespace bdn::auth {
namespace {

using namespace std::chrono_literals;

const std::string kGrantKey(32, 'k');

TEST(Grant, HoldsForItsNamespaceUntilItExpires) {
  testing::ManualClock clock;
  const std::string text = SignGrant(kGrantKey, {"org", "ns", clock.Now() + 1h});
  const auto grant = VerifyGrant(kGrantKey, text, clock.Now());
  ASSERT_TRUE(grant);
  EXPECT_EQ(grant->org, "org");
  EXPECT_EQ(grant->ns, "ns");
  clock.Advance(1h);
  EXPECT_EQ(VerifyGrant(kGrantKey, text, clock.Now()).error().code(), Code::kUnauthenticated);
}

TEST(Grant, AnyChangedCharacterBreaksIt) {
  testing::ManualClock clock;
  const std::string text = SignGrant(kGrantKey, {"org", "ns", clock.Now() + 1h});
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string bad = text;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(VerifyGrant(kGrantKey, bad, clock.Now())) << i;
    EXPECT_FALSE(VerifyGrant(kGrantKey, text.substr(0, i), clock.Now())) << i;
  }
  EXPECT_FALSE(VerifyGrant(std::string(32, 'x'), text, clock.Now()));
}

}  // namespace
}  // namespace bdn::auth
