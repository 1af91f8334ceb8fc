#include "api/identity.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "codec/json.h"

namespace bdn::api {
namespace {

namespace json = boost::json;
using codec::JsonView;

constexpr std::size_t kBodyBytesMax = 1u << 20;

Result<OidcKeyBody> ReadKey(const JsonView& from) {
  OidcKeyBody key;
  BDN_ASSIGN(key.kid, from.String("kid"));
  BDN_ASSIGN(key.algorithm, from.StringOr("algorithm", ""));
  BDN_ASSIGN(key.state, from.StringOr("state", ""));
  BDN_ASSIGN(key.signs_from, from.StringOr("signs_from", ""));
  BDN_ASSIGN(key.published_until, from.StringOr("published_until", ""));
  BDN_ASSIGN(key.thumbprint, from.StringOr("thumbprint", ""));
  return key;
}

json::value OrNull(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

}  // namespace

std::string ToJson(const OidcBody& body) {
  json::array keys;
  for (const OidcKeyBody& key : body.keys) {
    keys.push_back(json::object{{"kid", key.kid},
                                {"algorithm", key.algorithm},
                                {"state", key.state},
                                {"signs_from", key.signs_from},
                                {"published_until", OrNull(key.published_until)},
                                {"thumbprint", OrNull(key.thumbprint)}});
  }
  return codec::SerializeJson(json::object{{"issuer", body.issuer},
                                           {"audience", body.audience},
                                           {"org", body.org},
                                           {"team", body.team},
                                           {"token_seconds", body.token_seconds},
                                           {"subject_format", body.subject_format},
                                           {"mirror_subject", body.mirror_subject},
                                           {"run_subject", body.run_subject},
                                           {"model", body.model},
                                           {"keys", std::move(keys)}});
}

Result<OidcBody> OidcFromJson(std::string_view text) {
  BDN_ASSIGN(const json::value root, codec::ParseJson(text, {.bytes_max = kBodyBytesMax}));
  const JsonView view(root);
  OidcBody body;
  BDN_ASSIGN(body.issuer, view.String("issuer"));
  BDN_ASSIGN(body.audience, view.String("audience"));
  BDN_ASSIGN(body.org, view.StringOr("org", ""));
  BDN_ASSIGN(body.team, view.StringOr("team", ""));
  BDN_ASSIGN(body.token_seconds, view.IntOr("token_seconds", 0));
  BDN_ASSIGN(body.subject_format, view.StringOr("subject_format", ""));
  BDN_ASSIGN(body.mirror_subject, view.StringOr("mirror_subject", ""));
  BDN_ASSIGN(body.run_subject, view.StringOr("run_subject", ""));
  BDN_ASSIGN(body.model, view.StringOr("model", ""));
  BDN_ASSIGN(const auto keys, view.Find("keys"));
  if (!keys) return body;
  BDN_ASSIGN(const auto items, keys->Items());
  for (const JsonView& item : items) {
    BDN_ASSIGN(OidcKeyBody key, ReadKey(item));
    body.keys.push_back(std::move(key));
  }
  return body;
}

std::string ToJson(const IdentityTokenBody& body) {
  return codec::SerializeJson(json::object{{"token", body.token},
                                           {"issuer", body.issuer},
                                           {"audience", body.audience},
                                           {"subject", body.subject},
                                           {"expires_at", body.expires_at}});
}

Result<IdentityTokenBody> IdentityTokenFromJson(std::string_view text) {
  BDN_ASSIGN(const json::value root, codec::ParseJson(text, {.bytes_max = kBodyBytesMax}));
  const JsonView view(root);
  IdentityTokenBody body;
  BDN_ASSIGN(body.token, view.String("token"));
  BDN_ASSIGN(body.issuer, view.StringOr("issuer", ""));
  BDN_ASSIGN(body.audience, view.StringOr("audience", ""));
  BDN_ASSIGN(body.subject, view.StringOr("subject", ""));
  BDN_ASSIGN(body.expires_at, view.String("expires_at"));
  return body;
}

}  // namespace bdn::api
