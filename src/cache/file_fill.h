#pragma once
// Assembles one file of the node cache from verified chunks. Internal to this component.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/executor.h"
#include "base/result.h"
#include "model/manifest.h"
#include "os/fs.h"
#include "store/object_store.h"

namespace bdn::cache {

// Bytes that became available: fetched now, or found in what an earlier attempt left.
using OnBytes = std::function<void(std::uint64_t bytes, bool reused)>;

// "ab/<hex>.<mode>", or "ab/<hex>.<mode>.map" for the digest of a chunkmap: the name of a file's
// content and mode below files/. A chunk and a chunkmap of the same digest are different files.
std::string CacheFileName(const model::ManifestEntry& entry);
// "partial/<hex>.<mode>": where a file of several chunks is assembled. Two modes of one content are
// two files, so that fills of both never write into each other's.
std::string PartialName(const model::ManifestEntry& entry);
inline constexpr std::string_view kMarksSuffix = ".marks";

struct FillTarget {
  os::Fs& fs;
  store::ObjectReader& upstream;
  Executor& executor;
  const store::Scope& scope;
};

// Puts entry's content at `path`, complete and verified, with its mode; never anything else under
// that name. A file of several chunks is assembled in partial/ with a bitmap beside it, so a
// killed fill goes on where it was; what the bitmap claims is hashed again before it is believed (a
// power cut may keep the bitmap and lose the bytes), so nothing needs to be synced per chunk. The
// content of such a file is durable before it gets its name; a single-chunk file is durable only
// after Fs::SyncAll. `on_allocated` is called once the disk blocks of a chunked file are taken.
Status FillFile(const Context& ctx,
                const FillTarget& target,
                const model::ManifestEntry& entry,
                const std::string& path,
                const OnBytes& on_bytes,
                const std::function<void()>& on_allocated);

// Hashes a complete single-chunk file again. kCorrupt when it does not match.
Status CheckWholeFile(os::Fs& fs, const std::string& path, const model::ManifestEntry& entry);

}  // namespace bdn::cache
