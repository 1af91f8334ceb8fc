#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/http.h"

namespace bdn::cli {

// The transport that reads sources: it refuses private addresses but those that the operator named
// (`allowed`, one host or CIDR each; `allowed_list`, separated by commas) and the Hub endpoint's
// host.
Result<std::unique_ptr<net::Transport>> MakeSourceTransport(const std::vector<std::string>& allowed,
                                                            const std::string& allowed_list,
                                                            const std::string& hf_endpoint);

}  // namespace bdn::cli
