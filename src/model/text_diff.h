#pragma once
// Unified diffs of texts, by line, as `diff -u` prints them.
#include <string>
#include <string_view>

namespace bdn::model {

// Empty when both are equal. Three lines of context; line ends are part of a line, so a CR that
// came or went shows as a changed line; a last line without one is followed by
// "\ No newline at end of file". Shortest for up to 1000 changed lines (Myers 1986, "An O(ND)
// Difference Algorithm"); with more the middle between the common ends is shown as replaced.
std::string UnifiedDiff(std::string_view from,
                        std::string_view to,
                        std::string_view from_label,
                        std::string_view to_label);

}  // namespace bdn::model
