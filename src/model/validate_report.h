#pragma once
// What `bdn validate` prints, as pure functions of a ConfigReport.
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/explain.h"

namespace bdn::model {

// One line, not ended by a newline:
// {"ok":bool,"errors":[{"loc","line","column","message"}],"warnings":[same],"weights":[{"source",
// "mount_location","auth_method","auth_secret_name","allow_patterns","ignore_patterns",
// "mirror_key"}]}. What a config does not say is null; weights are empty when there are errors.
// With `explained`, one for every source, each of the weights has "explain" as well:
// {"mount_path","secret":{"state","name","reason"},"revision":{"kind","message","commit",
// "pinned_source"},"files":null or {"listed","listed_bytes","selected","selected_bytes"},
// "not_listed","warnings":["…"],"findings":[{"rule","message"}]}.
std::string ValidateJson(const ConfigReport& report,
                         const std::vector<SourceExplanation>* explained = nullptr);

// Lines for people, each "file:line:column: error: loc: message", then a summary. Ends with a
// newline.
std::string ValidateText(const ConfigReport& report, std::string_view file);

// A config may hold escape sequences, which a terminal would obey: `text` without them.
std::string PrintableText(std::string_view text);

// "CUSTOM_SECRET", "AWS_OIDC", "GCP_OIDC"; empty for kNone.
std::string_view AuthMethodName(AuthMethod method);

}  // namespace bdn::model
