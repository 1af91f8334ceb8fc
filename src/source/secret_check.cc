#include "source/secret_check.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "cloud/azure_secret.h"
#include "cloud/google_auth.h"
#include "cloud/hugging_face_hub.h"
#include "cloud/s3.h"
#include "codec/json.h"
#include "source/https.h"

namespace bdn::source {
namespace {

constexpr std::size_t kCheckedSecretBytesMax = 64 * 1024;

enum class SecretLook : std::uint8_t { kOther, kS3, kGoogle, kAzure, kHttps };

std::string_view WithoutBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string LowerLetters(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') letters += static_cast<char>(c - 'A' + 'a');
    if (c >= 'a' && c <= 'z') letters += c;
  }
  return letters;
}

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

bool HasPart(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// "aws" as a word of its own: aws_key, MY_AWS_KEY and awsKey, but not laws or draws.
bool NamesAws(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  for (std::size_t at = 0; at + 3 <= name.size(); ++at) {
    const std::string_view word = name.substr(at, 3);
    if (word == "Aws" || (IsOneOf(word, {"aws", "AWS"}) && (at == 0 || !is_letter(name[at - 1])))) {
      return true;
    }
  }
  return false;
}

// By one name that nothing else has: a model's own JSON must not be taken for a provider's.
SecretLook LookOfName(std::string_view name) {
  const std::string letters = LowerLetters(name);
  if (NamesAws(name) || IsOneOf(letters, {"accesskeyid", "secretaccesskey", "rjurisdiction"})) {
    return SecretLook::kS3;
  }
  if (letters.starts_with("azure") ||
      IsOneOf(letters, {"accountkey", "sastoken", "storageaccountkey"})) {
    return SecretLook::kAzure;
  }
  if (IsOneOf(letters, {"clientemail", "privatekeyid", "clientxcerturl"}))
    return SecretLook::kGoogle;
  return SecretLook::kOther;
}

// By names that only together are a provider's.
SecretLook LookOfNames(const boost::json::object& object) {
  bool access_key = false;
  bool secret_key = false;
  bool tenant = false;
  bool client = false;
  bool private_key = false;
  bool google_file = false;
  for (const auto& member : object) {
    const std::string letters = LowerLetters(member.key());
    const bool secret = HasPart(letters, "secret");
    // One 's' as well: "acces" is a common slip.
    access_key = access_key || (!secret && HasPart(letters, "acces") && HasPart(letters, "key"));
    secret_key = secret_key || (secret && (HasPart(letters, "key") || HasPart(letters, "acces")));
    tenant = tenant || letters == "tenantid";
    client = client || letters == "clientid";
    private_key = private_key || letters == "privatekey";
    google_file = google_file || IsOneOf(letters, {"projectid", "tokenuri", "authuri"});
  }
  if (access_key && secret_key) return SecretLook::kS3;
  if (tenant && client) return SecretLook::kAzure;
  if (private_key && google_file) return SecretLook::kGoogle;
  // {"header": {…}} alone: one letter short of what https:// sources take.
  if (object.size() == 1 && object.begin()->value().is_object() &&
      LowerLetters(object.begin()->key()).starts_with("header") &&
      object.begin()->key() != "headers") {
    return SecretLook::kHttps;
  }
  return SecretLook::kOther;
}

SecretLook LookOfJson(const boost::json::object& object) {
  const auto* type = object.if_contains("type");
  if (type != nullptr && type->is_string() &&
      IsOneOf(type->get_string(), {"service_account", "authorized_user", "external_account"})) {
    return SecretLook::kGoogle;
  }
  for (const auto& member : object) {
    if (const SecretLook look = LookOfName(member.key()); look != SecretLook::kOther) return look;
  }
  return LookOfNames(object);
}

bool LooksLikeAzureText(std::string_view text) {
  const auto has = [&](std::string_view part) { return text.find(part) != text.npos; };
  return has("AccountKey=") || has("SharedAccessSignature=") || (has("sig=") && has("sv="));
}

Status CheckAs(SecretLook look, std::string_view text, std::vector<std::string>& notes) {
  if (look == SecretLook::kS3) {
    BDN_ASSIGN(auto secret, cloud::ParseS3Secret(text));
    std::move(secret.warnings.begin(), secret.warnings.end(), std::back_inserter(notes));
  } else if (look == SecretLook::kGoogle) {
    BDN_TRY(cloud::ParseGcpSecret(text));
  } else if (look == SecretLook::kAzure) {
    BDN_ASSIGN(const auto secret, cloud::ParseAzureSecret(text));
    if (const auto ends = cloud::AzureSasExpiry(secret.sas)) {
      notes.push_back("the SAS token ends at " + FormatRfc3339(*ends));
    }
  }
  if (look == SecretLook::kHttps) BDN_TRY(ParseHttpsSecret(text));
  return {};
}

Status CheckJsonSecret(std::string_view text, std::vector<std::string>& notes) {
  const auto value = codec::ParseJson(text, {.bytes_max = kCheckedSecretBytesMax});
  if (value) {
    return value->is_object() ? CheckAs(LookOfJson(value->get_object()), text, notes) : Status();
  }
  notes.push_back("the value begins like JSON and cannot be read as such (" +
                  value.error().message() + "); it is stored as it is");
  for (const std::string_view mark :
       {"aws_access_key_id", "aws_secret_access_key", "service_account", "private_key", "azure_"}) {
    if (text.find(mark) == std::string_view::npos) continue;
    return Error(Code::kInvalidArgument, fmt::format("the value has '{}' in it and is no JSON: {}",
                                                     mark, value.error().message()));
  }
  return {};
}

void NoteAboutTokens(std::string_view name,
                     std::string_view token,
                     std::vector<std::string>& notes) {
  const std::string letters = LowerLetters(name);
  const bool for_hub = letters.starts_with("hf") || letters.find("hugging") != std::string::npos;
  if (for_hub && !token.starts_with("hf_")) {
    notes.emplace_back("tokens of Hugging Face begin with hf_, and this one does not");
  }
  if (for_hub && token.find_first_of(" \t\r\n") != std::string_view::npos) {
    notes.emplace_back("a token of Hugging Face has no blanks or line ends in it");
  }
  if (token.size() == 20 && (token.starts_with("AKIA") || token.starts_with("ASIA"))) {
    notes.emplace_back(
        "this looks like the id of an AWS key alone; s3:// sources take JSON with "
        "aws_access_key_id and aws_secret_access_key");
  }
}

template <class T>
std::optional<Error> ProblemOfParsing(const Result<T>& parsed) {
  if (parsed) return std::nullopt;
  return parsed.error();
}

}  // namespace

Result<CheckedSecret> CheckSecret(std::string_view name, std::string_view value) {
  CheckedSecret checked;
  const std::string_view trimmed = WithoutBlanks(value);
  const bool one_line = trimmed.find('\n') == std::string_view::npos;
  const bool json = trimmed.starts_with('{');
  if (!one_line && !json) {
    checked.value = value;
    if (checked.value.ends_with('\n')) checked.value.pop_back();
    if (checked.value.ends_with('\r')) checked.value.pop_back();
    return checked;
  }
  if (trimmed.empty()) return Error(Code::kInvalidArgument, "the value of the secret is empty");
  checked.value = trimmed;
  // One line end at the end is what `echo` adds: nothing to talk about.
  std::string_view end = value.substr(value.find(trimmed) + trimmed.size());
  if (value.front() != trimmed.front() || !IsOneOf(end, {"", "\n", "\r\n"})) {
    checked.notes.emplace_back("blanks around the value were cut");
  }
  if (json) {
    BDN_TRY(CheckJsonSecret(trimmed, checked.notes));
  } else if (LooksLikeAzureText(trimmed)) {
    BDN_TRY(CheckAs(SecretLook::kAzure, trimmed, checked.notes));
  } else {
    NoteAboutTokens(name, trimmed, checked.notes);
  }
  return checked;
}

std::optional<Error> SecretProblem(model::Scheme scheme, const std::string& secret) {
  switch (scheme) {
    case model::Scheme::kS3:
    case model::Scheme::kR2:
    case model::Scheme::kCw:
      return ProblemOfParsing(cloud::ParseS3Secret(secret));
    case model::Scheme::kAzure:
      return ProblemOfParsing(cloud::ParseAzureSecret(secret));
    case model::Scheme::kHf:
      return ProblemOfParsing(cloud::ParseHubToken(secret));
    // gs:// may have an operator's own token address, which only the operator's process knows.
    case model::Scheme::kGs:
    case model::Scheme::kBt:
    case model::Scheme::kHttps:
      break;
  }
  return std::nullopt;
}

}  // namespace bdn::source
