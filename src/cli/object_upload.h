#pragma once
// How directories get from this machine into the origin: shared by `volume push` and `checkpoint
// push`.
#include <functional>
#include <string>

#include "api/rest_client.h"
#include "cli/terminal.h"
#include "mirror/tree_push.h"

namespace bdn::cli {

// The organisation that the control plane serves; its paths begin with it.
inline constexpr const char* kOrg = "default";
inline constexpr std::size_t kUploadsParallel = 8;

// Objects of `ns` over HTTP; asks first whether each is there.
mirror::ObjectUpload UploadTo(const api::RestClient& control, const std::string& ns);

// Shows a push as one bar named `label`; both references outlive the result.
std::function<void(const mirror::PushProgress&)> ShowPush(ProgressDisplay& display,
                                                          const Clock& clock,
                                                          std::string label);

}  // namespace bdn::cli
