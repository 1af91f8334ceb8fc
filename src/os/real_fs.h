#pragma once
#include <memory>
#include <string>

#include "os/fs.h"

namespace bdn::os {

// The directory `absolute_path` of this machine, which must exist. Path walks use openat2(2) with
// RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, so a name planted below it cannot lead out of it.
Result<std::unique_ptr<Fs>> OpenRealFs(const std::string& absolute_path);
// The same, made first (with its parents, 0755) where it is missing.
Result<std::unique_ptr<Fs>> OpenOrMakeRealFs(const std::string& absolute_path);

}  // namespace bdn::os
