#pragma once
// Manifest and chunkmap: the two kinds of object that describe files (docs/formats/objects.md).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/digest.h"

namespace bdn::model {

// Where we cut files; readers accept any length.
inline constexpr std::uint64_t kChunkBytes = 16ull << 20;
inline constexpr std::uint64_t kManifestBytesMax = 512ull << 20;  // uncompressed
inline constexpr std::size_t kManifestEntriesMax = 1'000'000;
inline constexpr std::size_t kChunkmapChunksMax = 1'000'000;
inline constexpr std::size_t kPathBytesMax = 4096;
inline constexpr std::size_t kPathSegmentBytesMax = 255;
inline constexpr int kSymlinkHopsMax = 40;

enum class EntryType : std::uint8_t { kFile, kDirectory, kSymlink };

struct ManifestEntry {
  EntryType type = EntryType::kFile;
  std::string path;
  std::uint32_t mode = 0644;
  // files
  std::uint64_t size = 0;
  // One chunk or none (empty file): its digest is the digest of the content. Larger: the digest of
  // the chunkmap object.
  bool chunked = false;  // "chunkmap"
  std::optional<crypto::Digest> digest;
  std::optional<std::int64_t> link_group;
  std::string mtime;  // RFC 3339 or empty
  // symbolic links: as it stands in the manifest
  std::string target;
};

struct Provenance {
  std::string source_uri;
  std::string source_fingerprint;
  std::string source_fingerprint_type;
};

struct Manifest {
  std::vector<ManifestEntry> entries;  // in the order of the manifest; we write them by path
  std::optional<Provenance> provenance;
  // Bytes of all files, each link group once. WriteManifest computes it anew.
  std::uint64_t total_size = 0;
};

struct Chunk {
  crypto::Digest digest;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct Chunkmap {
  std::uint64_t file_size = 0;
  std::vector<Chunk> chunks;
};

// "objects/b3/aa/bb/<hex>"
std::string RelativeKey(const crypto::Digest& digest);

// Canonical text: header, provenance, entries by path (segment by segment: "a", "a/b", "a-b"); the
// same manifest gives the same bytes.
std::string WriteManifest(const Manifest& manifest);
std::string WriteChunkmap(const Chunkmap& chunkmap);
// Untrusted input: caps, every rule of the format, and containment (CheckTree) before anything is
// returned. kCorrupt with the line number; kUnsupported for a slabmap.
Result<Manifest> ParseManifest(std::string_view text);
Result<Chunkmap> ParseChunkmap(std::string_view text);

// A path that may become a name on disk: not empty, normalised, no NUL or control characters,
// UTF-8, segments and total within the limits.
Status CheckTreePath(std::string_view path);
// All of the containment rules: paths as above, none twice, nothing below a non-directory, symbolic
// links that stay inside at every hop, at most kSymlinkHopsMax.
Status CheckTree(const std::vector<ManifestEntry>& entries);
// What symlink(2) gets for entry `path` → `target`: an absolute target means "from the volume root"
// and becomes relative to the link.
std::string RenderSymlinkTarget(std::string_view path, std::string_view target);

}  // namespace bdn::model
