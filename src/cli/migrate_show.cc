#include "cli/migrate_show.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "codec/json.h"
#include "codec/utf8.h"

namespace bdn::cli {
namespace {

constexpr std::size_t kPathsShownMax = 10;

// JSON is UTF-8; a file that is not cannot be in it.
boost::json::value JsonText(const std::string& text) {
  return boost::json::value(codec::IsUtf8(text) ? text : std::string("(not UTF-8)"));
}

boost::json::array JsonTexts(const std::vector<std::string>& texts) {
  boost::json::array array;
  for (const std::string& text : texts) array.push_back(JsonText(text));
  return array;
}

std::string Paths(const std::vector<std::string>& paths) {
  std::string out;
  for (std::size_t i = 0; i < std::min(paths.size(), kPathsShownMax); ++i) {
    out += (i == 0 ? "" : ", ") + paths[i];
  }
  if (paths.size() > kPathsShownMax) {
    out += fmt::format(" and {} more (--json has them all)", paths.size() - kPathsShownMax);
  }
  return out;
}

// "  no longer selected (2): a, b\n"
std::string SelectionText(const model::PatternChange& change) {
  const char* verb = change.ignore ? "left out" : "selected";
  std::string out;
  const auto line = [&](std::string_view when, const std::vector<std::string>& paths) {
    if (paths.empty()) return;
    out += fmt::format("    {} {} ({}): {}\n", when, verb, paths.size(), Paths(paths));
  };
  if (change.lost.empty() && change.gained.empty()) {
    return fmt::format("    nothing changes in {} as it is now: {} {}\n", change.source,
                       change.kept.empty() ? "no file was or is" : Paths(change.kept) + " stay",
                       verb);
  }
  out += fmt::format("    of {}\n", change.source);
  line("no longer", change.lost);
  line("newly", change.gained);
  line("still", change.kept);
  return out;
}

std::string Indented(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out += "    " + text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return out;
}

boost::json::value PatternJson(const model::PatternChange& change, const NotListed& not_listed) {
  const auto why = not_listed.find(change.source);
  return boost::json::object{
      {"source", JsonText(change.source)},
      {"list", change.ignore ? "ignore_patterns" : "allow_patterns"},
      {"pattern", JsonText(change.pattern)},
      {"offer", JsonTexts(change.offer)},
      {"rewritten", change.rewritten},
      {"listed", change.listed},
      {"not_listed", why == not_listed.end() ? boost::json::value() : JsonText(why->second)},
      {"kept", JsonTexts(change.kept)},
      {"lost", JsonTexts(change.lost)},
      {"gained", JsonTexts(change.gained)}};
}

}  // namespace

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

void ShowWarnings(const Terminal& terminal,
                  const model::MigrateResult& result,
                  const NotListed& not_listed) {
  for (const auto& w : result.warnings) {
    terminal.ShowWarning(Printable(fmt::format("{}:{}: {}", w.file, w.line, w.message)));
    if (w.pattern && w.pattern->listed) terminal.Err(Printable(SelectionText(*w.pattern)));
    // One line is in the message.
    if (w.suggestion.find('\n') != std::string::npos && w.file != "config.yaml") {
      terminal.Err(Printable(Indented(w.suggestion)));
    }
  }
  for (const auto& [source, why] : not_listed) {
    terminal.Err(Printable(fmt::format("note: {} could not be listed: {}\n", source, why)));
  }
  for (const auto& p : result.problems) {
    terminal.Err(Printable(fmt::format("config.yaml:{}:{}: {}{}{}\n", p.line, p.column, p.loc,
                                       p.loc.empty() ? "" : ": ", p.message)));
  }
}

std::string MigrateJson(const model::MigrateResult& result,
                        const MigrateStory& story,
                        const NotListed& not_listed) {
  boost::json::array warnings;
  for (const auto& w : result.warnings) {
    warnings.push_back(boost::json::object{
        {"file", JsonText(w.file)},
        {"line", w.line},
        {"message", JsonText(w.message)},
        {"new_path", JsonText(w.new_path)},
        {"suggestion", JsonText(w.suggestion)},
        {"pattern", w.pattern ? PatternJson(*w.pattern, not_listed) : boost::json::value()}});
  }
  boost::json::array errors;
  for (const auto& p : result.problems) {
    errors.push_back(boost::json::object{{"loc", JsonText(p.loc)},
                                         {"line", p.line},
                                         {"column", p.column},
                                         {"message", JsonText(p.message)}});
  }
  std::string config_backup;
  boost::json::array files;
  for (const FileChange& file : story.files) {
    const std::string backup = file.backup.empty() ? "" : story.root + file.backup;
    if (file.path == "config.yaml") config_backup = backup;
    files.push_back(boost::json::object{{"path", JsonText(story.root + file.path)},
                                        {"backup", JsonText(backup)}});
  }
  return codec::SerializeJson(boost::json::object{{"status", story.status},
                                                  {"message", JsonText(story.message)},
                                                  {"backup", JsonText(config_backup)},
                                                  {"files", std::move(files)},
                                                  {"diff", JsonText(story.diff)},
                                                  {"warnings", std::move(warnings)},
                                                  {"errors", std::move(errors)}}) +
         "\n";
}

}  // namespace bdn::cli
