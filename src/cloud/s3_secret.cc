// The secret of s3://, r2:// and cw:// sources: reading it, and saying at once which key is wrong.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cloud/hugging_face_hub.h"
#include "cloud/s3.h"
#include "codec/json.h"

namespace bdn::cloud {
namespace {

constexpr std::size_t kS3SecretBytesMax = 64 * 1024;
constexpr std::size_t kS3KeyNameBytesShownMax = 60;

constexpr std::string_view kKeyId = "aws_access_key_id";
constexpr std::string_view kKeySecret = "aws_secret_access_key";
constexpr std::string_view kToken = "aws_session_token";
constexpr std::string_view kRegion = "aws_region";
constexpr std::string_view kJurisdiction = "r2_jurisdiction";
constexpr std::array<std::string_view, 5> kKnownKeys = {kKeyId, kKeySecret, kToken, kRegion,
                                                        kJurisdiction};

// Other spellings of them, of SDKs, tools and older versions: in lower case, letters only.
constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kOtherNames = {{
    {"accesskeyid", kKeyId},
    {"accesskey", kKeyId},
    {"awsaccesskeyid", kKeyId},
    {"awsaccesskey", kKeyId},
    {"keyid", kKeyId},
    {"secretaccesskey", kKeySecret},
    {"secretkey", kKeySecret},
    {"awssecretaccesskey", kKeySecret},
    {"awssecretkey", kKeySecret},
    {"sessiontoken", kToken},
    {"awssessiontoken", kToken},
    {"securitytoken", kToken},
    {"region", kRegion},
    {"regionname", kRegion},
    {"awsregion", kRegion},
    {"awsdefaultregion", kRegion},
}};

std::string_view TrimField(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// The key that `name` was probably meant to be; empty for no idea.
std::string_view MeantBy(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') letters += static_cast<char>(c - 'A' + 'a');
    if (c >= 'a' && c <= 'z') letters += c;
  }
  for (const auto& [other, key] : kOtherNames) {
    if (letters == other) return key;
  }
  return {};
}

// Is `name` likely meant for `key`, which is missing? "aws_acces_key_id" and "aws_secret" are.
bool MayMean(std::string_view name, std::string_view key) {
  if (const auto meant = MeantBy(name); !meant.empty()) return meant == key;
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const auto has = [&](std::string_view part) { return lower.find(part) != std::string::npos; };
  if (!has("acces") && !has("aws")) return false;
  return key == kKeySecret ? has("secret") : key == kKeyId && has("key") && !has("secret");
}

// What is wrong with one of the two keys that must be there, as a sentence; empty when it is right.
std::string WrongWith(const boost::json::object& object, std::string_view key) {
  const auto it = object.find(key);
  if (it != object.end()) {
    if (!it->value().is_string()) return fmt::format("{} is no text. ", key);
    return TrimField(it->value().get_string()).empty() ? fmt::format("{} is empty. ", key) : "";
  }
  for (const auto& member : object) {
    const bool known =
        std::find(kKnownKeys.begin(), kKnownKeys.end(), member.key()) != kKnownKeys.end();
    if (known || !MayMean(member.key(), key)) continue;
    return fmt::format("The key '{}' must be named {}. ",
                       Printable(member.key(), kS3KeyNameBytesShownMax), key);
  }
  return fmt::format("{} is missing. ", key);
}

// The documented sentence, word for word; what exactly is wrong stands in the hint.
Error Required(const std::string& wrong) {
  return Error(Code::kInvalidArgument,
               "aws_access_key_id and aws_secret_access_key are required in S3 credentials")
      .WithHint(wrong +
                "Store the secret as JSON: {\"aws_access_key_id\": \"…\", "
                "\"aws_secret_access_key\": \"…\", \"aws_region\": \"…\"}");
}

void AddWarnings(const boost::json::object& object, S3Secret& secret) {
  for (const auto& member : object) {
    const std::string_view name = member.key();
    if (std::find(kKnownKeys.begin(), kKnownKeys.end(), name) != kKnownKeys.end()) continue;
    const std::string_view meant = MeantBy(name);
    secret.warnings.push_back(
        fmt::format("the S3 credentials hold the key '{}', which is not used{}",
                    Printable(name, kS3KeyNameBytesShownMax),
                    meant.empty() ? "" : fmt::format("; the name is {}", meant)));
  }
  // Amazon's prefixes: AKIA for keys of a user, ASIA for those that STS gives for some hours.
  if (secret.credentials.access_key_id.starts_with("ASIA") &&
      secret.credentials.session_token.empty()) {
    secret.warnings.emplace_back(
        "aws_access_key_id begins with ASIA: such temporary keys work only with their "
        "aws_session_token, which is missing");
  }
}

}  // namespace

Result<S3Secret> ParseS3Secret(std::string_view json) {
  const auto value = codec::ParseJson(json, {.bytes_max = kS3SecretBytesMax});
  if (!value) return Required("The secret is no JSON. ");
  if (!value->is_object()) return Required("The secret is JSON, but no object. ");
  const boost::json::object& object = value->get_object();
  const std::string wrong = WrongWith(object, kKeyId) + WrongWith(object, kKeySecret);
  if (!wrong.empty()) return Required(wrong);

  const codec::JsonView root(*value);
  S3Secret secret;
  std::string* const fields[] = {
      &secret.credentials.access_key_id, &secret.credentials.secret_access_key,
      &secret.credentials.session_token, &secret.region, &secret.jurisdiction};
  for (std::size_t i = 0; i < kKnownKeys.size(); ++i) {
    const auto text = root.StringOr(kKnownKeys[i], "");
    if (!text) {
      return Error(Code::kInvalidArgument,
                   fmt::format("{} in the S3 credentials is no text", kKnownKeys[i]));
    }
    *fields[i] = TrimField(*text);
  }
  for (const std::string* text :
       {&secret.credentials.access_key_id, &secret.credentials.session_token}) {
    if (!std::all_of(text->begin(), text->end(), [](char c) { return c > 0x20 && c < 0x7f; })) {
      return Error(Code::kInvalidArgument,
                   "The S3 credentials hold a blank or another character that cannot be sent");
    }
  }
  if (!secret.region.empty() && secret.region != "auto" && !IsS3Region(secret.region)) {
    return Error(Code::kInvalidArgument,
                 "aws_region in the S3 credentials is no region, such as us-east-1");
  }
  if (!secret.jurisdiction.empty() && std::find(kR2Jurisdictions.begin(), kR2Jurisdictions.end(),
                                                secret.jurisdiction) == kR2Jurisdictions.end()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("r2_jurisdiction in the S3 credentials is not one of {}",
                             fmt::join(kR2Jurisdictions, ", ")));
  }
  AddWarnings(object, secret);
  return secret;
}

Result<std::vector<std::string>> CheckS3Secret(std::string_view json) {
  BDN_ASSIGN(S3Secret secret, ParseS3Secret(json));
  return std::move(secret.warnings);
}

}  // namespace bdn::cloud
