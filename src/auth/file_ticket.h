#pragma once
// File tickets: short-lived signed rights to read one file, as it is named by a manifest, without
// any other credential: what a presigned URL of bdn carries in its query.
//
// Text form: "bdnf1.<base64url of org LF namespace LF digest LF kind LF size LF expiry seconds>."
// "<base64url of HMAC-SHA256>". A bearer secret until it expires: never in a log.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace bdn::auth {

inline constexpr Duration kFileTicketLife = std::chrono::hours(1);

struct FileTicket {
  std::string org;
  std::string ns;
  std::optional<crypto::Digest> digest;  // of the chunk or the chunkmap; none: an empty file
  bool chunked = false;
  std::uint64_t size = 0;
  WallTime expires_at;
};

// `key` is secret and at least 32 bytes; names must not hold a line feed. A ticket is no grant and
// a grant no ticket, also under the same key.
std::string SignFileTicket(std::string_view key, const FileTicket& ticket);
// kPermissionDenied for a text that is no ticket of this key or has expired at `now`: the answer
// that presigned URLs of others give, too.
Result<FileTicket> VerifyFileTicket(std::string_view key, std::string_view text, WallTime now);

}  // namespace bdn::auth
