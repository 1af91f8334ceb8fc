#include "model/match_report.h"

#include <fmt/format.h>

#include "model/pattern.h"

namespace bdn::model {

Result<MatchReport> MatchPaths(const MatchRequest& request) {
  BDN_ASSIGN(const PatternSet set, PatternSet::Parse(request.allow, request.ignore));
  MatchReport report;
  std::vector<std::string> selected;
  std::vector<std::string> unselected;
  for (std::string path : request.paths) {
    // What `find .` prints.
    while (path.starts_with("./")) path.erase(0, 2);
    const PatternSet::Decision decision = set.Explain(path);
    if (!request.explain) {
      if (decision.selected) report.lines.push_back(path);
    } else if (decision.selected) {
      report.lines.push_back(fmt::format("selected  {}  ({})", path,
                                         decision.pattern.empty()
                                             ? "no allow patterns: everything"
                                             : fmt::format("allow '{}'", decision.pattern)));
    } else if (decision.by_ignore) {
      report.lines.push_back(fmt::format("ignored   {}  (ignore '{}')", path, decision.pattern));
    } else {
      report.lines.push_back(fmt::format("left out  {}  (no allow pattern matches)", path));
    }
    (decision.selected ? selected : unselected).push_back(std::move(path));
  }
  report.selected = selected.size();
  if (request.explain || (selected.empty() && !unselected.empty())) {
    report.warnings = set.TopLevelTraps(unselected);
    for (std::string& trap : set.IgnoreTraps(selected)) report.warnings.push_back(std::move(trap));
    if (selected.empty() && !unselected.empty()) {
      report.warnings.push_back(fmt::format("none of {} path{} is selected", unselected.size(),
                                            unselected.size() == 1 ? "" : "s"));
    }
  }
  return report;
}

}  // namespace bdn::model
