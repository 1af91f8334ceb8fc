#pragma once
#include <memory>
#include <string>

#include "net/address_policy.h"
#include "net/http.h"

namespace bdn::net {

struct CurlTransportOptions {
  AddressPolicy addresses;
  std::string user_agent = "bdn/0.1";
  // Extra certificate authorities (PEM file); empty: the system's.
  std::string ca_file;
  int connections_per_host_max = 64;
};

// libcurl, HTTP/1.1, one pooled easy handle a call, so that connections are reused between calls.
// Proxies of the environment (HTTPS_PROXY, NO_PROXY) are honoured only when no address would be
// refused unseen: with a proxy set, the guard checks the proxy's address and the URL's literal
// host.
std::unique_ptr<Transport> MakeCurlTransport(CurlTransportOptions options);

}  // namespace bdn::net
