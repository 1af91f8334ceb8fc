#include "cli/client.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <boost/json.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/curl_transport.h"
#include "os/real_fs.h"

namespace bdn::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kClientFileBytesMax = 64 * 1024;

std::string Env(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Error FromErrno(const std::string& path, const char* what) {
  const int code = errno;
  const std::string text = fmt::format("cannot {} {}: {}", what, path, std::strerror(code));
  if (code == ENOENT) return Error(Code::kNotFound, text);
  if (code == EACCES || code == EPERM) return Error(Code::kPermissionDenied, text);
  if (code == ENOSPC || code == EDQUOT) return Error(Code::kResourceExhausted, text);
  return Error(Code::kInvalidArgument, text);
}

struct Fd {
  int fd;
  ~Fd() {
    if (fd > STDERR_FILENO) ::close(fd);
  }
};

std::string Field(const json::object& from, const char* name) {
  const auto* v = from.if_contains(name);
  return v != nullptr && v->is_string() ? std::string(v->as_string()) : std::string();
}

}  // namespace

Environment ReadEnvironment() {
  Environment env;
  env.home = Env("HOME");
  env.config_home = Env("XDG_CONFIG_HOME");
  if (env.config_home.empty()) env.config_home = env.home + "/.config";
  env.data_home = Env("XDG_DATA_HOME");
  if (env.data_home.empty()) env.data_home = env.home + "/.local/share";
  env.url = Env("BDN_URL");
  env.api_key = Env("BDN_API_KEY");
  env.node_url = Env("BDN_NODE_URL");
  env.allow_private = Env("BDN_ALLOW_PRIVATE");
  env.hf_endpoint = Env("HF_ENDPOINT");
  env.hf_token = Env("HF_TOKEN");
  env.s3_endpoint = Env("AWS_ENDPOINT_URL_S3");
  env.r2_endpoint = Env("BDN_R2_ENDPOINT");
  env.cw_endpoint = Env("BDN_CW_ENDPOINT");
  env.sts_endpoint = Env("AWS_ENDPOINT_URL_STS");
  env.azure_endpoint = Env("AZURE_STORAGE_BLOB_ENDPOINT");
  env.azure_authority = Env("AZURE_AUTHORITY_HOST");
  env.google_endpoint = Env("BDN_GOOGLE_ENDPOINT");
  env.bt_endpoint = Env("BDN_BT_ENDPOINT");
  env.bt_api_key = Env("BDN_BT_API_KEY");
  env.data = Env("BDN_DATA");
  env.oidc_issuer = Env("BDN_OIDC_ISSUER");
  env.oidc_audience = Env("BDN_OIDC_AUDIENCE");
  env.master_key_file = Env("BDN_MASTER_KEY_FILE");
  const auto either = [](const char* upper, const char* lower) {
    const std::string value = Env(upper);
    return value.empty() ? Env(lower) : value;
  };
  env.proxy = either("HTTPS_PROXY", "https_proxy");
  env.no_proxy = either("NO_PROXY", "no_proxy");
  env.ca_file = Env("SSL_CERT_FILE");
  env.no_colour = !Env("NO_COLOR").empty() || Env("TERM") == "dumb";
  env.root = geteuid() == 0;
  return env;
}

std::string ToJson(const ClientFile& file) {
  return json::serialize(json::object{{"url", file.url},
                                      {"api_key", file.api_key},
                                      {"node_url", file.node_url},
                                      {"node_key", file.node_key}}) +
         "\n";
}

Result<ClientFile> ClientFileFromJson(std::string_view text) {
  boost::system::error_code failed;
  const json::value root = json::parse(json::string_view(text.data(), text.size()), failed);
  if (failed || !root.is_object() || Field(root.as_object(), "url").empty()) {
    return Error(Code::kInvalidArgument, "client.json must be {\"url\":\"…\",\"api_key\":\"…\"}");
  }
  const json::object& o = root.as_object();
  return ClientFile{Field(o, "url"), Field(o, "api_key"), Field(o, "node_url"),
                    Field(o, "node_key")};
}

std::string DefaultDataDir(const Environment& env) {
  if (!env.data.empty()) return env.data;
  return env.root ? "/var/lib/bdn" : env.data_home + "/bdn";
}

std::string ConfigDir(const Environment& env) {
  return env.config_home + "/bdn";
}

Result<ClientFile> FindClient(const Environment& env, const ClientOptions& options) {
  ClientFile found;
  for (const std::string& dir : {ConfigDir(env), DefaultDataDir(env)}) {
    const std::string path = dir + "/client.json";
    auto text = ReadFileOrStdin(path, kClientFileBytesMax);
    if (!text) continue;
    auto file = ClientFileFromJson(*text);
    if (!file) return std::move(file).error().Context(path);
    found = *std::move(file);
    break;
  }
  const std::string url = !options.url.empty() ? options.url : env.url;
  const std::string key = !options.api_key.empty() ? options.api_key : env.api_key;
  if (!url.empty() && url != found.url) found = ClientFile{.url = url};
  if (!key.empty()) found.api_key = key;
  if (!env.node_url.empty()) found.node_url = env.node_url;
  if (found.url.empty()) {
    return Error(Code::kNotFound, "no control plane is known")
        .WithHint("start one on this machine with `bdn up`, or name one with --url or BDN_URL");
  }
  if (found.node_url.empty()) found.node_url = found.url;
  return found;
}

std::unique_ptr<net::Transport> MakeClientTransport(const std::string& ca_file) {
  net::CurlTransportOptions options;
  options.ca_file = ca_file;
  for (const char* all : {"0.0.0.0/0", "::/0"}) (void)options.addresses.Allow(all);
  return net::MakeCurlTransport(std::move(options));
}

Result<std::string> ReadFileOrStdin(const std::string& path, std::size_t bytes_max) {
  const Fd file{path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return FromErrno(path, "read");
  std::string content;
  std::string buffer(64 * 1024, '\0');
  for (;;) {
    const ssize_t n = ::read(file.fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FromErrno(path, "read");
    if (n == 0) return content;
    content.append(buffer, 0, static_cast<std::size_t>(n));
    if (content.size() > bytes_max) {
      return Error(Code::kResourceExhausted,
                   fmt::format("{} is larger than {} bytes", path, bytes_max));
    }
  }
}

std::string AbsolutePath(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::array<char, 4096> here{};
  if (::getcwd(here.data(), here.size()) == nullptr) return path;
  if (path.empty() || path == ".") return here.data();
  return std::string(here.data()) + "/" + path;
}

Status WritePrivateFile(const std::string& given, std::string_view content) {
  const std::string path = AbsolutePath(given);
  const std::size_t slash = path.rfind('/');
  const std::string dir = slash == 0 ? "/" : path.substr(0, slash);
  BDN_ASSIGN(auto fs, os::OpenOrMakeRealFs(dir));
  return os::WriteFileDurably(*fs, path.substr(slash + 1), content, 0600);
}

}  // namespace bdn::cli
