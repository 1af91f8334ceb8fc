#pragma once
// The files of `bdn migrate`: finding the code of a model, and replacing files with backups.
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/migrate.h"
#include "os/fs.h"

namespace bdn::cli {

// Python files below the root, sorted, without environments that were unpacked there, hidden
// directories and symbolic links; what cannot be read is passed over.
std::vector<model::CodeFile> ReadCode(const os::Fs& fs);

struct FileChange {
  std::string path;
  std::string before;
  std::string after;
  std::string backup;  // set by ReplaceFiles
};

// Replaces all files or none: first it looks whether each is still `before`, then it copies each to
// the first free name of PATH.bak, PATH.bak.1, …, then each gets its new text, atomically and with
// its mode and owner. After a failure the files are as they were, and so are the directories unless
// a backup could not be removed again.
Status ReplaceFiles(os::Fs& fs, std::vector<FileChange>& changes);

}  // namespace bdn::cli
