#pragma once
// Trees of files on disk from a manifest. Internal to this component.
#include <functional>
#include <string>

#include "base/context.h"
#include "base/executor.h"
#include "base/result.h"
#include "model/manifest.h"
#include "os/fs.h"

namespace bdn::cache {

// Makes directory `root` with everything that the manifest lists: directories, symbolic links, and
// files by `place(entry, path)`. Entries of one link group are the first entry's file. Missing
// parent directories are made (0755). Directory modes are set last, so that a read-only directory
// can be filled.
//
// Files are placed on `executor`, a directory at a time, so `place` must be thread-safe for
// different paths; that halves the time, because the file system locks a directory per new name.
Status BuildTree(
    const Context& ctx,
    os::Fs& fs,
    Executor& executor,
    const model::Manifest& manifest,
    const std::string& root,
    const std::function<Status(const model::ManifestEntry&, const std::string&)>& place);

// How many of the entries are files.
std::uint64_t CountFiles(const model::Manifest& manifest);

// Content and mode.
Status CopyFile(os::Fs& fs, const std::string& from, const std::string& to);

}  // namespace bdn::cache
