#include "model/migrate_code.h"

#include <algorithm>

#include <fmt/format.h>

namespace bdn::model {
namespace {

using codec::YamlNode;

constexpr std::string_view kCache = "/app/model_cache";
constexpr std::string_view kTransfer = "truss-transfer-cli";
// A file that names paths in every line would drown everything else.
constexpr std::size_t kWarningsPerFileMax = 20;

bool IsPathChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_./-@+").find(c) != std::string_view::npos;
}

bool IsAtOrBelow(std::string_view path, std::string_view base) {
  return path.starts_with(base) && (path.size() == base.size() || path[base.size()] == '/');
}

// The paths below /app/model_cache that a line names.
std::vector<std::string_view> PathsIn(std::string_view line) {
  std::vector<std::string_view> paths;
  for (auto at = line.find(kCache); at != std::string_view::npos; at = line.find(kCache, at + 1)) {
    if (at > 0 && IsPathChar(line[at - 1])) continue;
    std::size_t end = at;
    while (end < line.size() && IsPathChar(line[end])) ++end;
    std::string_view path = line.substr(at, end - at);
    while (path.ends_with('/') || path.ends_with('.')) path.remove_suffix(1);
    if (IsAtOrBelow(path, kCache)) paths.push_back(path);
  }
  return paths;
}

// What became of a path; empty when it is still good.
struct Moved {
  std::string message;
  std::string new_path;
};
Moved WhereIs(std::string_view path, const MigratePlan& plan) {
  for (const PlannedWeight& weight : plan.weights) {
    if (weight.old_path.empty() || !IsAtOrBelow(path, weight.old_path)) continue;
    std::string now = weight.mount + std::string(path.substr(weight.old_path.size()));
    return {fmt::format("{} is now {}", path, now), now};
  }
  for (const PlannedWeight& weight : plan.weights) {
    // Directories above a mount exist as well.
    if (IsAtOrBelow(path, weight.mount) || IsAtOrBelow(weight.mount, path)) return {};
  }
  return {fmt::format("nothing is mounted at {} after the migration", path), {}};
}

std::size_t WarnOfLine(std::string_view line,
                       const std::string& file,
                       int number,
                       MigratePlan& plan) {
  std::size_t warned = 0;
  for (const auto path : PathsIn(line)) {
    Moved moved = WhereIs(path, plan);
    if (moved.message.empty()) continue;
    plan.warnings.push_back({file, number, std::move(moved.message), std::move(moved.new_path)});
    ++warned;
  }
  for (const PlannedWeight& weight : plan.weights) {
    if (weight.baked_repo.empty()) continue;
    const std::string& repo = weight.baked_repo;
    if (line.find("\"" + repo + "\"") == std::string_view::npos &&
        line.find("'" + repo + "'") == std::string_view::npos) {
      continue;
    }
    plan.warnings.push_back(
        {file, number,
         fmt::format("'{}' is no longer in the Hugging Face cache of the image; "
                     "load it from {}",
                     repo, weight.mount),
         weight.mount});
    ++warned;
  }
  return warned;
}

std::size_t SkipBlanks(std::string_view text, std::size_t at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n')) ++at;
  return at;
}

}  // namespace

void WarnOfCode(const std::vector<CodeFile>& code, MigratePlan& plan) {
  for (const CodeFile& file : code) {
    std::size_t warned = 0;
    std::string_view rest = file.text;
    for (int number = 1; !rest.empty() && warned < kWarningsPerFileMax; ++number) {
      const auto newline = std::min(rest.find('\n'), rest.size() - 1);
      warned += WarnOfLine(rest.substr(0, newline + 1), file.path, number, plan);
      rest.remove_prefix(newline + 1);
    }
  }
}

void WarnOfStartCommand(const YamlNode& root, MigratePlan& plan) {
  const YamlNode* server = root.Find("docker_server");
  const YamlNode* command = server == nullptr ? nullptr : server->Find("start_command");
  if (command == nullptr || !command->IsScalar()) return;
  if (command->text.find(kTransfer) != std::string::npos) {
    plan.warnings.push_back(
        {"config.yaml",
         command->line,
         fmt::format("start_command calls {}, which has nothing to do any more: the weights are "
                     "mounted before the server starts. Without it: {}",
                     kTransfer, WithoutTransfer(command->text)),
         {},
         WithoutTransfer(command->text)});
  }
  WarnOfLine(command->text, "config.yaml", command->line, plan);
}

std::string WithoutTransfer(std::string_view command) {
  std::string out(command);
  for (auto at = out.find(kTransfer); at != std::string::npos; at = out.find(kTransfer, at)) {
    std::size_t begin = at;
    while (begin > 0 && IsPathChar(out[begin - 1])) --begin;
    const std::size_t end = std::min(out.find_first_of("&;|\n'\")", at), out.size());
    const std::string_view tail = std::string_view(out).substr(end);
    const std::size_t joint = tail.starts_with("&&") || tail.starts_with("||")  ? 2
                              : tail.starts_with(';') || tail.starts_with('\n') ? 1
                                                                                : 0;
    if (joint > 0) {
      out.erase(begin, SkipBlanks(out, end + joint) - begin);
    } else {
      // It was the last one: what joined it to the one before goes.
      while (begin > 0 &&
             std::string_view(" \t\n&;|").find(out[begin - 1]) != std::string_view::npos) {
        --begin;
      }
      out.erase(begin, end - begin);
    }
    at = begin;
  }
  return out;
}

}  // namespace bdn::model
