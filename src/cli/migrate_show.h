#pragma once
// What `bdn migrate` prints: diffs, warnings and JSON, safe for a terminal.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cli/migrate_files.h"
#include "cli/terminal.h"
#include "model/migrate.h"

namespace bdn::cli {

// Bytes from files go to a terminal; escape sequences in them must not.
std::string Printable(std::string_view text);

// Coloured as diffs are, when standard output is a terminal.
std::string PaintDiff(const Terminal& terminal, const std::string& diff);

// Why sources could not be listed, by source.
using NotListed = std::map<std::string, std::string>;

void ShowWarnings(const Terminal& terminal,
                  const model::MigrateResult& result,
                  const NotListed& not_listed);

struct MigrateStory {
  std::string_view status;
  std::string message;
  std::string diff;
  std::string root;  // with the '/' at its end, in front of the paths of files
  std::vector<FileChange> files;
};
std::string MigrateJson(const model::MigrateResult& result,
                        const MigrateStory& story,
                        const NotListed& not_listed);

}  // namespace bdn::cli
