#include <algorithm>
#include <iostream>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <sys/stat.h>

#include "cli/app.h"
#include "cli/operator_network.h"
#include "model/config.h"
#include "model/match_report.h"
#include "model/pattern.h"
#include "model/source_uri.h"
#include "model/validate_report.h"
#include "source/source_factory.h"

namespace bdn::cli {
namespace {

constexpr std::size_t kPathsBytesMax = 1 << 30;

// The file that a directory argument means, with the hint that a .yml deserves.
Result<std::string> ConfigPath(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return Error(Code::kNotFound, "there is no " + path);
  if (!S_ISDIR(info.st_mode)) return path;
  const std::string yaml = path + "/config.yaml";
  if (::stat(yaml.c_str(), &info) == 0) return yaml;
  if (::stat((path + "/config.yml").c_str(), &info) == 0) {
    return Error(Code::kNotFound, "there is no " + yaml + ", but a config.yml")
        .WithHint("rename it to config.yaml");
  }
  return Error(Code::kNotFound, "there is no " + yaml);
}

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
    rows.push_back(
        boost::json::object{{"path", file.path}, {"size", file.size}, {"etag", file.etag}});
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

ExitCode Validate(App& app, const std::string& path) {
  std::string file = path;
  const auto yaml = [&]() -> Result<std::string> {
    BDN_ASSIGN(file, ConfigPath(path));
    return ReadFileOrStdin(file, model::kConfigBytesMax);
  }();
  // A file that cannot be read is one more finding: the answer has the same shape and exit code.
  model::ConfigReport report;
  if (yaml) {
    report = model::ParseConfig(*yaml);
  } else {
    const std::string hint = yaml.error().hint().empty() ? "" : "; " + yaml.error().hint();
    report.errors.push_back({.message = yaml.error().message() + hint});
  }
  app.terminal.Out(app.json ? model::ValidateJson(report) + "\n"
                            : model::ValidateText(report, file));
  return report.errors.empty() ? 0 : 1;
}

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
  source::SourceCredentials credentials;
  if (!options.token_file.empty()) {
    BDN_ASSIGN(credentials.secret, ReadFileOrStdin(options.token_file, 64 * 1024));
  } else if (uri.scheme == model::Scheme::kHf && !app.env.hf_token.empty()) {
    credentials.secret = app.env.hf_token;
  }
  BDN_ASSIGN(const auto transport,
             MakeSourceTransport(options.allow_private, app.env, app.env.hf_endpoint));
  source::RateLimiters limiters;
  BDN_ASSIGN(const auto source, source::MakeSource(uri, credentials,
                                                   {.transport = *transport,
                                                    .limiters = limiters,
                                                    .hf_endpoint = app.env.hf_endpoint,
                                                    .s3_endpoint = app.env.s3_endpoint}));
  BDN_ASSIGN(const source::Pin pin, source->Resolve(app.ctx));
  for (const auto& warning : pin.warnings) app.terminal.ShowWarning(warning);
  BDN_ASSIGN(std::vector<source::RemoteFile> files, source->List(app.ctx, pin));
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
      text += fmt::format("{:>10}  {}\n", FormatBytes(static_cast<double>(file.size)), file.path);
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
