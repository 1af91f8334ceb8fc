#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/client.h"
#include "net/http.h"
#include "source/source_factory.h"

namespace bdn::cli {

// The transport that reads sources: it refuses private addresses but those that the operator named
// (`allowed`, one host or CIDR each, and BDN_ALLOW_PRIVATE, separated by commas) and the hosts of
// the endpoints that replace those of providers (HF_ENDPOINT, AWS_ENDPOINT_URL_S3, BDN_R2_ENDPOINT,
// BDN_CW_ENDPOINT, AWS_ENDPOINT_URL_STS, AZURE_STORAGE_BLOB_ENDPOINT, AZURE_AUTHORITY_HOST,
// BDN_GOOGLE_ENDPOINT). HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are honoured.
Result<std::unique_ptr<net::Transport>> MakeSourceTransport(const std::vector<std::string>& allowed,
                                                            const Environment& env,
                                                            const std::string& hf_endpoint);

// The endpoints of `env` around them; both outlive what it returns.
source::SourceEnvironment MakeSourceEnvironment(const Environment& env,
                                                net::Transport& transport,
                                                source::RateLimiters& limiters);

}  // namespace bdn::cli
