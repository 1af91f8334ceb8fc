#include "model/manifest.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <unordered_map>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parser.hpp>
#include <fmt/format.h>

#include "codec/json.h"
#include "model/tree.h"

namespace bdn::model {
namespace json = boost::json;

namespace {

// Two paths of kPathBytesMax in which every byte is written as \u00xx, and the fields beside them.
constexpr std::size_t kLineBytesMax = 64u << 10;
constexpr std::size_t kDepthMax = 8;
// Sizes are signed 64-bit on every file system, and sums of two never overflow this way.
constexpr std::uint64_t kSizeBytesMax = std::numeric_limits<std::int64_t>::max();

Error Corrupt(std::string_view why) {
  return Error(Code::kCorrupt, std::string(why));
}

// Calls `each` with the object of every line of `text`; adds "<what> line N" to its errors.
template <class Each>
Status ForEachRecord(std::string_view what, std::string_view text, Each each) {
  // One block of memory serves every line: a manifest has up to a million of them.
  std::array<unsigned char, 16u << 10> values;
  std::array<unsigned char, 4u << 10> scratch;
  json::parse_options options;
  options.max_depth = kDepthMax;
  json::parser parser({}, options, scratch.data(), scratch.size());
  for (std::size_t line = 1, begin = 0; begin < text.size(); ++line) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view record = text.substr(begin, end - begin);
    begin = end + 1;
    const auto check = [&]() -> Status {
      if (record.size() > kLineBytesMax) {
        return Corrupt(fmt::format("longer than {} bytes", kLineBytesMax));
      }
      json::monotonic_resource memory(values.data(), values.size());
      parser.reset(&memory);
      json::error_code ec;
      parser.write(record.data(), record.size(), ec);
      if (ec) return Corrupt(fmt::format("not valid JSON: {}", ec.message()));
      const json::value value = parser.release();
      const json::object* object = value.if_object();
      if (object == nullptr) return Corrupt("not a JSON object");
      return each(*object);
    };
    if (Status status = check(); !status) {
      return std::move(status).error().Context(fmt::format("{} line {}", what, line));
    }
  }
  return {};
}

std::string_view View(const json::string& text) {
  return {text.data(), text.size()};
}

Result<std::string_view> Text(const json::object& record, std::string_view key) {
  const json::value* member = record.if_contains(key);
  if (member == nullptr) return Corrupt(fmt::format("\"{}\" is missing", key));
  const json::string* text = member->if_string();
  if (text == nullptr) return Corrupt(fmt::format("\"{}\" must be a string", key));
  return View(*text);
}

Result<std::uint64_t> Number(const json::object& record, std::string_view key) {
  const json::value* member = record.if_contains(key);
  if (member == nullptr) return Corrupt(fmt::format("\"{}\" is missing", key));
  const std::int64_t* number = member->if_int64();
  if (number == nullptr || *number < 0) {
    return Corrupt(fmt::format("\"{}\" must be a whole number from 0 to 2^63-1", key));
  }
  return static_cast<std::uint64_t>(*number);
}

Result<crypto::Digest> DigestOf(const json::object& record) {
  BDN_ASSIGN(const std::string_view text, Text(record, "digest"));
  auto digest = crypto::ParseDigest(text);
  if (!digest) return std::move(digest).error().WithCode(Code::kCorrupt);
  // The key says where the object rests; one that disagrees with the digest would make two readers
  // see two different trees.
  if (const json::value* target = record.if_contains("target"); target && !target->is_null()) {
    const json::object* object = target->if_object();
    if (object == nullptr) return Corrupt("\"target\" must be an object");
    BDN_ASSIGN(const std::string_view key, Text(*object, "relative_key"));
    if (key != RelativeKey(*digest))
      return Corrupt("\"relative_key\" does not belong to the digest");
  }
  return digest;
}

Result<std::uint32_t> ModeOf(const json::object& record) {
  BDN_ASSIGN(const std::string_view text, Text(record, "mode"));
  std::uint32_t mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') mode = UINT32_MAX;
    if (mode == UINT32_MAX) break;
    mode = mode * 8 + static_cast<std::uint32_t>(c - '0');
  }
  if (text.size() < 3 || text.size() > 7 || mode == UINT32_MAX) {
    return Corrupt(
        fmt::format("\"mode\" must be 3 to 7 octal digits, got '{}'", text.substr(0, 20)));
  }
  return mode & 07777;  // what is above is the type, which "_type" says
}

bool AreDigits(std::string_view text, std::size_t at, std::size_t count) {
  if (text.size() < at + count) return false;
  return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at),
                     text.begin() + static_cast<std::ptrdiff_t>(at + count),
                     [](char c) { return c >= '0' && c <= '9'; });
}

// RFC 3339 §5.6 date-time, by its shape.
bool IsDateTime(std::string_view text) {
  if (text.size() < 20 || text.size() > 40 || !AreDigits(text, 0, 4) || text[4] != '-' ||
      !AreDigits(text, 5, 2) || text[7] != '-' || !AreDigits(text, 8, 2) ||
      (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || !AreDigits(text, 11, 2) ||
      text[13] != ':' || !AreDigits(text, 14, 2) || text[16] != ':' || !AreDigits(text, 17, 2)) {
    return false;
  }
  std::string_view rest = text.substr(19);
  if (rest.starts_with('.')) {
    const auto end = rest.find_first_not_of("0123456789", 1);
    if (end == 1 || end == std::string_view::npos) return false;
    rest.remove_prefix(end);
  }
  if (rest == "Z" || rest == "z") return true;
  return rest.size() == 6 && (rest[0] == '+' || rest[0] == '-') && AreDigits(rest, 1, 2) &&
         rest[3] == ':' && AreDigits(rest, 4, 2);
}

Status ReadContent(const json::object& record, ManifestEntry& entry) {
  BDN_ASSIGN(const std::string_view kind, Text(record, "_kind"));
  if (kind == "slabmap") {
    return Error(Code::kUnsupported, "files of kind \"slabmap\" are not supported");
  }
  if (kind == "chunkmap") {
    BDN_ASSIGN(entry.digest, DigestOf(record));
    BDN_ASSIGN(entry.size, Number(record, "size"));
    entry.chunked = true;
    return {};
  }
  if (kind != "chunk") {
    return Error(Code::kUnsupported,
                 fmt::format("files of kind \"{}\" are not supported", kind.substr(0, 40)));
  }
  const json::value* chunk = record.if_contains("chunk");
  if (chunk == nullptr || chunk->is_null()) return {};  // an empty file
  const json::object* object = chunk->if_object();
  if (object == nullptr) return Corrupt("\"chunk\" must be an object");
  BDN_ASSIGN(entry.size, Number(*object, "length"));
  BDN_ASSIGN(const crypto::Digest digest, DigestOf(*object));
  if (object->contains("offset")) {
    BDN_ASSIGN(const std::uint64_t offset, Number(*object, "offset"));
    if (offset != 0) return Corrupt("the only chunk of a file must have offset 0");
  }
  if (entry.size > 0) entry.digest = digest;
  return {};
}

Status ReadFile(const json::object& record, ManifestEntry& entry) {
  BDN_TRY(ReadContent(record, entry));
  if (const json::value* group = record.if_contains("link_group"); group && !group->is_null()) {
    if (!group->is_int64()) return Corrupt("\"link_group\" must be a whole number");
    entry.link_group = group->get_int64();
  }
  if (const json::value* mtime = record.if_contains("mtime"); mtime && !mtime->is_null()) {
    BDN_ASSIGN(const std::string_view text, Text(record, "mtime"));
    if (!IsDateTime(text)) return Corrupt("\"mtime\" must be an RFC 3339 date and time");
    entry.mtime = text;
  }
  return {};
}

Result<std::string> OptionalText(const json::object& record, std::string_view key) {
  const json::value* member = record.if_contains(key);
  if (member == nullptr || member->is_null()) return std::string();
  BDN_ASSIGN(const std::string_view text, Text(record, key));
  return std::string(text);
}

class ManifestReader {
 public:
  Status Read(const json::object& record) {
    BDN_ASSIGN(const std::string_view type, Text(record, "_type"));
    if (type == "manifest_header") return ReadHeader(record);
    if (type == "provenance") return ReadProvenance(record);
    if (type == "prefix_provenance" || type == "path_provenance") return {};
    ManifestEntry entry;
    if (type == "directory") {
      entry.type = EntryType::kDirectory;
    } else if (type == "symlink") {
      entry.type = EntryType::kSymlink;
    } else if (type != "file") {
      return Error(Code::kUnsupported,
                   fmt::format("records of type \"{}\" are not supported", type.substr(0, 40)));
    }
    if (manifest_.entries.size() == kManifestEntriesMax) {
      return Error(Code::kResourceExhausted,
                   fmt::format("more than {} entries", kManifestEntriesMax));
    }
    BDN_ASSIGN(std::string_view path, Text(record, "path"));
    if (path.starts_with('/')) path.remove_prefix(1);
    BDN_TRY(CheckTreePath(path));
    entry.path = path;
    BDN_ASSIGN(entry.mode, ModeOf(record));
    if (type == "file") BDN_TRY(ReadFile(record, entry));
    if (type == "symlink") {
      BDN_ASSIGN(entry.target, Text(record, "target"));
    }
    manifest_.entries.push_back(std::move(entry));
    return {};
  }

  Result<Manifest> Finish() {
    if (!has_header_) return Corrupt("manifest: the header is missing");
    if (entry_count_ != manifest_.entries.size()) {
      return Corrupt(fmt::format("manifest: the header counts {} entries, there are {}",
                                 entry_count_, manifest_.entries.size()));
    }
    BDN_TRY(CheckSizes());
    if (Status status = CheckTree(manifest_.entries); !status) {
      return std::move(status).error().Context("manifest");
    }
    return std::move(manifest_);
  }

 private:
  Status ReadHeader(const json::object& record) {
    if (has_header_) return Corrupt("a second header");
    has_header_ = true;
    BDN_ASSIGN(const std::string_view schema, Text(record, "manifest_schema"));
    if (schema != "v1") {
      return Error(Code::kUnsupported,
                   fmt::format("manifest schema \"{}\" is not supported", schema.substr(0, 40)));
    }
    BDN_ASSIGN(entry_count_, Number(record, "entry_count"));
    BDN_ASSIGN(total_size_, Number(record, "total_size"));
    if (entry_count_ > kManifestEntriesMax) {
      return Error(Code::kResourceExhausted, fmt::format("{} entries are over the limit of {}",
                                                         entry_count_, kManifestEntriesMax));
    }
    manifest_.entries.reserve(std::min<std::size_t>(entry_count_, 64u << 10));
    return {};
  }

  Status ReadProvenance(const json::object& record) {
    Provenance provenance;
    BDN_ASSIGN(provenance.source_uri, OptionalText(record, "source_uri"));
    BDN_ASSIGN(provenance.source_fingerprint, OptionalText(record, "source_fingerprint"));
    BDN_ASSIGN(provenance.source_fingerprint_type, OptionalText(record, "source_fingerprint_type"));
    if (!manifest_.provenance) manifest_.provenance = std::move(provenance);
    return {};
  }

  // Members of a link group are one file, so they say the same about it, or nothing. Hard-linked
  // bytes exist once; writers differ in whether the header counts them once or by name.
  Status CheckSizes() {
    std::uint64_t by_name = 0;
    std::uint64_t once = 0;
    std::unordered_map<std::int64_t, std::size_t> groups;
    for (std::size_t i = 0; i < manifest_.entries.size(); ++i) {
      ManifestEntry& entry = manifest_.entries[i];
      bool first = true;
      if (entry.link_group) {
        const auto [group, added] = groups.try_emplace(*entry.link_group, i);
        first = added;
        const ManifestEntry& leader = manifest_.entries[group->second];
        if (!entry.digest && entry.size == 0) {
          entry.digest = leader.digest;
          entry.size = leader.size;
          entry.chunked = leader.chunked;
        } else if (entry.digest != leader.digest || entry.size != leader.size ||
                   entry.chunked != leader.chunked) {
          return Corrupt(fmt::format("manifest: '{}' and '{}' share link_group {} but differ",
                                     leader.path, entry.path, *entry.link_group));
        }
      }
      if (entry.size > kSizeBytesMax - by_name) return Corrupt("manifest: the sizes overflow");
      by_name += entry.size;
      if (first) once += entry.size;
    }
    if (total_size_ != once && total_size_ != by_name) {
      return Corrupt(fmt::format("manifest: the header says {} bytes in total, the files have {}",
                                 total_size_, once));
    }
    manifest_.total_size = once;
    return {};
  }

  Manifest manifest_;
  bool has_header_ = false;
  std::uint64_t entry_count_ = 0;
  std::uint64_t total_size_ = 0;
};

void AppendMember(std::string& out, std::string_view key, std::string_view text) {
  out += key;
  codec::AppendJsonString(out, text);
}

void AppendDigest(std::string& out, const crypto::Digest& digest) {
  out += "\"digest\":\"b3:";
  out += digest.hex();
  out += '"';
}

void AppendTarget(std::string& out, const crypto::Digest& digest) {
  out += ",\"target\":{\"relative_key\":\"";
  out += RelativeKey(digest);
  out += "\"}";
}

void AppendEntry(std::string& out, const ManifestEntry& entry) {
  if (entry.type == EntryType::kFile) {
    out += R"({"_type":"file","_kind":)";
    out += entry.chunked ? R"("chunkmap")" : R"("chunk")";
  } else {
    out +=
        entry.type == EntryType::kDirectory ? R"({"_type":"directory")" : R"({"_type":"symlink")";
  }
  out += fmt::format(R"(,"mode":"{:04o}")", entry.mode & 07777);
  AppendMember(out, ",\"path\":", entry.path);
  if (entry.type == EntryType::kSymlink) AppendMember(out, ",\"target\":", entry.target);
  if (entry.type == EntryType::kFile && entry.digest && entry.chunked) {
    out += ',';
    AppendDigest(out, *entry.digest);
    out += fmt::format(",\"size\":{}", entry.size);
    AppendTarget(out, *entry.digest);
  } else if (entry.type == EntryType::kFile && entry.digest) {
    out += ",\"chunk\":{";
    AppendDigest(out, *entry.digest);
    out += fmt::format(",\"length\":{},\"offset\":0", entry.size);
    AppendTarget(out, *entry.digest);
    out += '}';
  }
  if (entry.link_group) out += fmt::format(",\"link_group\":{}", *entry.link_group);
  if (!entry.mtime.empty()) AppendMember(out, ",\"mtime\":", entry.mtime);
  out += "}\n";
}

}  // namespace

std::string RelativeKey(const crypto::Digest& digest) {
  const std::string hex = digest.hex();
  std::string key = "objects/b3/";
  key.append(hex, 0, 2).append("/").append(hex, 2, 2).append("/").append(hex);
  return key;
}

std::string WriteManifest(const Manifest& manifest) {
  std::uint64_t total = 0;
  std::unordered_map<std::int64_t, bool> groups;
  for (const ManifestEntry& entry : manifest.entries) {
    if (!entry.link_group || groups.try_emplace(*entry.link_group, true).second) {
      total += entry.size;
    }
  }
  std::string out = fmt::format(
      R"({{"_type":"manifest_header","entry_count":{},"manifest_schema":"v1","total_size":{}}})",
      manifest.entries.size(), total);
  out += '\n';
  if (manifest.provenance) {
    AppendMember(out, R"({"_type":"provenance","source_uri":)", manifest.provenance->source_uri);
    AppendMember(out, ",\"source_fingerprint\":", manifest.provenance->source_fingerprint);
    AppendMember(out,
                 ",\"source_fingerprint_type\":", manifest.provenance->source_fingerprint_type);
    out += "}\n";
  }
  out.reserve(out.size() + manifest.entries.size() * 320);
  for (const std::uint32_t i : TreeOrder(manifest.entries)) AppendEntry(out, manifest.entries[i]);
  return out;
}

std::string WriteChunkmap(const Chunkmap& chunkmap) {
  std::string out = fmt::format(R"({{"_type":"chunkmap_header","chunk_count":{},"file_size":{}}})",
                                chunkmap.chunks.size(), chunkmap.file_size);
  out += '\n';
  for (const Chunk& chunk : chunkmap.chunks) {
    out += R"({"_type":"chunk",)";
    AppendDigest(out, chunk.digest);
    out += fmt::format(",\"length\":{},\"offset\":{}", chunk.length, chunk.offset);
    AppendTarget(out, chunk.digest);
    out += "}\n";
  }
  return out;
}

Result<Manifest> ParseManifest(std::string_view text) {
  if (text.size() > kManifestBytesMax) {
    return Error(
        Code::kResourceExhausted,
        fmt::format("manifest: {} bytes are over the limit of {}", text.size(), kManifestBytesMax));
  }
  ManifestReader reader;
  BDN_TRY(ForEachRecord("manifest", text,
                        [&](const json::object& record) { return reader.Read(record); }));
  return reader.Finish();
}

Result<Chunkmap> ParseChunkmap(std::string_view text) {
  if (text.size() > kManifestBytesMax) {
    return Error(
        Code::kResourceExhausted,
        fmt::format("chunkmap: {} bytes are over the limit of {}", text.size(), kManifestBytesMax));
  }
  Chunkmap chunkmap;
  std::optional<std::uint64_t> chunk_count;
  BDN_TRY(ForEachRecord("chunkmap", text, [&](const json::object& record) -> Status {
    BDN_ASSIGN(const std::string_view type, Text(record, "_type"));
    if (type == "chunkmap_header") {
      if (chunk_count) return Corrupt("a second header");
      BDN_ASSIGN(chunk_count, Number(record, "chunk_count"));
      BDN_ASSIGN(chunkmap.file_size, Number(record, "file_size"));
      return {};
    }
    if (type != "chunk") {
      return Error(Code::kUnsupported,
                   fmt::format("records of type \"{}\" are not supported", type.substr(0, 40)));
    }
    if (chunkmap.chunks.size() == kChunkmapChunksMax) {
      return Error(Code::kResourceExhausted,
                   fmt::format("more than {} chunks", kChunkmapChunksMax));
    }
    Chunk chunk;
    BDN_ASSIGN(chunk.digest, DigestOf(record));
    BDN_ASSIGN(chunk.length, Number(record, "length"));
    BDN_ASSIGN(chunk.offset, Number(record, "offset"));
    if (chunk.length == 0) return Corrupt("\"length\" must be at least 1");
    chunkmap.chunks.push_back(chunk);
    return {};
  }));
  if (!chunk_count) return Corrupt("chunkmap: the header is missing");
  if (*chunk_count != chunkmap.chunks.size()) {
    return Corrupt(fmt::format("chunkmap: the header counts {} chunks, there are {}", *chunk_count,
                               chunkmap.chunks.size()));
  }
  std::sort(chunkmap.chunks.begin(), chunkmap.chunks.end(),
            [](const Chunk& a, const Chunk& b) { return a.offset < b.offset; });
  std::uint64_t end = 0;
  for (const Chunk& chunk : chunkmap.chunks) {
    if (chunk.offset != end) {
      return Corrupt(fmt::format("chunkmap: a chunk begins at {}, the one before it ends at {}",
                                 chunk.offset, end));
    }
    if (chunk.length > kSizeBytesMax - end) return Corrupt("chunkmap: the lengths overflow");
    end += chunk.length;
  }
  if (end != chunkmap.file_size) {
    return Corrupt(fmt::format("chunkmap: the chunks have {} bytes, the header says {}", end,
                               chunkmap.file_size));
  }
  return chunkmap;
}

}  // namespace bdn::model
