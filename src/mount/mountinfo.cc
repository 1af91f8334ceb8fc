#include "mount/mountinfo.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace bdn::mount {
namespace {

bool IsOctal(char c) {
  return c >= '0' && c <= '7';
}

// The kernel writes space, tab, newline and backslash as three octal digits.
std::optional<std::string> Unescape(std::string_view field) {
  std::string path;
  path.reserve(field.size());
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '\\') {
      path += field[i];
      continue;
    }
    if (field.size() - i < 4 || !std::all_of(&field[i + 1], &field[i + 1] + 3, IsOctal)) {
      return std::nullopt;
    }
    const int value = (field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0');
    if (value == 0 || value > 255) return std::nullopt;
    path += static_cast<char>(value);
    i += 3;
  }
  return path;
}

// "36 35 98:0 /root /target rw,noatime master:1 - ext3 /dev/root rw": the fourth field is the root,
// the fifth the target.
std::optional<MountInfo> ParseLine(std::string_view line) {
  if (line.find(" - ") == std::string_view::npos) return std::nullopt;
  for (int skipped = 0; skipped < 3; ++skipped) {
    const std::size_t space = line.find(' ');
    if (space == 0 || space == std::string_view::npos) return std::nullopt;
    line.remove_prefix(space + 1);
  }
  const std::size_t first = line.find(' ');
  if (first == 0 || first == std::string_view::npos) return std::nullopt;
  const std::size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  auto root = Unescape(line.substr(0, first));
  auto target = Unescape(line.substr(first + 1, second - first - 1));
  if (!root || !target || !target->starts_with('/')) return std::nullopt;
  return MountInfo{.target = *std::move(target), .root = *std::move(root)};
}

}  // namespace

Result<std::vector<MountInfo>> ParseMountInfo(std::string_view text) {
  std::vector<MountInfo> mounts;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (number > kMountsMax) {
      return Error(Code::kResourceExhausted,
                   "mountinfo: more than " + std::to_string(kMountsMax) + " mounts");
    }
    auto mount = ParseLine(line);
    if (!mount) {
      return Error(Code::kCorrupt,
                   "mountinfo line " + std::to_string(number) + ": not of the documented form");
    }
    mounts.push_back(*std::move(mount));
  }
  return mounts;
}

}  // namespace bdn::mount
