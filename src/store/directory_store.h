#pragma once
// Objects as files of a directory: the default origin. Layout and file format are in
// docs/formats/directory-store.md; the file of an object is at FullKey below the root.
//
// A Put writes a temporary file, syncs it, renames it into place and syncs the directory, so that
// at any instant, and after a power cut at any instant, an object is absent or whole. The age of an
// object is its modification time. Get verifies; what does not match its digest is moved to
// quarantine/, so that the next Put of the object heals it.
//
// Several processes may use one directory.
#include <cstddef>
#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "os/fs.h"
#include "store/object_store.h"

namespace bdn::store {

struct DirectoryStoreOptions {
  // One write(2) or read(2). Larger ones leave the CPU's cache between the two copies.
  std::size_t piece_bytes = 256u << 10;
};

// `clock` must outlive the store, and gives objects their age.
// Errors: those of os::Fs.
Result<std::unique_ptr<ObjectStore>> OpenDirectoryStore(std::unique_ptr<os::Fs> fs,
                                                        const Clock& clock,
                                                        const DirectoryStoreOptions& options = {});

}  // namespace bdn::store
