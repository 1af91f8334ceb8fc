#include "fakes/content.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "crypto/hash.h"
#include "os/real_fs.h"

namespace bdn::fakes {
namespace {

constexpr std::uint64_t kReadBytes = 1u << 20;
constexpr std::size_t kStoredBlockBytesMax = 65'535;  // RFC 1951 §3.2.4

Result<ContentPtr> LoadFile(os::Fs& fs, const std::string& path) {
  auto content = std::make_shared<Content>();
  BDN_ASSIGN(auto file, fs.Open(path, os::OpenMode::kRead));
  BDN_ASSIGN(const auto info, file->Info());
  content->size = info.size_bytes;
  content->file = std::move(file);
  if (content->size <= kInMemoryBytesMax) {
    BDN_ASSIGN(content->bytes, content->Read(0, content->size));
    content->file.reset();
  }
  return ContentPtr(std::move(content));
}

Status LoadBelow(os::Fs& fs,
                 const std::string& directory,
                 std::map<std::string, ContentPtr>* files) {
  return fs.List(directory, [&](const os::DirEntry& entry) -> Status {
    const std::string path = directory.empty() ? entry.name : directory + "/" + entry.name;
    if (entry.type == os::FileType::kDirectory) return LoadBelow(fs, path, files);
    if (entry.type != os::FileType::kFile) {
      return Error(Code::kInvalidArgument,
                   fs.HostPath(path) + " is neither a file nor a directory: copy what it names");
    }
    BDN_ASSIGN((*files)[path], LoadFile(fs, path));
    return {};
  });
}

std::uint32_t Crc32(std::string_view bytes) {
  static const auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t x = i;
      for (int bit = 0; bit < 8; ++bit) x = (x & 1) != 0 ? (x >> 1) ^ 0xEDB88320u : x >> 1;
      table[i] = x;
    }
    return table;
  }();
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 255];
  return ~crc;
}

void AppendLittleEndian(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

}  // namespace

Result<std::string> Content::Read(std::uint64_t offset, std::uint64_t count) const {
  offset = std::min(offset, size);
  count = std::min(count, size - offset);
  if (file == nullptr) return bytes.substr(offset, count);
  std::string out(count, '\0');
  BDN_ASSIGN(const std::size_t got,
             file->ReadAt(offset, std::as_writable_bytes(std::span(out.data(), out.size()))));
  if (got != count) return Error(Code::kUnavailable, "a served file became shorter");
  return out;
}

ContentPtr MakeContent(std::string bytes) {
  auto content = std::make_shared<Content>();
  content->size = bytes.size();
  content->bytes = std::move(bytes);
  return content;
}

Result<std::map<std::string, ContentPtr>> LoadDirectory(const std::string& directory) {
  BDN_ASSIGN(const auto fs, os::OpenRealFs(directory));
  std::map<std::string, ContentPtr> files;
  BDN_TRY(LoadBelow(*fs, "", &files));
  return files;
}

std::string Sha256Of(const Content& content) {
  crypto::Hasher hasher(crypto::HashKind::kSha256);
  for (std::uint64_t at = 0; at < content.size; at += kReadBytes) {
    const auto piece = content.Read(at, kReadBytes);
    if (!piece) break;  // the hash will not match, which is what the reader of it must find
    hasher.Update(*piece);
  }
  return hasher.FinishHex();
}

std::string GitBlobIdOf(std::string_view bytes) {
  crypto::Hasher hasher(crypto::HashKind::kSha1);
  hasher.Update("blob " + std::to_string(bytes.size()) + std::string(1, '\0'));
  hasher.Update(bytes);
  return hasher.FinishHex();
}

std::string Gzip(std::string_view bytes) {
  std::string out("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  std::string_view rest = bytes;
  do {
    const std::string_view block = rest.substr(0, kStoredBlockBytesMax);
    rest.remove_prefix(block.size());
    out += rest.empty() ? '\x01' : '\x00';
    AppendLittleEndian(out, block.size(), 2);
    AppendLittleEndian(out, ~block.size(), 2);
    out += block;
  } while (!rest.empty());
  AppendLittleEndian(out, Crc32(bytes), 4);
  AppendLittleEndian(out, bytes.size(), 4);
  return out;
}

}  // namespace bdn::fakes
