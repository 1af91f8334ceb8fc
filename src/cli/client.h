#pragma once
// How a command finds its control plane and node, and the files that tell it.
#include <memory>
#include <optional>
#include <string>

#include "api/rest_client.h"
#include "base/result.h"
#include "net/http.h"

namespace bdn::cli {

// Read from the environment once, by main.
struct Environment {
  std::string home;             // HOME
  std::string config_home;      // XDG_CONFIG_HOME or ~/.config
  std::string data_home;        // XDG_DATA_HOME or ~/.local/share
  std::string url;              // BDN_URL
  std::string api_key;          // BDN_API_KEY
  std::string node_url;         // BDN_NODE_URL
  std::string allow_private;    // BDN_ALLOW_PRIVATE
  std::string hf_endpoint;      // HF_ENDPOINT
  std::string hf_token;         // HF_TOKEN
  std::string s3_endpoint;      // AWS_ENDPOINT_URL_S3
  std::string r2_endpoint;      // BDN_R2_ENDPOINT
  std::string cw_endpoint;      // BDN_CW_ENDPOINT
  std::string sts_endpoint;     // AWS_ENDPOINT_URL_STS
  std::string azure_endpoint;   // AZURE_STORAGE_BLOB_ENDPOINT
  std::string azure_authority;  // AZURE_AUTHORITY_HOST
  std::string google_endpoint;  // BDN_GOOGLE_ENDPOINT
  std::string bt_endpoint;      // BDN_BT_ENDPOINT
  std::string bt_api_key;       // BDN_BT_API_KEY
  std::string data;             // BDN_DATA
  std::string oidc_issuer;      // BDN_OIDC_ISSUER
  std::string oidc_audience;    // BDN_OIDC_AUDIENCE
  std::string master_key_file;  // BDN_MASTER_KEY_FILE
  std::string proxy;            // HTTPS_PROXY or https_proxy: for sources only
  std::string no_proxy;         // NO_PROXY or no_proxy
  std::string ca_file;          // SSL_CERT_FILE: authorities beside the system's
  bool no_colour = false;       // NO_COLOR, TERM=dumb
  bool root = false;
};
Environment ReadEnvironment();

// client.json: {"url","api_key","node_url","node_key"}.
struct ClientFile {
  std::string url;
  std::string api_key;
  std::string node_url;
  std::string node_key;  // may read the secrets of a run; empty in files written by hand
};
std::string ToJson(const ClientFile& file);
Result<ClientFile> ClientFileFromJson(std::string_view text);

std::string DefaultDataDir(const Environment& env);
std::string ConfigDir(const Environment& env);

struct ClientOptions {
  std::string url;      // --url
  std::string api_key;  // --api-key
};

// Option, then environment, then client.json in the configuration directory, then in the default
// data directory. kNotFound says how to start or name a control plane.
Result<ClientFile> FindClient(const Environment& env, const ClientOptions& options);

// A transport that may talk to any address: the user named the server. `ca_file` holds authorities
// beside the system's; may be empty.
std::unique_ptr<net::Transport> MakeClientTransport(const std::string& ca_file);

// Whole file, at most `bytes_max`; "-" is standard input.
Result<std::string> ReadFileOrStdin(const std::string& path, std::size_t bytes_max);
// Against the working directory; nothing is resolved.
std::string AbsolutePath(const std::string& path);
Status WritePrivateFile(const std::string& path, std::string_view content);

}  // namespace bdn::cli
