#pragma once
// When is a directory that somebody else writes complete? Decisions for `bdn checkpoint push
// --watch`: looks at a training's output directory again and again and says which of its
// subdirectories may be pushed. Reads names and stamps, never content.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "os/fs.h"

namespace bdn::mirror {

// What tells that something below a directory has changed: of every entry its type, size, time,
// inode, mode. Two equal ones around a push mean that every file was read as one version.
struct TreeSnapshot {
  struct Entry {
    std::string path;
    os::FileType type = os::FileType::kOther;
    std::uint64_t size = 0;
    std::uint64_t inode = 0;
    std::uint32_t mode = 0;
    WallTime modified;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  std::vector<Entry> entries;  // by path
  WallTime newest;             // of all entries

  bool Has(std::string_view path) const;
  friend bool operator==(const TreeSnapshot&, const TreeSnapshot&) = default;
};
// Everything below `dir`. kNotFound when something vanishes meanwhile; kResourceExhausted above
// model::kManifestEntriesMax entries.
Result<TreeSnapshot> TakeSnapshot(const os::Fs& fs, const std::string& dir);

// The files that frameworks write last: the state of a Hugging Face trainer, the metadata of a
// distributed PyTorch checkpoint, and what people write by hand.
const std::vector<std::string>& CommonMarkers();
// Names under which unfinished directories wait for their rename: "tmp-…", "….tmp", ".…".
bool IsTemporaryName(std::string_view name);

struct TreeWatchOptions {
  // A directory is a checkpoint when one of these is in it.
  std::vector<std::string> markers = CommonMarkers();
  // And complete when nothing in it has changed for so long.
  Duration quiet = std::chrono::seconds(10);
};

// Not thread-safe. The rules: a subdirectory of the root that has no temporary name, holds a
// marker, and was seen twice, at least `quiet` apart, with no difference in between.
class TreeWatch {
 public:
  // `root` is borrowed.
  TreeWatch(const os::Fs& root, TreeWatchOptions options)
      : root_(root), options_(std::move(options)) {}

  struct Found {
    std::string name;
    TreeSnapshot snapshot;
  };
  // The complete ones that are not Settled, oldest content first. What cannot be read now (it is
  // being renamed or removed) is looked at next time. Errors: those of listing the root.
  Result<std::vector<Found>> Look(MonoTime now);
  // It was pushed, or never will be: not to be found again, whatever becomes of it.
  void Settle(const std::string& name) { seen_[name].settled = true; }
  // It changed while it was pushed: its time begins anew.
  void StartOver(const std::string& name) { seen_.erase(name); }
  // How many directories wait for their marker or for quiet.
  std::size_t waiting() const { return waiting_; }

 private:
  struct Seen {
    std::optional<TreeSnapshot> snapshot;
    MonoTime since;
    bool settled = false;
  };

  const os::Fs& root_;
  const TreeWatchOptions options_;
  std::map<std::string, Seen> seen_;
  std::size_t waiting_ = 0;
};

}  // namespace bdn::mirror
