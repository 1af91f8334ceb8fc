#include "auth/workload.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "crypto/hash.h"

namespace bdn::auth {
namespace {

bool IsIdChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

Result<std::string_view> Part(std::string_view name, std::string_view value, bool required) {
  if (value.empty() && !required) return kNone;
  if (!value.empty() && std::all_of(value.begin(), value.end(), IsIdChar)) return value;
  return Error(Code::kInvalidArgument,
               fmt::format("the {} of a workload is an id of letters, digits, '_' and '-'", name));
}

struct Parts {
  std::string_view org, team, model, deployment, environment;
};

Result<Parts> PartsOf(const Workload& workload) {
  Parts parts;
  BDN_ASSIGN(parts.org, Part("organisation", workload.org, true));
  BDN_ASSIGN(parts.team, Part("team", workload.team, false));
  BDN_ASSIGN(parts.model, Part("model", workload.model, false));
  BDN_ASSIGN(parts.deployment, Part("deployment", workload.deployment, false));
  BDN_ASSIGN(parts.environment, Part("environment", workload.environment, false));
  if (workload.environment.size() > kEnvironmentBytesMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("an environment of {} bytes; at most {}", workload.environment.size(),
                             kEnvironmentBytesMax));
  }
  return parts;
}

}  // namespace

std::string_view WorkloadTypeName(WorkloadType type) {
  return type == WorkloadType::kModelBuild ? "model_build" : "model_container";
}

Result<std::string> SubjectOf(const Workload& workload) {
  BDN_ASSIGN(const Parts parts, PartsOf(workload));
  std::string subject = fmt::format(
      "v=1:org={}:team={}:model={}:deployment={}:environment={}:type={}", parts.org, parts.team,
      parts.model, parts.deployment, parts.environment, WorkloadTypeName(workload.type));
  if (subject.size() > kSubjectBytesMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the subject of the workload has {} bytes, and Google takes at most "
                             "{}: shorten the environment or the organisation",
                             subject.size(), kSubjectBytesMax));
  }
  return subject;
}

std::string ModelIdOf(std::string_view name) {
  constexpr std::string_view kHashed = "h-";
  const bool plain = !name.empty() && name.size() <= kModelIdBytesMax &&
                     std::all_of(name.begin(), name.end(), IsIdChar) && !name.starts_with(kHashed);
  if (plain) return std::string(name);
  constexpr std::size_t kHashChars = 14;
  return std::string(kHashed) + crypto::Sha256Hex(name).substr(0, kHashChars);
}

Result<boost::json::object> TokenClaims(std::string_view issuer,
                                        std::string_view audience,
                                        const Workload& workload,
                                        const TokenTimes& times,
                                        std::string_view id) {
  BDN_ASSIGN(const Parts parts, PartsOf(workload));
  BDN_ASSIGN(const std::string subject, SubjectOf(workload));
  if (times.life > kTokenLifeMax || times.life <= kIssuedBefore) {
    return Error(Code::kInvalidArgument, "a token lives for more than 5 seconds and at most 1 h");
  }
  const auto seconds = [](Duration since) {
    return static_cast<std::int64_t>(std::chrono::floor<std::chrono::seconds>(since).count());
  };
  const std::int64_t issued = seconds((times.now - kIssuedBefore).time_since_epoch());
  return boost::json::object{{"iss", issuer},
                             {"sub", subject},
                             {"aud", audience},
                             {"iat", issued},
                             {"exp", issued + seconds(times.life)},
                             {"jti", id},
                             {"org", parts.org},
                             {"team", parts.team},
                             {"model", parts.model},
                             {"deployment", parts.deployment},
                             {"environment", parts.environment},
                             {"type", WorkloadTypeName(workload.type)}};
}

}  // namespace bdn::auth
