#include "mirror/plan.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "crypto/blake3.h"
#include "model/pattern.h"

namespace bdn::mirror {
namespace {

constexpr std::size_t kNamesShownMax = 5;
constexpr std::size_t kBadNamesShownMax = 20;
constexpr std::size_t kTrapPathsMax = 10'000;  // unselected paths looked at for warnings

std::string PatternText(const char* name, const std::optional<std::vector<std::string>>& patterns) {
  if (!patterns) return fmt::format("no {}", name);
  std::vector<std::string> shown(
      patterns->begin(),
      patterns->begin() + static_cast<std::ptrdiff_t>(std::min(patterns->size(), kNamesShownMax)));
  return fmt::format("{} [\"{}\"{}]", name, fmt::join(shown, "\", \""),
                     patterns->size() > shown.size() ? ", …" : "");
}

Error NothingMatched(const std::vector<source::RemoteFile>& listing,
                     const model::WeightsSource& weights) {
  std::string text = fmt::format(
      "No files matched weights filters ({}, {}) in {}: listed {} file(s)",
      PatternText("allow_patterns", weights.allow_patterns),
      PatternText("ignore_patterns", weights.ignore_patterns), weights.source, listing.size());
  for (std::size_t i = 0; i < std::min(listing.size(), kNamesShownMax); ++i) {
    text += (i == 0 ? ": " : ", ") + listing[i].path;
  }
  if (listing.size() > kNamesShownMax) text += ", …";
  Error error(Code::kInvalidArgument, std::move(text));
  if (listing.empty()) {
    return std::move(error).WithHint("the source is empty at this revision: check its name");
  }
  return std::move(error).WithHint(
      "\"*.safetensors\" selects the top level only; \"**/*.safetensors\" selects every directory");
}

// A plain message with every name that cannot become a path, not only the first.
Status CheckNames(const std::vector<source::RemoteFile>& files) {
  std::vector<std::string> bad;
  std::size_t count = 0;
  std::vector<model::ManifestEntry> entries;
  entries.reserve(files.size());
  for (const source::RemoteFile& file : files) {
    if (const Status checked = model::CheckTreePath(file.path); !checked) {
      if (++count <= kBadNamesShownMax) bad.push_back(checked.error().message());
    }
    model::ManifestEntry entry;
    entry.path = file.path;
    entry.size = file.size;
    entries.push_back(std::move(entry));
  }
  if (count > 0) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} file(s) of the source have names that cannot be mounted: {}{}",
                             count, fmt::join(bad, "; "), count > bad.size() ? "; …" : ""))
        .WithHint("rename them at the source, or leave them out with ignore_patterns");
  }
  if (Status tree = model::CheckTree(entries); !tree) {
    return std::move(tree).error().WithCode(Code::kInvalidArgument).Context("files of the source");
  }
  return {};
}

// Files that exist and that nobody can read as they are, all of them in one error.
Status CheckProblems(const std::vector<source::RemoteFile>& files) {
  std::string bad;
  std::size_t count = 0;
  for (const source::RemoteFile& file : files) {
    if (file.problem.empty() || ++count > kBadNamesShownMax) continue;
    bad += fmt::format("\n  '{}' {}", file.path, file.problem);
  }
  if (count == 0) return {};
  return Error(Code::kUnsupported,
               fmt::format("{} of the selected files cannot be read:{}{}", count, bad,
                           count > kBadNamesShownMax ? "\n  and more" : ""))
      .WithHint("make them readable at the source, or leave them out with ignore_patterns");
}

// Fields in front of their lengths, so that no two lists of fields give the same text.
void AppendField(std::string& out, std::string_view field) {
  out += std::to_string(field.size());
  out += ':';
  out += field;
}

std::string IdentityText(const source::Pin& pin, const source::RemoteFile& file) {
  std::string text;
  AppendField(text, pin.identity);
  AppendField(text, file.path);
  AppendField(text, file.etag);
  AppendField(text, file.version);
  AppendField(text, std::to_string(static_cast<int>(file.hash_kind)));
  AppendField(text, file.hash);
  AppendField(text, HasContentIdentity(file) ? "" : pin.fingerprint);
  AppendField(text, std::to_string(file.size));
  return text;
}

}  // namespace

std::string ShownSource(const std::string& source) {
  return source.starts_with("https://") ? net::RedactUrl(source) : source;
}

Result<Selection> Select(std::vector<source::RemoteFile> listing,
                         const model::WeightsSource& weights) {
  BDN_ASSIGN(const model::PatternSet patterns,
             model::PatternSet::Parse(weights.allow_patterns, weights.ignore_patterns));
  Selection selection;
  std::vector<std::string> unselected;
  for (const source::RemoteFile& file : listing) {
    if (patterns.Selects(file.path)) {
      selection.bytes += file.size;
      selection.files.push_back(file);
    } else if (unselected.size() < kTrapPathsMax) {
      unselected.push_back(file.path);
    }
  }
  if (selection.files.empty()) return NothingMatched(listing, weights);
  if (selection.files.size() > model::kManifestEntriesMax) {
    return Error(Code::kResourceExhausted,
                 fmt::format("{} files are selected; a version holds at most {}",
                             selection.files.size(), model::kManifestEntriesMax))
        .WithHint("select fewer with allow_patterns");
  }
  BDN_TRY(CheckNames(selection.files));
  BDN_TRY(CheckProblems(selection.files));
  std::sort(selection.files.begin(), selection.files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  selection.warnings = patterns.TopLevelTraps(unselected);
  return selection;
}

Result<StoredSelection> SelectStored(const model::Manifest& tree,
                                     const model::WeightsSource& weights,
                                     const source::Pin& pin) {
  std::vector<source::RemoteFile> files;
  for (const model::ManifestEntry& entry : tree.entries) {
    if (entry.type != model::EntryType::kFile) continue;
    source::RemoteFile file;
    file.path = entry.path;
    file.size = entry.size;
    files.push_back(std::move(file));
  }
  StoredSelection result;
  BDN_ASSIGN(Selection selection, Select(std::move(files), weights));
  result.warnings = std::move(selection.warnings);
  BDN_ASSIGN(const model::PatternSet patterns,
             model::PatternSet::Parse(weights.allow_patterns, weights.ignore_patterns));
  model::Manifest manifest;
  std::set<std::string, std::less<>> parents;
  for (const model::ManifestEntry& entry : tree.entries) {
    if (entry.type == model::EntryType::kDirectory || !patterns.Selects(entry.path)) continue;
    for (std::size_t at = entry.path.rfind('/'); at != std::string::npos && at > 0;
         at = entry.path.rfind('/', at - 1)) {
      if (!parents.insert(entry.path.substr(0, at)).second) break;
    }
    if (entry.type == model::EntryType::kFile) manifest.total_size += entry.size;
    manifest.entries.push_back(entry);
  }
  const auto directories =
      std::count_if(tree.entries.begin(), tree.entries.end(),
                    [](const auto& entry) { return entry.type == model::EntryType::kDirectory; });
  if (manifest.entries.size() + static_cast<std::size_t>(directories) == tree.entries.size()) {
    return result;
  }
  for (const model::ManifestEntry& entry : tree.entries) {
    if (entry.type != model::EntryType::kDirectory) continue;
    if (parents.contains(entry.path)) manifest.entries.push_back(entry);
  }
  manifest.provenance = model::Provenance{.source_uri = weights.source,
                                          .source_fingerprint = pin.fingerprint,
                                          .source_fingerprint_type = pin.fingerprint_type};
  BDN_TRY(model::CheckTree(manifest.entries));
  result.manifest = std::move(manifest);
  return result;
}

std::string ContentHashKey(const source::RemoteFile& file) {
  if (file.hash_kind != source::ContentHash::kSha256 || file.hash.empty()) return {};
  return "sha256:" + file.hash;
}

bool HasContentIdentity(const source::RemoteFile& file) {
  return !file.etag.empty() || !file.version.empty() || !ContentHashKey(file).empty();
}

store::KnownFile KnownFileOf(const source::Pin& pin, const source::RemoteFile& file) {
  store::KnownFile known;
  known.identity = pin.identity;
  known.path = file.path;
  known.etag = file.etag;
  known.version = file.version;
  known.size = file.size;
  known.content_hash = ContentHashKey(file);
  return known;
}

std::string PartialKey(const source::Pin& pin,
                       const source::RemoteFile& file,
                       std::uint64_t chunk_bytes) {
  std::string text = IdentityText(pin, file);
  AppendField(text, std::to_string(chunk_bytes));
  return crypto::Blake3Of(text).hex();
}

std::string FlightKey(const store::Scope& scope,
                      const source::Pin& pin,
                      const source::RemoteFile& file) {
  std::string text;
  AppendField(text, scope.org);
  AppendField(text, scope.ns);
  if (const std::string hash = ContentHashKey(file); !hash.empty()) {
    AppendField(text, hash);
    AppendField(text, std::to_string(file.size));
  } else {
    text += IdentityText(pin, file);
  }
  return text;
}

std::vector<ChunkSlot> CutIntoChunks(std::uint64_t size, std::uint64_t chunk_bytes) {
  BDN_CHECK(chunk_bytes > 0);
  std::vector<ChunkSlot> slots;
  slots.reserve(static_cast<std::size_t>(size / chunk_bytes) + 1);
  for (std::uint64_t at = 0; at < size;) {
    const std::uint64_t length = std::min(chunk_bytes, size - at);
    slots.push_back({.range = {at, at + length}, .digest = std::nullopt});
    at += length;
  }
  return slots;
}

std::uint64_t AdoptChunks(std::vector<ChunkSlot>& slots, std::span<const model::Chunk> stored) {
  std::uint64_t bytes = 0;
  for (const model::Chunk& chunk : stored) {
    const auto slot = std::lower_bound(
        slots.begin(), slots.end(), chunk.offset,
        [](const ChunkSlot& s, std::uint64_t offset) { return s.range.begin < offset; });
    if (slot == slots.end() || slot->digest) continue;
    if (slot->range.begin != chunk.offset || slot->range.size() != chunk.length) continue;
    slot->digest = chunk.digest;
    bytes += chunk.length;
  }
  return bytes;
}

model::Chunkmap ChunkmapOf(std::uint64_t size, const std::vector<ChunkSlot>& slots) {
  model::Chunkmap map;
  map.file_size = size;
  map.chunks.reserve(slots.size());
  for (const ChunkSlot& slot : slots) {
    BDN_CHECK(slot.digest.has_value());
    map.chunks.push_back(
        {.digest = *slot.digest, .offset = slot.range.begin, .length = slot.range.size()});
  }
  return map;
}

model::Manifest ManifestOf(const std::string& source_uri,
                           const source::Pin& pin,
                           const std::vector<source::RemoteFile>& files,
                           const std::vector<FileResult>& results) {
  BDN_CHECK(files.size() == results.size());
  model::Manifest manifest;
  manifest.provenance = model::Provenance{.source_uri = source_uri,
                                          .source_fingerprint = pin.fingerprint,
                                          .source_fingerprint_type = pin.fingerprint_type};
  manifest.entries.reserve(files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    model::ManifestEntry entry;
    entry.path = files[i].path;
    entry.size = files[i].size;
    entry.chunked = results[i].chunked;
    entry.digest = results[i].digest;
    manifest.total_size += entry.size;
    manifest.entries.push_back(std::move(entry));
  }
  return manifest;
}

}  // namespace bdn::mirror
