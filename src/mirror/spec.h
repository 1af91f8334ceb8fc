#pragma once
// The weights item of a mirror as it rests in store::Mirror::spec: JSON with the keys of
// config.yaml, on one line. Secrets are named, never held. mount_location is not in it: several
// deployments share one mirror.
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/config.h"

namespace bdn::mirror {

// Who asked for a mirror first: the identity that it shows to its source. Others who attach to it
// later share what it fetches.
struct AskedBy {
  std::string model = {};  // its name
  std::string deployment = {};
};

std::string SpecToJson(const model::WeightsSource& weights, const AskedBy& asked_by = {});
// Empty parts where the spec does not say.
AskedBy AskedByOf(std::string_view json);
// Errors: kCorrupt when it is not what SpecToJson wrote, with the place.
Result<model::WeightsSource> SpecFromJson(std::string_view json);

}  // namespace bdn::mirror
