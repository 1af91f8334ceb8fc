#pragma once
// The weights item of a mirror as it rests in store::Mirror::spec: JSON with the keys of
// config.yaml, on one line. Secrets are named, never held. mount_location is not in it: several
// deployments share one mirror.
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/config.h"

namespace bdn::mirror {

std::string SpecToJson(const model::WeightsSource& weights);
// Errors: kCorrupt when it is not what SpecToJson wrote, with the place.
Result<model::WeightsSource> SpecFromJson(std::string_view json);

}  // namespace bdn::mirror
