#include "auth/file_ticket.h"

#include <gtest/gtest.h>

#include "auth/grant.h"

namespace bdn::auth {
namespace {

const std::string kKey(32, 'k');
const WallTime kNow(std::chrono::seconds(1'800'000'000));

FileTicket Ticket() {
  FileTicket ticket;
  ticket.org = "default";
  ticket.ns = "training";
  ticket.digest = crypto::Digest{};
  ticket.digest->bytes[3] = 7;
  ticket.chunked = true;
  ticket.size = 1ull << 40;
  ticket.expires_at = kNow + kFileTicketLife;
  return ticket;
}

TEST(FileTicket, ComesBackAsItWasSigned) {
  const auto back = VerifyFileTicket(kKey, SignFileTicket(kKey, Ticket()), kNow);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->org, "default");
  EXPECT_EQ(back->ns, "training");
  EXPECT_EQ(back->digest, Ticket().digest);
  EXPECT_TRUE(back->chunked);
  EXPECT_EQ(back->size, 1ull << 40);
  FileTicket empty = Ticket();
  empty.digest.reset();
  empty.chunked = false;
  empty.size = 0;
  const auto none = VerifyFileTicket(kKey, SignFileTicket(kKey, empty), kNow);
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->digest);
}

TEST(FileTicket, ExpiresAndSaysSo) {
  const std::string text = SignFileTicket(kKey, Ticket());
  EXPECT_TRUE(VerifyFileTicket(kKey, text, kNow + kFileTicketLife - std::chrono::seconds(1)));
  const auto late = VerifyFileTicket(kKey, text, kNow + kFileTicketLife);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Code::kPermissionDenied);
  EXPECT_EQ(late.error().message(), "this URL has expired");
}

TEST(FileTicket, AnyChangedCharacterAndAnyOtherKeyAreRefused) {
  const std::string text = SignFileTicket(kKey, Ticket());
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(VerifyFileTicket(kKey, changed, kNow)) << i;
    EXPECT_FALSE(VerifyFileTicket(kKey, text.substr(0, i), kNow)) << i;
  }
  EXPECT_FALSE(VerifyFileTicket(std::string(32, 'x'), text, kNow));
}

TEST(FileTicket, IsNoGrantAndAGrantIsNoTicket) {
  EXPECT_FALSE(VerifyGrant(kKey, SignFileTicket(kKey, Ticket()), kNow));
  EXPECT_FALSE(
      VerifyFileTicket(kKey, SignGrant(kKey, {"default", "training", kNow + kGrantLife}), kNow));
}

}  // namespace
}  // namespace bdn::auth
