#pragma once
// What must be done so that trees appear at absolute paths whose parents may not exist, without
// creating anything on the host's own file tree. Pure: it looks at the host through HostView and
// returns a plan; EnterNamespace (mount/private_namespace.h) carries it out in a process of its
// own.
//
// A location that exists as a directory is simply mounted over, inside the private namespace. For a
// location whose parents are missing, the deepest directory D of its path that exists is
// *shadowed*: a tmpfs covers D, every entry of D is bind-mounted into it (symbolic links are made
// again), and the missing directories are made in the tmpfs. Locations with the same D share one
// shadow.
//
// What a command sees of a shadowed directory: the same entries, as they were at its start. It is
// read-only, because a file that is made in it would vanish with the command; what lies below its
// entries is as writable as before. The exception is a directory that anybody may write to (sticky,
// like /tmp): it stays writable, and what is made in it is private to the command.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bdn::mount {

inline constexpr std::size_t kTreesMax = 256;             // of one command
inline constexpr std::size_t kShadowEntriesMax = 10'000;  // of one shadowed directory
inline constexpr int kSymlinksMax = 40;                   // on the way to a location, as the kernel

struct TreeMount {
  std::string tree;            // absolute host path of a directory
  std::string mount_location;  // absolute, normalised
};

enum class HostKind : std::uint8_t { kMissing, kDirectory, kSymlink, kOther };

struct HostEntry {
  std::string name;  // empty in the answer of Look
  HostKind kind = HostKind::kMissing;
  std::string link_target;  // of a symbolic link
  std::uint32_t mode = 0;   // permission bits, of a directory
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

// The host's file tree, read only.
class HostView {
 public:
  virtual ~HostView() = default;
  // Of the entry itself: a symbolic link is not followed. kMissing is not an error.
  virtual Result<HostEntry> Look(const std::string& path) const = 0;
  // Without "." and "..". kResourceExhausted over kShadowEntriesMax.
  virtual Result<std::vector<HostEntry>> List(const std::string& dir) const = 0;
};

struct Shadow {
  std::string dir;   // "/" or an absolute path without symbolic links
  std::string mode;  // octal, for tmpfs
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool writable = false;
  std::vector<HostEntry> entries;     // to show again
  std::vector<std::string> new_dirs;  // relative to dir, parents first
};

struct PlannedMount {
  std::string tree;
  std::string target;  // the location without symbolic links: exists once the shadows stand
  int fd = -1;         // for EnterNamespace
};

struct NamespacePlan {
  std::vector<Shadow> shadows;  // a directory before what is below it
  std::vector<PlannedMount> mounts;
  std::string working_directory;  // entered again at the end
  std::string uid_map;            // "1000 1000 1", used when a user namespace is needed
  std::string gid_map;
};

struct Caller {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string working_directory;
};

// Symbolic links on the way to a location are followed as the kernel would (with /var/run -> /run,
// /var/run/x is made at /run/x and seen at both), a dangling last one too.
// Errors name the location:
//   kInvalidArgument    "/", a path that is not absolute and normalised, at or below /proc, /sys or
//                       /dev, twice the same, or one location inside another
//   kFailedPrecondition a component exists and is not a directory; too many symbolic links
//   kPermissionDenied   a directory that must be shadowed cannot be listed
//   kResourceExhausted  more than kTreesMax trees or kShadowEntriesMax entries
Result<NamespacePlan> PlanNamespace(std::span<const TreeMount> trees,
                                    const HostView& host,
                                    const Caller& caller);

}  // namespace bdn::mount
