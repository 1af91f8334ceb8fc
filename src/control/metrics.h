#pragma once
#include <string>

#include "base/result.h"
#include "control/control_plane.h"
#include "store/metadata.h"

namespace bdn::control {

// Prometheus text exposition 0.0.4 of the control plane's state, made from the metadata at each
// scrape, so that every replica shows the same and a restart loses nothing.
Result<std::string> RenderMetrics(store::Metadata& metadata, ControlPlane& control);

}  // namespace bdn::control
