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
  if (!hf_endpoint.empty()) {
    auto url = net::ParseUrl(hf_endpoint);
    if (!url) return std::move(url).error().Context("the Hub endpoint (HF_ENDPOINT)");
    BDN_TRY(options.addresses.Allow(url->host));
  }
  if (!env.s3_endpoint.empty()) {
    auto url = net::ParseUrl(env.s3_endpoint);
    if (!url) return std::move(url).error().Context("the S3 endpoint (AWS_ENDPOINT_URL_S3)");
    BDN_TRY(options.addresses.Allow(url->host));
  }
  if (!env.sts_endpoint.empty()) {
    auto url = net::ParseUrl(env.sts_endpoint);
    if (!url) return std::move(url).error().Context("the STS endpoint (AWS_ENDPOINT_URL_STS)");
    BDN_TRY(options.addresses.Allow(url->host));
  }
  return net::MakeCurlTransport(std::move(options));
}

}  // namespace bdn::cli
