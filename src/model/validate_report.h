#pragma once
// What `bdn validate` prints, as pure functions of a ConfigReport.
#include <string>
#include <string_view>

#include "model/config.h"

namespace bdn::model {

// One line, not ended by a newline:
// {"ok":bool,"errors":[{"loc","line","column","message"}],"warnings":[same],"weights":[{"source",
// "mount_location","auth_method","auth_secret_name","allow_patterns","ignore_patterns",
// "mirror_key"}]}. What a config does not say is null; weights are empty when there are errors.
std::string ValidateJson(const ConfigReport& report);

// Lines for people, each "file:line:column: error: loc: message", then a summary. Ends with a
// newline.
std::string ValidateText(const ConfigReport& report, std::string_view file);

// "CUSTOM_SECRET", "AWS_OIDC", "GCP_OIDC"; empty for kNone.
std::string_view AuthMethodName(AuthMethod method);

}  // namespace bdn::model
