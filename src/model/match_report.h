#pragma once
// What `bdn match` prints, as a pure function of patterns and paths.
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace bdn::model {

struct MatchRequest {
  std::optional<std::vector<std::string>> allow;  // nullopt: everything
  std::vector<std::string> ignore;
  std::vector<std::string> paths;  // as given; a leading "./" is dropped
  bool explain = false;
};

struct MatchReport {
  // For standard output. The selected paths, one a line, in the order given; with `explain` every
  // path: "selected  PATH  (allow 'P')", "ignored   PATH  (ignore 'P')", "left out  PATH  (no allow
  // pattern matches)".
  std::vector<std::string> lines;
  // For standard error: traps such as '*.safetensors' beside files in subdirectories. Only with
  // `explain`, or when nothing at all is selected.
  std::vector<std::string> warnings;
  std::size_t selected = 0;
};

// kInvalidArgument for a pattern that is not valid; the message says what to write instead.
Result<MatchReport> MatchPaths(const MatchRequest& request);

}  // namespace bdn::model
