#include "auth/jwt.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include "codec/json.h"
#include "crypto/digest.h"
#include "crypto/hash.h"

namespace bdn::auth {
namespace {

namespace json = boost::json;
using crypto::Base64UrlDecode;
using crypto::Base64UrlEncode;
using crypto::SignatureAlgorithm;

constexpr std::size_t kJsonDepthMax = 8;

Error Refused(std::string message) {
  return Error(Code::kUnauthenticated, "the token is refused: " + std::move(message));
}

Error NotJwt(std::string_view what) {
  return Error(Code::kInvalidArgument,
               fmt::format("not a JSON Web Token: {}. It has three base64url parts with dots "
                           "between them, the first two are JSON objects",
                           what));
}

Result<json::object> ObjectPart(std::string_view part, std::string_view name) {
  const auto text = Base64UrlDecode(part);
  if (!text) return NotJwt(fmt::format("its {} is not base64url without padding", name));
  auto value = codec::ParseJson(*text, {.bytes_max = kJwtBytesMax, .depth_max = kJsonDepthMax});
  if (!value || !value->is_object()) return NotJwt(fmt::format("its {} is not JSON", name));
  return std::move(value->get_object());
}

// A member that is a string; empty when it is missing or something else.
std::string_view StringOf(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return {};
  return value->get_string();
}

// Seconds since 1970. RFC 7519 allows fractions; issuers of the world write whole numbers, and AWS
// takes nothing else.
Result<std::optional<WallTime>> TimeOf(const json::object& claims, std::string_view name) {
  const json::value* value = claims.if_contains(name);
  if (value == nullptr) return std::optional<WallTime>();
  constexpr std::int64_t kSecondsMax = 9'000'000'000;  // year 2255: fits a WallTime
  const std::int64_t* seconds = value->if_int64();
  if (seconds == nullptr || *seconds < 0 || *seconds > kSecondsMax) {
    return Refused(fmt::format("\"{}\" is not a number of seconds", name));
  }
  return std::optional(WallTime(std::chrono::seconds(*seconds)));
}

bool HasAudience(const json::object& claims, std::string_view audience) {
  const json::value* value = claims.if_contains("aud");
  if (value == nullptr) return false;
  if (value->is_string()) return std::string_view(value->get_string()) == audience;
  if (!value->is_array()) return false;
  const json::array& all = value->get_array();
  return std::any_of(all.begin(), all.end(), [&](const json::value& one) {
    return one.is_string() && std::string_view(one.get_string()) == audience;
  });
}

// The members of RFC 7638 §3.2, in the lexicographic order that a thumbprint needs.
json::object RequiredMembers(const crypto::PublicKey& key) {
  const crypto::PublicNumbers numbers = key.numbers();
  if (key.algorithm() == SignatureAlgorithm::kRs256) {
    return {{"e", Base64UrlEncode(numbers.e)}, {"kty", "RSA"}, {"n", Base64UrlEncode(numbers.n)}};
  }
  return {{"crv", "P-256"},
          {"kty", "EC"},
          {"x", Base64UrlEncode(numbers.x)},
          {"y", Base64UrlEncode(numbers.y)}};
}

std::optional<Jwk> ReadJwk(const json::value& value) {
  if (!value.is_object()) return std::nullopt;
  const json::object& object = value.get_object();
  const std::string_view use = StringOf(object, "use");
  if (!use.empty() && use != "sig") return std::nullopt;
  const auto number = [&](std::string_view name) {
    return Base64UrlDecode(StringOf(object, name)).value_or(std::string());
  };
  const std::string_view kind = StringOf(object, "kty");
  auto key = [&]() -> Result<crypto::PublicKey> {
    if (kind == "RSA") return crypto::PublicKey::FromRsa(number("n"), number("e"));
    if (kind == "EC" && StringOf(object, "crv") == "P-256") {
      return crypto::PublicKey::FromP256(number("x"), number("y"));
    }
    return Error(Code::kUnsupported, "another kind");
  }();
  if (!key) return std::nullopt;
  const std::string_view algorithm = StringOf(object, "alg");
  if (!algorithm.empty() && algorithm != JwtAlgorithmName(key->algorithm())) return std::nullopt;
  return Jwk{std::string(StringOf(object, "kid")), *std::move(key)};
}

const Jwk* KeyFor(const json::object& header, std::span<const Jwk> keys) {
  if (!header.contains("kid")) return keys.size() == 1 ? &keys.front() : nullptr;
  const std::string_view kid = StringOf(header, "kid");
  const auto found = std::find_if(keys.begin(), keys.end(),
                                  [&](const Jwk& key) { return !kid.empty() && key.kid == kid; });
  return found == keys.end() ? nullptr : &*found;
}

Status CheckTimes(const json::object& claims, const JwtExpectation& expected) {
  BDN_ASSIGN(const auto expires, TimeOf(claims, "exp"));
  BDN_ASSIGN(const auto not_before, TimeOf(claims, "nbf"));
  BDN_ASSIGN(const auto issued, TimeOf(claims, "iat"));
  if (!expires) return Refused("it has no \"exp\"");
  if (*expires + expected.skew <= expected.now) {
    return Refused("it expired at " + FormatRfc3339(*expires));
  }
  for (const auto& begin : {not_before, issued}) {
    if (begin && *begin > expected.now + expected.skew) {
      return Refused("it is of the future: " + FormatRfc3339(*begin));
    }
  }
  return {};
}

}  // namespace

std::string_view JwtAlgorithmName(SignatureAlgorithm algorithm) {
  return algorithm == SignatureAlgorithm::kRs256 ? "RS256" : "ES256";
}

std::string SignJwt(const crypto::PrivateKey& key,
                    std::string_view kid,
                    const json::object& claims) {
  json::object header{{"alg", JwtAlgorithmName(key.algorithm())}, {"typ", "JWT"}};
  if (!kid.empty()) header["kid"] = kid;
  std::string token = Base64UrlEncode(codec::SerializeJson(header)) + "." +
                      Base64UrlEncode(codec::SerializeJson(claims));
  const std::string signature = Base64UrlEncode(key.Sign(token));
  token += '.';
  token += signature;
  return token;
}

std::string JwkThumbprint(const crypto::PublicKey& key) {
  return Base64UrlEncode(crypto::Sha256(codec::SerializeJson(RequiredMembers(key))));
}

json::object PublicJwk(const crypto::PublicKey& key) {
  json::object jwk = RequiredMembers(key);
  jwk["alg"] = JwtAlgorithmName(key.algorithm());
  jwk["use"] = "sig";
  jwk["kid"] = JwkThumbprint(key);
  return jwk;
}

Result<std::vector<Jwk>> ParseJwks(std::string_view text) {
  BDN_ASSIGN(const json::value document,
             codec::ParseJson(text, {.bytes_max = kJwksBytesMax, .depth_max = kJsonDepthMax}));
  const json::value* keys =
      document.is_object() ? document.get_object().if_contains("keys") : nullptr;
  if (keys == nullptr || !keys->is_array()) {
    return Error(Code::kInvalidArgument, "not a JWK set: it has no array \"keys\"");
  }
  const json::array& all = keys->get_array();
  if (all.size() > kJwksKeysMax) {
    return Error(Code::kResourceExhausted,
                 fmt::format("a JWK set of {} keys; at most {}", all.size(), kJwksKeysMax));
  }
  std::vector<Jwk> out;
  for (const json::value& one : all) {
    if (auto key = ReadJwk(one)) out.push_back(*std::move(key));
  }
  return out;
}

Result<UnverifiedJwt> ParseJwt(std::string_view token) {
  if (token.size() > kJwtBytesMax) {
    return NotJwt(fmt::format("it has {} bytes, at most {}", token.size(), kJwtBytesMax));
  }
  const std::size_t first = token.find('.');
  const std::size_t second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) {
    return NotJwt("it does not have three parts");
  }
  UnverifiedJwt out;
  BDN_ASSIGN(out.header, ObjectPart(token.substr(0, first), "header"));
  BDN_ASSIGN(out.claims, ObjectPart(token.substr(first + 1, second - first - 1), "payload"));
  auto signature = Base64UrlDecode(token.substr(second + 1));
  if (!signature) return NotJwt("its signature is not base64url without padding");
  out.signature = *std::move(signature);
  out.signed_part = token.substr(0, second);
  return out;
}

Result<json::object> VerifyJwt(std::string_view token,
                               std::span<const Jwk> keys,
                               const JwtExpectation& expected) {
  auto parsed = ParseJwt(token);
  if (!parsed) return Refused(parsed.error().message());
  if (parsed->header.contains("crit")) return Refused("its \"crit\" header is not understood");
  const Jwk* key = KeyFor(parsed->header, keys);
  if (key == nullptr) return Refused("no known key signed it");
  // The key says how it signs; a header that says otherwise is an attack or a mistake.
  if (StringOf(parsed->header, "alg") != JwtAlgorithmName(key->key.algorithm())) {
    return Refused("its \"alg\" is not that of its key");
  }
  if (!key->key.Verify(parsed->signed_part, parsed->signature)) {
    return Refused("its signature does not match");
  }
  if (StringOf(parsed->claims, "iss") != expected.issuer) {
    return Refused("its issuer is not " + expected.issuer);
  }
  if (!HasAudience(parsed->claims, expected.audience)) {
    return Refused("it is not for the audience " + expected.audience);
  }
  BDN_TRY(CheckTimes(parsed->claims, expected));
  return std::move(parsed->claims);
}

}  // namespace bdn::auth
