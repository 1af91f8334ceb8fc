#include "model/migrate.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <iostream>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/migrate_files.h"
#include "cli/migrate_show.h"
#include "cli/source_lister.h"
#include "model/config.h"
#include "model/text_diff.h"
#include "os/real_fs.h"

namespace bdn::cli {
namespace {

constexpr int kRefused = 1;
constexpr int kUsage = 2;
constexpr std::string_view kConfigName = "config.yaml";
// How often the prompt looks whether Ctrl-C was pressed.
constexpr int kPromptPollMs = 100;
constexpr std::size_t kAnswerLineMax = 4096;

enum class Answer { kYes, kNo, kRewrite, kNone };

// One line of standard input, byte by byte: what follows is not ours. nullopt at the end of input
// and when `ctx` is cancelled.
std::optional<std::string> ReadLine(const Context& ctx) {
  std::string line;
  while (line.size() < kAnswerLineMax) {
    pollfd in{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&in, 1, kPromptPollMs);
    if (!ctx.Check()) return std::nullopt;
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    char c = 0;
    const ssize_t n = ::read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return line.empty() ? std::nullopt : std::optional(line);
    if (c == '\n') return line;
    line += c;
  }
  return line;
}

Answer Ask(const App& app, bool may_rewrite) {
  while (true) {
    app.terminal.Out(may_rewrite ? "Apply these changes? [y/N, r: with the patterns rewritten]: "
                                 : "Apply these changes? [y/N]: ");
    const auto line = ReadLine(app.ctx);
    if (!line) return Answer::kNone;
    const auto first = line->find_first_not_of(" \t\r");
    const auto last = line->find_last_not_of(" \t\r");
    std::string word = first == std::string::npos ? "" : line->substr(first, last - first + 1);
    for (char& c : word) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    if (word == "y" || word == "yes") return Answer::kYes;
    if (word.empty() || word == "n" || word == "no") return Answer::kNo;
    if (may_rewrite && (word == "r" || word == "rewrite")) return Answer::kRewrite;
    app.terminal.Out("Error: invalid input\n");
  }
}

// One run of the command: what is known so far, and its two ways of telling it.
class Migration {
 public:
  Migration(App& app, const MigrateOptions& options)
      : app_(app), options_(options), lister_(app.env, {.allow_private = options.allow_private}) {
    rules_.rewrite_patterns = options.rewrite_patterns;
  }

  ExitCode Run() {
    if (const auto refused = Read()) return *refused;
    Decide();
    BDN_TRY(app_.ctx.Check());
    if (!app_.json) ShowWarnings(app_.terminal, result_, not_listed_);
    if (result_.outcome == model::MigrateOutcome::kRefused) {
      return Refuse(result_.message + "; nothing is changed");
    }
    if (result_.outcome == model::MigrateOutcome::kNothingToDo) {
      return has_config_ ? Done("nothing_to_do", result_.message) : Refuse(NoConfig());
    }
    ShowDiff();
    if (options_.dry_run) return Done("dry_run", "Nothing was written (--dry-run).");
    if (!options_.yes) {
      BDN_ASSIGN(const std::optional<int> stopped, Confirm());
      if (stopped) return *stopped;
    }
    return Apply();
  }

 private:
  // The directory and its files; an exit code when that fails.
  std::optional<int> Read() {
    std::string dir = AbsolutePath(options_.dir);
    while (dir.size() > 1 && dir.ends_with('/')) dir.pop_back();
    struct stat info {};
    std::string only;
    if (::stat(dir.c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) {
      const auto slash = dir.rfind('/');
      only = dir.substr(slash + 1);
      if (only != kConfigName && !only.ends_with(".py")) {
        return Refuse(dir + " is neither a directory nor a config.yaml nor a Python file");
      }
      dir = slash == 0 ? "/" : dir.substr(0, slash);
    }
    root_ = dir == "/" ? "/" : dir + "/";
    auto fs = os::OpenRealFs(dir);
    if (!fs) return Refuse(NoConfig());
    fs_ = *std::move(fs);
    if (only.ends_with(".py")) {
      const auto text = os::ReadFile(*fs_, only, model::kConfigBytesMax);
      if (!text) return Refuse(text.error().message());
      code_.push_back({only, *text});
      return std::nullopt;
    }
    code_ = ReadCode(*fs_);
    if (::lstat((root_ + std::string(kConfigName)).c_str(), &info) != 0) return std::nullopt;
    if (S_ISLNK(info.st_mode)) return Refuse(LinkedConfig());
    auto text = os::ReadFile(*fs_, kConfigName, model::kConfigBytesMax);
    if (!text) return Refuse(text.error().message());
    config_ = *std::move(text);
    has_config_ = true;
    return std::nullopt;
  }

  std::string LinkedConfig() const {
    std::string target(PATH_MAX, '\0');
    const std::string path = root_ + std::string(kConfigName);
    char* real = ::realpath(path.c_str(), target.data());
    return path + " is a symbolic link" +
           (real == nullptr ? std::string() : fmt::format(" to {}; migrate that file", real));
  }

  std::string NoConfig() const {
    struct stat info {};
    const bool yml = ::lstat((root_ + "config.yml").c_str(), &info) == 0;
    return fmt::format("No config.yaml found at {}{}{}", root_, kConfigName,
                       yml ? "; there is a config.yml, rename it to config.yaml" : "");
  }

  void Decide() {
    result_ = model::Migrate(has_config_ ? std::optional<std::string_view>(config_) : std::nullopt,
                             code_, rules_);
    ListSources();
    files_.clear();
    if (!result_.text.empty())
      files_.push_back({std::string(kConfigName), config_, result_.text, {}});
    for (const model::CodeFile& changed : result_.code) {
      const auto old = std::find_if(code_.begin(), code_.end(),
                                    [&](const auto& file) { return file.path == changed.path; });
      files_.push_back({changed.path, old->text, changed.text, {}});
    }
    diff_.clear();
    for (const FileChange& file : files_) {
      diff_ += model::UnifiedDiff(file.before, file.after, file.path, file.path + " (migrated)");
    }
  }

  // Which files the changed patterns select; only when there are such patterns.
  void ListSources() {
    if (options_.offline) return;
    if (!listing_) listing_ = app_.ctx.WithTimeout(kListingMax);
    for (model::MigrateWarning& warning : result_.warnings) {
      if (!warning.pattern) continue;
      const auto uri = model::ParseSourceUri(warning.pattern->source);
      if (!uri) continue;
      const auto& listing = lister_.List(listing_->WithTimeout(kListingOneMax), *uri);
      if (!listing) {
        not_listed_[warning.pattern->source] = listing.error().message();
        continue;
      }
      std::vector<std::string> paths;
      for (const auto& file : listing->files) paths.push_back(file.path);
      model::CompareSelection(paths, *warning.pattern);
    }
  }

  bool MayRewrite() const {
    return std::any_of(result_.warnings.begin(), result_.warnings.end(), [](const auto& w) {
      return w.pattern && !w.pattern->rewritten && !w.pattern->offer.empty();
    });
  }

  void ShowDiff() const {
    if (app_.json) return;
    app_.terminal.Out("\nProposed changes:\n\n" + PaintDiff(app_.terminal, diff_) + "\n");
  }

  // nullopt: apply. Else what the command ends with.
  Result<std::optional<int>> Confirm() {
    Answer answer = Ask(app_, MayRewrite());
    if (answer == Answer::kRewrite) {
      rules_.rewrite_patterns = true;
      Decide();
      if (result_.outcome != model::MigrateOutcome::kMigrated) {
        ShowWarnings(app_.terminal, result_, {});
        return std::optional(Refuse(result_.message + "; nothing is changed"));
      }
      ShowDiff();
      answer = Ask(app_, false);
    }
    if (answer == Answer::kYes) return std::optional<int>();
    if (answer == Answer::kNo) return std::optional(Done("cancelled", "Migration cancelled."));
    app_.terminal.Out("\n");
    BDN_TRY(app_.ctx.Check());
    return std::optional(Refuse("there was no answer; use --yes to apply without asking"));
  }

  int Apply() {
    const Status replaced = ReplaceFiles(*fs_, files_);
    if (!replaced) {
      const std::string& hint = replaced.error().hint();
      return Refuse(replaced.error().message() + "; " +
                    (hint.empty() ? "nothing is changed" : hint));
    }
    if (!app_.json) {
      for (const FileChange& file : files_) {
        app_.terminal.Out("Backup created: " + Printable(root_ + file.backup) + "\n");
      }
    }
    return Done("migrated", "Migration complete!");
  }

  int Done(std::string_view status, const std::string& message) {
    app_.terminal.Out(
        app_.json ? MigrateJson(result_, {status, message, diff_, root_, files_}, not_listed_)
                  : message + "\n");
    return 0;
  }

  int Refuse(const std::string& message) {
    if (app_.json) {
      app_.terminal.Out(
          MigrateJson(result_, {"refused", message, diff_, root_, files_}, not_listed_));
    } else {
      app_.terminal.ShowError(Error(Code::kInvalidArgument, Printable(message)));
    }
    return kRefused;
  }

  App& app_;
  const MigrateOptions& options_;
  SourceLister lister_;
  std::optional<Context> listing_;  // the time that all listings have together
  model::MigrateRules rules_;
  std::string root_;
  std::unique_ptr<os::Fs> fs_;
  bool has_config_ = false;
  std::string config_;
  std::vector<model::CodeFile> code_;
  model::MigrateResult result_;
  NotListed not_listed_;
  std::vector<FileChange> files_;
  std::string diff_;
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
