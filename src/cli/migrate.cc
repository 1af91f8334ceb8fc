#include "model/migrate.h"

#include <algorithm>
#include <iostream>
#include <optional>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <sys/stat.h>

#include "cli/app.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "model/config.h"
#include "model/text_diff.h"
#include "os/fs.h"
#include "os/real_fs.h"

namespace bdn::cli {
namespace {

constexpr int kRefused = 1;
constexpr int kUsage = 2;
constexpr std::string_view kConfigName = "config.yaml";
// What is searched for paths: the code of a model, not an environment that was unpacked beside it.
constexpr std::size_t kCodeFilesMax = 500;
constexpr std::size_t kCodeFileBytesMax = 1 << 20;
constexpr std::size_t kCodeDepthMax = 6;
constexpr int kBackupsMax = 10'000;

// Python files below `dir`, sorted; files that cannot be read are passed over.
void FindCode(const os::Fs& fs,
              const std::string& dir,
              std::size_t depth,
              std::vector<std::string>& paths) {
  if (depth > kCodeDepthMax) return;
  std::vector<os::DirEntry> entries;
  const Status listed = fs.List(dir, [&](const os::DirEntry& entry) {
    entries.push_back(entry);
    return Status();
  });
  if (!listed) return;
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const os::DirEntry& entry : entries) {
    const std::string path = dir.empty() ? entry.name : dir + "/" + entry.name;
    if (paths.size() >= kCodeFilesMax) return;
    if (entry.type == os::FileType::kFile && entry.name.ends_with(".py")) paths.push_back(path);
    const bool skip = entry.name.starts_with('.') || entry.name == "__pycache__" ||
                      entry.name == "node_modules" || entry.name == "site-packages";
    if (entry.type == os::FileType::kDirectory && !skip) FindCode(fs, path, depth + 1, paths);
  }
}

std::vector<model::CodeFile> ReadCode(const os::Fs& fs) {
  std::vector<std::string> paths;
  FindCode(fs, "", 0, paths);
  std::vector<model::CodeFile> code;
  for (const std::string& path : paths) {
    if (auto text = os::ReadFile(fs, path, kCodeFileBytesMax)) {
      code.push_back({path, *std::move(text)});
    }
  }
  return code;
}

// Bytes from files go to a terminal; escape sequences in them must not.
std::string Printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
    out += control ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return out;
}

std::string PaintDiff(const Terminal& terminal, const std::string& diff) {
  if (!terminal.out_is_tty()) return diff;
  std::string out;
  for (std::size_t at = 0; at < diff.size();) {
    const std::size_t end = std::min(diff.find('\n', at), diff.size());
    std::string_view text = std::string_view(diff).substr(at, end - at);
    if (text.ends_with('\r')) text.remove_suffix(1);
    const Colour colour = text.starts_with("---") || text.starts_with("+++") ? Colour::kBold
                          : text.starts_with('@')                            ? Colour::kDim
                          : text.starts_with('-')                            ? Colour::kRed
                          : text.starts_with('+')                            ? Colour::kGreen
                                                                             : Colour::kNone;
    out += terminal.Paint(colour, Printable(text), false) + "\n";
    at = end + 1;
  }
  return out;
}

std::string MigrateJson(std::string_view status,
                        const model::MigrateResult& result,
                        const std::string& message,
                        const std::string& diff,
                        const std::string& backup) {
  // JSON is UTF-8; a file that is not has no diff in it.
  const auto text = [](const std::string& s) {
    return boost::json::value(codec::IsUtf8(s) ? s : Printable("(not UTF-8)"));
  };
  boost::json::array warnings;
  for (const auto& w : result.warnings) {
    warnings.push_back(boost::json::object{{"file", text(w.file)},
                                           {"line", w.line},
                                           {"message", text(w.message)},
                                           {"new_path", text(w.new_path)}});
  }
  boost::json::array errors;
  for (const auto& p : result.problems) {
    errors.push_back(boost::json::object{{"loc", text(p.loc)},
                                         {"line", p.line},
                                         {"column", p.column},
                                         {"message", text(p.message)}});
  }
  return codec::SerializeJson(boost::json::object{{"status", status},
                                                  {"message", text(message)},
                                                  {"backup", text(backup)},
                                                  {"diff", text(diff)},
                                                  {"warnings", std::move(warnings)},
                                                  {"errors", std::move(errors)}}) +
         "\n";
}

enum class Answer { kYes, kNo, kNone };

Answer Ask(const Terminal& terminal) {
  while (true) {
    terminal.Out("Apply these changes? [y/N]: ");
    std::string line;
    if (!std::getline(std::cin, line)) return Answer::kNone;
    const auto first = line.find_first_not_of(" \t\r");
    const auto last = line.find_last_not_of(" \t\r");
    std::string word = first == std::string::npos ? "" : line.substr(first, last - first + 1);
    for (char& c : word) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    if (word == "y" || word == "yes") return Answer::kYes;
    if (word.empty() || word == "n" || word == "no") return Answer::kNo;
    terminal.Out("Error: invalid input\n");
  }
}

// Durable before the file itself changes, under the first name that is free: config.yaml.bak,
// config.yaml.bak.1, … A name is taken by link(2), which never replaces.
Result<std::string> WriteBackup(os::Fs& fs, const std::string& text, std::uint32_t mode) {
  const std::string temporary = fmt::format("{}.bak.tmp-{}", kConfigName, os::RandomName());
  BDN_TRY(os::WriteFileDurably(fs, temporary, text, mode));
  Result<std::string> done = Error(Code::kResourceExhausted, "there are too many backups");
  for (int i = 0; i < kBackupsMax; ++i) {
    std::string name = fmt::format("{}.bak", kConfigName);
    if (i > 0) name += fmt::format(".{}", i);
    const Status linked = fs.Link(temporary, name);
    if (linked) {
      done = std::move(name);
      break;
    }
    if (linked.error().code() != Code::kAlreadyExists) {
      done = linked.error();
      break;
    }
  }
  static_cast<void>(fs.Remove(temporary));  // a leftover is harmless; the result is the story
  if (done) BDN_TRY(fs.SyncDir(""));
  return done;
}

// The backup's name, after the new text is durable in place with the mode of the old file.
Result<std::string> Apply(os::Fs& fs, const std::string& before, const std::string& after) {
  const std::string path(kConfigName);
  BDN_ASSIGN(const os::FileInfo info, fs.Stat(path));
  BDN_ASSIGN(const std::string now, os::ReadFile(fs, path, model::kConfigBytesMax));
  if (now != before) {
    return Error(Code::kFailedPrecondition, "config.yaml changed since it was read")
        .WithHint("run the command again");
  }
  BDN_ASSIGN(std::string backup, WriteBackup(fs, before, info.mode));
  BDN_TRY(os::WriteFileDurably(fs, path, after, info.mode));
  // The umask may have cut the mode when the file was made.
  BDN_TRY(fs.SetMode(path, info.mode));
  return backup;
}

void ShowFindings(const Terminal& terminal, const model::MigrateResult& result) {
  for (const auto& w : result.warnings) {
    terminal.ShowWarning(Printable(fmt::format("{}:{}: {}", w.file, w.line, w.message)));
  }
  for (const auto& p : result.problems) {
    terminal.Err(Printable(fmt::format("{}:{}:{}: {}{}{}\n", kConfigName, p.line, p.column, p.loc,
                                       p.loc.empty() ? "" : ": ", p.message)));
  }
}

// One run of the command: what is known so far, and its two ways of telling it.
class Migration {
 public:
  Migration(App& app, const MigrateOptions& options) : app_(app), options_(options) {}

  int Run() {
    const std::string dir = AbsolutePath(options_.dir);
    auto fs = os::OpenRealFs(dir);
    struct stat info {};
    const std::string path = (dir == "/" ? "" : dir) + "/" + std::string(kConfigName);
    if (!fs || ::lstat(path.c_str(), &info) != 0) {
      const bool yml = ::lstat((path.substr(0, path.size() - 4) + "yml").c_str(), &info) == 0;
      return Refuse("No config.yaml found at " + path +
                    (yml ? "; there is a config.yml, rename it to config.yaml" : ""));
    }
    const auto before = os::ReadFile(**fs, kConfigName, model::kConfigBytesMax);
    if (!before) return Refuse(before.error().message());
    result_ = model::Migrate(*before, ReadCode(**fs));
    if (!app_.json) ShowFindings(app_.terminal, result_);
    if (result_.outcome == model::MigrateOutcome::kRefused) {
      return Refuse(result_.message + "; config.yaml is as it was");
    }
    if (result_.outcome == model::MigrateOutcome::kNothingToDo) {
      return Done("nothing_to_do", result_.message);
    }
    diff_ = model::UnifiedDiff(*before, result_.text, "config.yaml", "config.yaml (migrated)");
    if (!app_.json) {
      app_.terminal.Out("\nProposed changes:\n\n" + PaintDiff(app_.terminal, diff_) + "\n");
    }
    if (options_.dry_run) return Done("dry_run", "Nothing was written (--dry-run).");
    if (!options_.yes) {
      const Answer answer = Ask(app_.terminal);
      if (answer == Answer::kNone) {
        app_.terminal.Out("\n");
        return Refuse("there was no answer; use --yes to apply without asking");
      }
      if (answer == Answer::kNo) return Done("cancelled", "Migration cancelled.");
    }
    auto backup = Apply(**fs, *before, result_.text);
    if (!backup) {
      const std::string& hint = backup.error().hint();
      return Refuse(backup.error().message() + (hint.empty() ? "" : "; " + hint));
    }
    backup_ = path + backup->substr(kConfigName.size());
    if (!app_.json) app_.terminal.Out("Backup created: " + Printable(backup_) + "\n");
    return Done("migrated", "Migration complete!");
  }

 private:
  int Done(std::string_view status, const std::string& message) {
    app_.terminal.Out(app_.json ? MigrateJson(status, result_, message, diff_, backup_)
                                : message + "\n");
    return 0;
  }

  int Refuse(const std::string& message) {
    if (app_.json) {
      app_.terminal.Out(MigrateJson("refused", result_, message, diff_, backup_));
    } else {
      app_.terminal.ShowError(Error(Code::kInvalidArgument, Printable(message)));
    }
    return kRefused;
  }

  App& app_;
  const MigrateOptions& options_;
  model::MigrateResult result_;
  std::string diff_;
  std::string backup_;
};

}  // namespace

ExitCode Migrate(App& app, const MigrateOptions& options) {
  if (app.json && !options.yes && !options.dry_run) {
    app.terminal.Err(
        "bdn: --json asks nothing: add --yes or --dry-run; see `bdn migrate --help`\n");
    return kUsage;
  }
  return Migration(app, options).Run();
}

}  // namespace bdn::cli
