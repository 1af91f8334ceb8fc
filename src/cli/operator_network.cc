#include "cli/operator_network.h"

#include "net/curl_transport.h"

namespace bdn::cli {

Result<std::unique_ptr<net::Transport>> MakeSourceTransport(const std::vector<std::string>& allowed,
                                                            const Environment& env,
                                                            const std::string& hf_endpoint) {
  std::vector<std::string> all = allowed;
  const std::string& allowed_list = env.allow_private;
  for (std::size_t at = 0; at < allowed_list.size();) {
    const std::size_t comma = std::min(allowed_list.find(',', at), allowed_list.size());
    if (comma > at) all.push_back(allowed_list.substr(at, comma - at));
    at = comma + 1;
  }
  net::CurlTransportOptions options;
  options.proxy = env.proxy;
  options.no_proxy = env.no_proxy;
  options.ca_file = env.ca_file;
  for (const auto& entry : all) BDN_TRY(options.addresses.Allow(entry));
  struct Named {
    const std::string& url;
    std::string_view what;
  };
  for (const Named& endpoint :
       {Named{hf_endpoint, "the Hub endpoint (HF_ENDPOINT)"},
        Named{env.s3_endpoint, "the S3 endpoint (AWS_ENDPOINT_URL_S3)"},
        Named{env.r2_endpoint, "the R2 endpoint (BDN_R2_ENDPOINT)"},
        Named{env.cw_endpoint, "the CoreWeave endpoint (BDN_CW_ENDPOINT)"},
        Named{env.bt_endpoint, "the training store (BDN_BT_ENDPOINT)"},
        Named{env.sts_endpoint, "the STS endpoint (AWS_ENDPOINT_URL_STS)"},
        Named{env.google_endpoint, "the Google endpoint (BDN_GOOGLE_ENDPOINT)"}}) {
    if (endpoint.url.empty()) continue;
    auto url = net::ParseUrl(endpoint.url);
    if (!url) return std::move(url).error().Context(std::string(endpoint.what));
    BDN_TRY(options.addresses.Allow(url->host));
  }
  // With "{account}" in it the hosts are not known yet; those that are private must be named.
  if (!env.azure_endpoint.empty() && env.azure_endpoint.find("{account}") == std::string::npos) {
    auto url = net::ParseUrl(env.azure_endpoint);
    if (!url) {
      return std::move(url).error().Context("the Azure endpoint (AZURE_STORAGE_BLOB_ENDPOINT)");
    }
    BDN_TRY(options.addresses.Allow(url->host));
  }
  if (!env.azure_authority.empty()) {
    auto url = net::ParseUrl(env.azure_authority);
    if (!url) return std::move(url).error().Context("AZURE_AUTHORITY_HOST");
    BDN_TRY(options.addresses.Allow(url->host));
  }
  return net::MakeCurlTransport(std::move(options));
}

source::SourceEnvironment MakeSourceEnvironment(const Environment& env,
                                                net::Transport& transport,
                                                source::RateLimiters& limiters) {
  return {.transport = transport,
          .limiters = limiters,
          .hf_endpoint = env.hf_endpoint,
          .s3_endpoint = env.s3_endpoint,
          .r2_endpoint = env.r2_endpoint,
          .cw_endpoint = env.cw_endpoint,
          .sts_endpoint = env.sts_endpoint,
          .azure_endpoint = env.azure_endpoint,
          .azure_authority = env.azure_authority,
          .google_endpoint = env.google_endpoint,
          .bt_endpoint = env.bt_endpoint,
          .bt_key = env.bt_api_key};
}

}  // namespace bdn::cli
