#include "auth/grant.h"

#include <charconv>

#include <fmt/format.h>

#include "base/check.h"
#include "crypto/digest.h"
#include "crypto/hash.h"

namespace bdn::auth {
namespace {

constexpr std::string_view kGrantPrefix = "bdng1.";

Error NoGrant() {
  return Error(Code::kUnauthenticated, "the grant is not valid");
}

}  // namespace

std::string SignGrant(std::string_view key, const Grant& grant) {
  BDN_CHECK(key.size() >= 32);
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(grant.expires_at.time_since_epoch());
  const std::string claims =
      crypto::Base64UrlEncode(fmt::format("{}\n{}\n{}", grant.org, grant.ns, seconds.count()));
  const std::string signed_part = std::string(kGrantPrefix) + claims;
  return signed_part + "." + crypto::Base64UrlEncode(crypto::HmacSha256(key, signed_part));
}

Result<Grant> VerifyGrant(std::string_view key, std::string_view text, WallTime now) {
  const std::size_t dot = text.rfind('.');
  if (!text.starts_with(kGrantPrefix) || dot == std::string_view::npos ||
      dot < kGrantPrefix.size()) {
    return NoGrant();
  }
  const std::string expected =
      crypto::Base64UrlEncode(crypto::HmacSha256(key, text.substr(0, dot)));
  if (!crypto::EqualConstantTime(expected, text.substr(dot + 1))) return NoGrant();
  const auto claims =
      crypto::Base64UrlDecode(text.substr(kGrantPrefix.size(), dot - kGrantPrefix.size()));
  if (!claims) return NoGrant();
  const std::size_t first = claims->find('\n');
  const std::size_t second = claims->find('\n', first + 1);
  if (first == std::string::npos || second == std::string::npos) return NoGrant();
  std::int64_t seconds = 0;
  const char* end = claims->data() + claims->size();
  const auto [stop, failed] = std::from_chars(claims->data() + second + 1, end, seconds);
  if (failed != std::errc() || stop != end) return NoGrant();
  Grant grant{claims->substr(0, first), claims->substr(first + 1, second - first - 1),
              WallTime(std::chrono::seconds(seconds))};
  if (grant.expires_at <= now) return Error(Code::kUnauthenticated, "the grant has expired");
  return grant;
}

}  // namespace bdn::auth
