#pragma once
// What every listing of a provider must hold before a file of it is fetched.
#include <string>
#include <vector>

#include "base/result.h"
#include "source/source.h"

namespace bdn::source {

// Every path fit for a disk, none twice, no file where another needs a directory. `files` is sorted
// by path; `directories` are those that the listing names itself.
// Errors: kInvalidArgument that names all offenders (the first 200).
Status CheckListing(const std::string& identity,
                    const std::vector<RemoteFile>& files,
                    const std::vector<std::string>& directories);

}  // namespace bdn::source
