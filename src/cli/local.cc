#include <algorithm>
#include <iostream>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/app.h"
#include "cli/source_lister.h"
#include "model/match_report.h"
#include "model/pattern.h"
#include "model/source_uri.h"

namespace bdn::cli {
namespace {

constexpr std::size_t kPathsBytesMax = 1 << 30;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) lines.push_back(std::move(line));
    at = end + 1;
  }
  return lines;
}

std::string LsJson(const source::Pin& pin,
                   const std::vector<source::RemoteFile>& files,
                   std::size_t listed,
                   std::uint64_t total) {
  boost::json::array rows;
  for (const auto& file : files) {
    boost::json::object row{{"path", file.path}, {"size", file.size}, {"etag", file.etag}};
    if (!file.problem.empty()) row["problem"] = file.problem;
    rows.push_back(std::move(row));
  }
  return boost::json::serialize(boost::json::object{{"source", pin.identity},
                                                    {"revision", pin.fingerprint},
                                                    {"files", std::move(rows)},
                                                    {"file_count", files.size()},
                                                    {"listed", listed},
                                                    {"total_size", total}}) +
         "\n";
}

}  // namespace

ExitCode Match(App& app, const MatchOptions& options) {
  model::MatchRequest request;
  request.allow = options.allow;
  request.ignore = options.ignore.value_or(std::vector<std::string>());
  request.paths = options.paths;
  request.explain = options.explain;
  if (request.paths.empty()) {
    BDN_ASSIGN(const std::string text, ReadFileOrStdin("-", kPathsBytesMax));
    request.paths = Lines(text);
  }
  BDN_ASSIGN(const model::MatchReport report, model::MatchPaths(request));
  for (const auto& line : report.lines) app.terminal.Out(line + "\n");
  for (const auto& warning : report.warnings) app.terminal.ShowWarning(warning);
  return 0;
}

ExitCode Ls(App& app, const LsOptions& options) {
  BDN_ASSIGN(const model::SourceUri uri, model::ParseSourceUri(options.source));
  BDN_ASSIGN(const model::PatternSet patterns,
             model::PatternSet::Parse(options.allow, options.ignore));
  std::string secret;
  if (!options.token_file.empty()) {
    BDN_ASSIGN(secret, ReadFileOrStdin(options.token_file, 64 * 1024));
  }
  SourceLister lister(app.env, {.allow_private = options.allow_private, .patient = true});
  BDN_ASSIGN(SourceListing listing, lister.List(app.ctx, uri, secret));
  const source::Pin& pin = listing.pin;
  std::vector<source::RemoteFile>& files = listing.files;
  for (const auto& warning : pin.warnings) app.terminal.ShowWarning(warning);
  const std::size_t listed = files.size();
  std::vector<std::string> left;
  std::erase_if(files, [&](const source::RemoteFile& file) {
    if (patterns.Selects(file.path)) return false;
    left.push_back(file.path);
    return true;
  });
  std::uint64_t total = 0;
  for (const auto& file : files) total += file.size;
  for (const auto& trap : patterns.TopLevelTraps(left)) app.terminal.ShowWarning(trap);
  if (app.json) {
    app.terminal.Out(LsJson(pin, files, listed, total));
  } else {
    std::string text;
    for (const auto& file : files) {
      text += fmt::format("{:>10}  {}{}{}\n", FormatBytes(static_cast<double>(file.size)),
                          file.path, file.problem.empty() ? "" : "  ", file.problem);
    }
    text +=
        fmt::format("{} of {} files, {}, at {} {}\n", files.size(), listed,
                    FormatBytes(static_cast<double>(total)), pin.fingerprint_type, pin.fingerprint);
    app.terminal.Out(text);
  }
  if (!files.empty()) return 0;
  return Error(Code::kInvalidArgument,
               fmt::format("the patterns select none of the {} files listed", listed))
      .WithHint("`*` matches at the top level only; `**/` reaches into directories");
}

}  // namespace bdn::cli
