#pragma once
// The bytes of one file of a stand-in: in memory, or in an open file that is served from disk.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/fs.h"

namespace bdn::fakes {

// Immutable after it was made; shared by commits, answers under way and threads.
struct Content {
  std::string bytes = {};               // when there is no `file`
  std::unique_ptr<os::File> file = {};  // must not change while the stand-in runs
  std::uint64_t size = 0;

  // Fewer bytes than `count` only at the end.
  Result<std::string> Read(std::uint64_t offset, std::uint64_t count) const;
};
using ContentPtr = std::shared_ptr<const Content>;

ContentPtr MakeContent(std::string bytes);
// Every regular file below `directory` (an absolute path) by its relative path. Files up to
// kInMemoryBytesMax are read, larger ones stay open. kInvalidArgument for a symbolic link or
// another thing that is neither file nor directory.
inline constexpr std::uint64_t kInMemoryBytesMax = 1u << 20;
Result<std::map<std::string, ContentPtr>> LoadDirectory(const std::string& directory);

std::string Sha256Of(const Content& content);
// The id of the git blob with these bytes: SHA-1 of "blob <size>\0<bytes>".
std::string GitBlobIdOf(std::string_view bytes);
// `bytes` as a gzip stream (RFC 1952) of stored blocks: valid, and longer than it was.
std::string Gzip(std::string_view bytes);

}  // namespace bdn::fakes
