#include "auth/file_ticket.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/check.h"
#include "crypto/hash.h"

namespace bdn::auth {
namespace {

constexpr std::string_view kPrefix = "bdnf1.";
constexpr std::size_t kTicketBytesMax = 4096;

Error NoTicket() {
  return Error(Code::kPermissionDenied, "the signature of this URL is not valid");
}

template <class Int>
bool ReadInt(std::string_view text, Int& into) {
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, into);
  return failed == std::errc() && stop == end;
}

}  // namespace

std::string SignFileTicket(std::string_view key, const FileTicket& ticket) {
  BDN_CHECK(key.size() >= 32);
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(ticket.expires_at.time_since_epoch());
  const std::string claims = crypto::Base64UrlEncode(fmt::format(
      "{}\n{}\n{}\n{}\n{}\n{}", ticket.org, ticket.ns, ticket.digest ? ticket.digest->hex() : "",
      ticket.chunked ? "chunkmap" : "chunk", ticket.size, seconds.count()));
  const std::string signed_part = std::string(kPrefix) + claims;
  return signed_part + "." + crypto::Base64UrlEncode(crypto::HmacSha256(key, signed_part));
}

Result<FileTicket> VerifyFileTicket(std::string_view key, std::string_view text, WallTime now) {
  const std::size_t dot = text.rfind('.');
  if (text.size() > kTicketBytesMax || !text.starts_with(kPrefix) ||
      dot == std::string_view::npos || dot < kPrefix.size()) {
    return NoTicket();
  }
  const std::string expected =
      crypto::Base64UrlEncode(crypto::HmacSha256(key, text.substr(0, dot)));
  if (!crypto::EqualConstantTime(expected, text.substr(dot + 1))) return NoTicket();
  const auto claims = crypto::Base64UrlDecode(text.substr(kPrefix.size(), dot - kPrefix.size()));
  if (!claims) return NoTicket();
  std::array<std::string_view, 6> field{};
  std::string_view left = *claims;
  for (std::size_t i = 0; i < field.size(); ++i) {
    const std::size_t end = left.find('\n');
    if ((end == std::string_view::npos) != (i + 1 == field.size())) return NoTicket();
    field[i] = left.substr(0, end);
    left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
  }
  FileTicket ticket;
  ticket.org = field[0];
  ticket.ns = field[1];
  if (!field[2].empty()) {
    const auto digest = crypto::ParseDigestHex(field[2]);
    if (!digest) return NoTicket();
    ticket.digest = *digest;
  }
  ticket.chunked = field[3] == "chunkmap";
  std::int64_t seconds = 0;
  if (!ReadInt(field[4], ticket.size) || !ReadInt(field[5], seconds)) return NoTicket();
  ticket.expires_at = WallTime(std::chrono::seconds(seconds));
  if (ticket.expires_at <= now) {
    return Error(Code::kPermissionDenied, "this URL has expired")
        .WithHint("list the files of the checkpoint again: the listing has fresh ones");
  }
  return ticket;
}

}  // namespace bdn::auth
