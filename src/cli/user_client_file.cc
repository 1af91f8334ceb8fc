#include "cli/user_client_file.h"

#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace bdn::cli {
namespace {

constexpr std::size_t kFileBytesMax = 64 * 1024;
constexpr std::uint64_t kAnswerBytesMax = 64 * 1024;
constexpr Duration kAnswerWithin = std::chrono::seconds(2);

bool Answers(const App& app, const std::string& url) {
  const auto transport = MakeClientTransport(app.env.ca_file);
  const api::RestClient control(*transport, api::Endpoint{url, ""});
  net::HttpRequest request;
  auto parsed = net::ParseUrl(control.endpoint().url + "/healthz");
  if (!parsed) return false;
  request.url = *std::move(parsed);
  const auto answer =
      net::FetchAll(app.ctx.WithTimeout(kAnswerWithin), *transport, request, kAnswerBytesMax);
  return answer && answer->status == 200;
}

// The URL of the control plane that the file names, where that is another one and serves.
std::string LiveOther(const App& app, const std::string& path, const ClientFile& mine) {
  const auto text = ReadFileOrStdin(path, kFileBytesMax);
  if (!text) return "";
  const auto old = ClientFileFromJson(*text);
  // The keys of a data directory outlive its address.
  if (!old || old->url == mine.url || old->api_key == mine.api_key) return "";
  return Answers(app, old->url) ? old->url : "";
}

}  // namespace

UserClientFile UserClientFile::Claim(const App& app,
                                     const ClientFile& mine,
                                     const std::string& data) {
  UserClientFile claimed;
  const std::string path = AbsolutePath(ConfigDir(app.env) + "/client.json");
  const std::string how = fmt::format(
      "to reach this one, set BDN_URL={} and BDN_API_KEY to the api_key in {}/client.json",
      mine.url, data);
  if (const std::string other = LiveOther(app, path, mine); !other.empty()) {
    app.terminal.ShowWarning(fmt::format(
        "commands go on using the control plane at {}, which {} names and which runs; {}", other,
        path, how));
    return claimed;
  }
  const std::string text = ToJson(mine);
  if (auto saved = WritePrivateFile(path, text); !saved) {
    app.terminal.ShowWarning(
        fmt::format("commands do not find this control plane by themselves: {}; {}",
                    saved.error().message(), how));
    return claimed;
  }
  claimed.path_ = path;
  claimed.text_ = text;
  return claimed;
}

UserClientFile::UserClientFile(UserClientFile&& from) noexcept
    : path_(std::exchange(from.path_, {})), text_(std::exchange(from.text_, {})) {}

UserClientFile::~UserClientFile() {
  if (path_.empty()) return;
  const auto now = ReadFileOrStdin(path_, kFileBytesMax);
  if (now && *now == text_) ::unlink(path_.c_str());
}

}  // namespace bdn::cli
