#pragma once
// Who a token is about: the claims of bdn's own OIDC issuer. Pure.
//
// The subject is the one thing that AWS lets a trust policy look at, so everything that has to be
// policed is in it:
//   v=1:org=ORG:team=TEAM:model=MODEL:deployment=DEPLOYMENT:environment=ENV:type=TYPE
// Parts are ids of A-Z a-z 0-9 '_' '-' or "<none>": with no ':', '=' or '*' in them, nobody who
// chooses a name can write another part. 127 bytes are what Google takes for a subject.
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "base/clock.h"
#include "base/result.h"

namespace bdn::auth {

inline constexpr std::size_t kSubjectBytesMin = 6;    // AWS STS
inline constexpr std::size_t kSubjectBytesMax = 127;  // google.subject
inline constexpr std::size_t kEnvironmentBytesMax = 40;
// A verifier's clock may be behind ours: tokens are issued a little in the past.
inline constexpr Duration kIssuedBefore = std::chrono::seconds(5);
inline constexpr Duration kTokenLifeMax = std::chrono::hours(1);
inline constexpr std::string_view kNone = "<none>";

// model_build: the mirror of a deployment's weights. model_container: its running server.
enum class WorkloadType : std::uint8_t { kModelBuild, kModelContainer };
std::string_view WorkloadTypeName(WorkloadType type);

// Empty parts other than `org` are "<none>".
struct Workload {
  std::string org;
  std::string team = {};
  std::string model = {};
  std::string deployment = {};
  std::string environment = {};
  WorkloadType type = WorkloadType::kModelBuild;
};

// kInvalidArgument for a part with another character, an environment that is too long, or a subject
// of more than kSubjectBytesMax bytes; the message says which and what to shorten.
Result<std::string> SubjectOf(const Workload& workload);

// The id of a model in subjects: its name where that can be one (1 to kModelIdBytesMax bytes, not
// beginning with "h-"), else "h-" and 14 characters of the name's SHA-256.
inline constexpr std::size_t kModelIdBytesMax = 20;
std::string ModelIdOf(std::string_view name);

struct TokenTimes {
  WallTime now;
  Duration life = kTokenLifeMax;  // from the issue, which lies kIssuedBefore before `now`
};
// iss, sub, aud, iat, exp, jti (whole seconds) and the parts of the subject. `id` is unique.
// Errors of SubjectOf; kInvalidArgument for a life of more than kTokenLifeMax.
Result<boost::json::object> TokenClaims(std::string_view issuer,
                                        std::string_view audience,
                                        const Workload& workload,
                                        const TokenTimes& times,
                                        std::string_view id);

}  // namespace bdn::auth
