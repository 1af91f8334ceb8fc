#include "mount/namespace_plan.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <utility>

namespace bdn::mount {
namespace {

constexpr std::size_t kLocationBytesMax = 4095;  // PATH_MAX without the NUL
constexpr std::size_t kNameBytesMax = 255;

Error Refuse(Code code, const std::string& location, std::string_view why) {
  return Error(code, "mount location " + location + ": " + std::string(why));
}

std::string Join(const std::string& dir, std::string_view name) {
  return (dir == "/" ? "/" : dir + '/') + std::string(name);
}

bool IsInside(std::string_view path, std::string_view dir) {
  return path == dir || (path.starts_with(dir) && path.substr(dir.size()).starts_with('/'));
}

bool IsSystemPath(std::string_view path) {
  static constexpr std::array<std::string_view, 3> kSystem = {"/proc", "/sys", "/dev"};
  return path == "/" || std::any_of(kSystem.begin(), kSystem.end(),
                                    [&](std::string_view dir) { return IsInside(path, dir); });
}

// Components, empty ones dropped (a symbolic link's target may hold "//").
std::deque<std::string> Split(std::string_view path) {
  std::deque<std::string> names;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    if (slash != 0) names.emplace_back(path.substr(0, slash));
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return names;
}

Status CheckLocation(const std::string& location) {
  if (!location.starts_with('/')) {
    return Refuse(Code::kInvalidArgument, location, "give an absolute path");
  }
  if (location.size() > kLocationBytesMax || location.find('\0') != std::string::npos) {
    return Refuse(Code::kInvalidArgument, location.substr(0, 100), "too long, or holds a NUL byte");
  }
  std::string normal;
  for (const std::string& name : Split(location)) {
    if (name == "." || name == ".." || name.size() > kNameBytesMax) {
      return Refuse(Code::kInvalidArgument, location,
                    "may not hold \".\", \"..\" or a name of more than 255 bytes");
    }
    normal += '/' + name;
  }
  if (IsSystemPath(location) || normal.empty()) {
    return Refuse(Code::kInvalidArgument, location,
                  "/ and what is in /proc, /sys and /dev is taken");
  }
  if (normal != location) {
    return Refuse(Code::kInvalidArgument, location, "not normalised; write " + normal);
  }
  return {};
}

// A path without symbolic links: what exists of it, and the names below that do not.
struct Resolved {
  std::string existing = "/";
  std::vector<std::string> missing;
};

Result<Resolved> Resolve(const std::string& location, const HostView& host) {
  Resolved at;
  std::deque<std::string> pending = Split(location);
  int links = 0;
  while (!pending.empty()) {
    const std::string name = std::move(pending.front());
    pending.pop_front();
    if (name == ".") continue;
    if (name == "..") {  // only from a symbolic link; `existing` holds none, so this is the parent
      const std::size_t slash = at.existing.rfind('/');
      at.existing = slash == 0 ? "/" : at.existing.substr(0, slash);
      continue;
    }
    const std::string path = Join(at.existing, name);
    BDN_ASSIGN(const HostEntry entry, host.Look(path));
    if (entry.kind == HostKind::kDirectory) {
      at.existing = path;
    } else if (entry.kind == HostKind::kSymlink) {
      if (++links > kSymlinksMax) {
        return Refuse(Code::kFailedPrecondition, location, "too many symbolic links");
      }
      if (entry.link_target.starts_with('/')) at.existing = "/";
      const auto target = Split(entry.link_target);
      pending.insert(pending.begin(), target.begin(), target.end());
    } else if (entry.kind == HostKind::kOther) {
      return Refuse(Code::kFailedPrecondition, location, path + " exists and is not a directory");
    } else {
      at.missing.push_back(name);
      at.missing.insert(at.missing.end(), pending.begin(), pending.end());
      if (std::any_of(pending.begin(), pending.end(),
                      [](const std::string& n) { return n == "." || n == ".."; })) {
        return Refuse(Code::kFailedPrecondition, location,
                      "a symbolic link leads through " + path + ", which does not exist");
      }
      return at;
    }
  }
  return at;
}

std::string Octal(std::uint32_t mode) {
  std::string digits;
  for (int shift = 9; shift >= 0; shift -= 3) {
    digits += static_cast<char>('0' + ((mode >> shift) & 7u));
  }
  return digits;
}

Result<Shadow> PlanShadow(const std::string& dir,
                          const std::set<std::string>& new_dirs,
                          const HostView& host) {
  BDN_ASSIGN(const HostEntry self, host.Look(dir));
  Shadow shadow;
  shadow.dir = dir;
  shadow.mode = Octal(self.mode);
  shadow.uid = self.uid;
  shadow.gid = self.gid;
  shadow.writable = (self.mode & 01002u) == 01002u;  // sticky, and anybody may write
  auto entries = host.List(dir);
  if (!entries) {
    return std::move(entries).error().Context("directory " + dir +
                                              " must be shown with a new entry");
  }
  shadow.entries = *std::move(entries);
  // A set sorts "a" before "a/b": parents first.
  shadow.new_dirs.assign(new_dirs.begin(), new_dirs.end());
  return shadow;
}

Status CheckApart(std::span<const TreeMount> trees, const std::vector<PlannedMount>& mounts) {
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    for (std::size_t j = 0; j < mounts.size(); ++j) {
      if (i == j || !IsInside(mounts[i].target, mounts[j].target)) continue;
      return Refuse(Code::kInvalidArgument, trees[i].mount_location,
                    "is the same as, or inside, mount location " + trees[j].mount_location);
    }
  }
  return {};
}

}  // namespace

Result<NamespacePlan> PlanNamespace(std::span<const TreeMount> trees,
                                    const HostView& host,
                                    const Caller& caller) {
  if (trees.size() > kTreesMax) {
    return Error(Code::kResourceExhausted,
                 "more than " + std::to_string(kTreesMax) + " mount locations");
  }
  NamespacePlan plan;
  plan.working_directory = caller.working_directory;
  plan.uid_map = std::to_string(caller.uid) + ' ' + std::to_string(caller.uid) + " 1\n";
  plan.gid_map = std::to_string(caller.gid) + ' ' + std::to_string(caller.gid) + " 1\n";
  std::map<std::string, std::set<std::string>> shadows;  // directory to its new directories
  for (const TreeMount& tree : trees) {
    BDN_TRY(CheckLocation(tree.mount_location));
    BDN_ASSIGN(const Resolved at, Resolve(tree.mount_location, host));
    std::string target = at.existing;
    std::string below;
    for (const std::string& name : at.missing) {
      target = Join(target, name);
      below += (below.empty() ? "" : "/") + name;
      shadows[at.existing].insert(below);
    }
    if (IsSystemPath(target)) {
      return Refuse(Code::kInvalidArgument, tree.mount_location, "leads to " + target);
    }
    plan.mounts.push_back({.tree = tree.tree, .target = std::move(target)});
  }
  BDN_TRY(CheckApart(trees, plan.mounts));
  for (const auto& [dir, new_dirs] : shadows) {  // sorted: a directory before what is below it
    BDN_ASSIGN(Shadow shadow, PlanShadow(dir, new_dirs, host));
    plan.shadows.push_back(std::move(shadow));
  }
  return plan;
}

}  // namespace bdn::mount
