// The containment rules: what a manifest may ask us to create on disk. Everything here works on
// entries sorted segment by segment, in which everything below a directory directly follows it; so
// a million entries cost one sort (none, for a manifest that we wrote) and one pass.
#include "model/tree.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>

#include <fmt/format.h>

#include "codec/utf8.h"

namespace bdn::model {
namespace {

Error Refused(std::string_view path, std::string_view why) {
  return Error(Code::kCorrupt, fmt::format("path '{}': {}", path, why));
}

// A control character in a message would reach somebody's terminal.
std::string Printable(std::string_view path) {
  std::string out;
  for (const char c : path.substr(0, 200)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::string_view NextSegment(std::string_view& rest) {
  const auto slash = rest.find('/');
  const std::string_view segment = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  return segment;
}

bool IsBelow(std::string_view path, std::string_view base) {
  return path.size() > base.size() && path[base.size()] == '/' && path.starts_with(base);
}

// Walks symbolic links the way the kernel does. The links, sorted, are searched like a tree: a
// directory is the range of links that lie below it, and a step into it narrows the range. Ranges
// instead of nodes keep the memory at 4 bytes a link whatever the paths look like.
class LinkWalker {
 public:
  explicit LinkWalker(const std::vector<ManifestEntry>& entries, std::vector<std::uint32_t> links)
      : entries_(entries), links_(std::move(links)), steps_left_(kStepsPerLink * links_.size()) {
    steps_left_ += kStepsAlways;
  }

  Status CheckAll() {
    for (const std::uint32_t link : links_) BDN_TRY(Check(entries_[link]));
    return {};
  }

 private:
  // An honest tree takes about ten steps a link; forty hops through long targets would let a
  // hostile one take a hundred thousand.
  static constexpr std::uint64_t kStepsPerLink = 64;
  static constexpr std::uint64_t kStepsAlways = 1'000'000;

  struct Directory {
    std::size_t first = 0;  // links_[first, last) lie below it
    std::size_t last = 0;
    std::size_t offset = 0;  // where in their paths the next segment begins
  };

  std::string_view SegmentAt(std::size_t link, std::size_t offset) const {
    std::string_view rest = std::string_view(entries_[links_[link]].path).substr(offset);
    return rest.substr(0, rest.find('/'));
  }

  // Goes from the current directory into `name`. When that is a symbolic link: its entry, and the
  // current directory stays.
  const ManifestEntry* Enter(std::string_view name) {
    const Directory& at = where_.back();
    Directory next;
    if (at.first < at.last) {
      const auto begin = links_.begin();
      const auto index = [&](const std::uint32_t& link) {
        return static_cast<std::size_t>(&link - links_.data());
      };
      const auto first = std::partition_point(
          begin + static_cast<std::ptrdiff_t>(at.first),
          begin + static_cast<std::ptrdiff_t>(at.last),
          [&](const std::uint32_t& link) { return SegmentAt(index(link), at.offset) < name; });
      const auto last = std::partition_point(
          first, begin + static_cast<std::ptrdiff_t>(at.last),
          [&](const std::uint32_t& link) { return SegmentAt(index(link), at.offset) == name; });
      next.first = static_cast<std::size_t>(first - begin);
      next.last = static_cast<std::size_t>(last - begin);
      if (next.first < next.last) {
        const ManifestEntry& entry = entries_[links_[next.first]];
        if (entry.path.size() == at.offset + name.size()) return &entry;
      }
      next.offset = at.offset + name.size() + 1;
    }
    where_.push_back(next);
    return nullptr;
  }

  Status Check(const ManifestEntry& link) {
    where_.assign(1, Directory{0, links_.size(), 0});
    std::string_view parents = link.path;
    while (parents.find('/') != std::string_view::npos) {
      if (steps_left_-- == 0) return TooTangled();
      Enter(NextSegment(parents));
    }
    int hops = 0;
    pending_.clear();
    const ManifestEntry* met = &link;
    while (true) {
      if (met != nullptr) {
        if (++hops > kSymlinkHopsMax) {
          return Refused(
              Printable(link.path),
              fmt::format("the symbolic link leads through more than {} links", kSymlinkHopsMax));
        }
        if (met->target.starts_with('/')) where_.resize(1);
        pending_.push_back(met->target);
        met = nullptr;
      }
      while (!pending_.empty() && pending_.back().empty()) pending_.pop_back();
      if (pending_.empty()) return {};
      const std::string_view name = NextSegment(pending_.back());
      if (steps_left_-- == 0) return TooTangled();
      if (name.empty() || name == ".") continue;
      if (name == "..") {
        if (where_.size() == 1) {
          return Refused(Printable(link.path), "the symbolic link leads out of the tree");
        }
        where_.pop_back();
        continue;
      }
      met = Enter(name);
    }
  }

  static Error TooTangled() {
    return Error(Code::kResourceExhausted,
                 "the symbolic links of this tree take too many steps to check");
  }

  const std::vector<ManifestEntry>& entries_;
  std::vector<std::uint32_t> links_;
  std::uint64_t steps_left_;
  std::vector<Directory> where_;
  std::vector<std::string_view> pending_;  // what is left of each target, innermost last
};

Status CheckTarget(const ManifestEntry& entry) {
  if (entry.target.empty()) {
    return Refused(Printable(entry.path), "the symbolic link has no target");
  }
  if (entry.target.find('\0') != std::string::npos) {
    return Refused(Printable(entry.path), "the target of the symbolic link holds a NUL");
  }
  if (RenderSymlinkTarget(entry.path, entry.target).size() >= kPathBytesMax) {
    return Refused(
        Printable(entry.path),
        fmt::format("the target of the symbolic link is longer than {} bytes", kPathBytesMax - 1));
  }
  return {};
}

}  // namespace

bool PathLess(std::string_view a, std::string_view b) {
  const std::size_t common = std::min(a.size(), b.size());
  std::size_t at = 0;
  // Paths of one tree share long beginnings: eight bytes at a time through those.
  for (std::uint64_t x = 0, y = 0; common - at >= sizeof x; at += sizeof x) {
    std::memcpy(&x, a.data() + at, sizeof x);
    std::memcpy(&y, b.data() + at, sizeof y);
    if (x != y) break;
  }
  while (at < common && a[at] == b[at]) ++at;
  if (at == common) return a.size() < b.size();
  if (a[at] == '/') return true;
  if (b[at] == '/') return false;
  return static_cast<unsigned char>(a[at]) < static_cast<unsigned char>(b[at]);
}

Status CheckTreePath(std::string_view path) {
  if (path.empty()) return Refused("", "a path may not be empty");
  if (path.size() > kPathBytesMax) {
    return Refused(Printable(path), fmt::format("longer than {} bytes", kPathBytesMax));
  }
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= path.size(); ++i) {
    if (i < path.size() && path[i] != '/') {
      const auto byte = static_cast<unsigned char>(path[i]);
      if (byte < 0x20 || byte == 0x7f) {
        return Refused(Printable(path), "holds a control character");
      }
      continue;
    }
    const std::string_view segment = path.substr(begin, i - begin);
    if (segment.empty()) {
      return Refused(path,
                     begin == 0 ? "absolute" : "has an empty segment ('//' or a '/' at the end)");
    }
    if (segment == "." || segment == "..") {
      return Refused(Printable(path), "has a '.' or '..' segment");
    }
    if (segment.size() > kPathSegmentBytesMax) {
      return Refused(Printable(path),
                     fmt::format("has a segment longer than {} bytes", kPathSegmentBytesMax));
    }
    begin = i + 1;
  }
  if (!codec::IsUtf8(path)) return Error(Code::kCorrupt, "a path is not UTF-8");
  return {};
}

std::vector<std::uint32_t> TreeOrder(const std::vector<ManifestEntry>& entries) {
  std::vector<std::uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0u);
  const bool sorted = std::is_sorted(
      entries.begin(), entries.end(),
      [](const ManifestEntry& a, const ManifestEntry& b) { return PathLess(a.path, b.path); });
  if (sorted) return order;
  // Views side by side: a comparison that goes through the entries misses the cache four times
  // instead of twice.
  struct Named {
    std::string_view path;
    std::uint32_t index = 0;
  };
  std::vector<Named> named(entries.size());
  for (const std::uint32_t i : order) named[i] = {entries[i].path, i};
  std::sort(named.begin(), named.end(),
            [](const Named& a, const Named& b) { return PathLess(a.path, b.path); });
  std::transform(named.begin(), named.end(), order.begin(),
                 [](const Named& entry) { return entry.index; });
  return order;
}

Status CheckTree(const std::vector<ManifestEntry>& entries) {
  if (entries.size() > kManifestEntriesMax) {
    return Error(Code::kResourceExhausted, fmt::format("{} entries are over the limit of {}",
                                                       entries.size(), kManifestEntriesMax));
  }
  for (const ManifestEntry& entry : entries) {
    BDN_TRY(CheckTreePath(entry.path));
    if (entry.type == EntryType::kSymlink) BDN_TRY(CheckTarget(entry));
  }
  const std::vector<std::uint32_t> order = TreeOrder(entries);
  std::vector<std::uint32_t> links;
  std::vector<std::uint32_t> above;  // the listed directories that hold the entry at hand
  const std::string* previous = nullptr;
  for (const std::uint32_t i : order) {
    const ManifestEntry& entry = entries[i];
    if (previous != nullptr && *previous == entry.path) return Refused(entry.path, "listed twice");
    previous = &entry.path;
    while (!above.empty() && !IsBelow(entry.path, entries[above.back()].path)) above.pop_back();
    if (!above.empty() && entries[above.back()].type != EntryType::kDirectory) {
      return Refused(entry.path, fmt::format("lies below '{}', which is not a directory",
                                             entries[above.back()].path));
    }
    above.push_back(i);
    if (entry.type == EntryType::kSymlink) links.push_back(i);
  }
  return LinkWalker(entries, std::move(links)).CheckAll();
}

std::string RenderSymlinkTarget(std::string_view path, std::string_view target) {
  if (!target.starts_with('/')) return std::string(target);
  std::string rendered;
  for (auto depth = std::count(path.begin(), path.end(), '/'); depth > 0; --depth) {
    rendered += "../";
  }
  while (target.starts_with('/')) target.remove_prefix(1);
  rendered += target;
  return rendered.empty() ? "." : rendered;
}

}  // namespace bdn::model
