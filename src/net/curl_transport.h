#pragma once
#include <memory>
#include <string>

#include "net/address_policy.h"
#include "net/http.h"

namespace bdn::net {

struct CurlTransportOptions {
  AddressPolicy addresses;
  std::string user_agent = "bdn/0.1";  // unless the request has its own
  // Extra certificate authorities (PEM file), beside the system's. A file that cannot be read makes
  // every https call kPermissionDenied.
  std::string ca_file;
  // A call for a host (scheme, host, port) that has so many under way waits for one of them.
  int connections_per_host_max = 64;
  // Proxies are used only when they are named here (libcurl's form, "http://proxy:3128"); the
  // environment is never read, because behind a proxy the guard cannot see the address that a name
  // resolves to: it then checks only hosts that are addresses or localhost, and the proxy must do
  // the rest. Whoever fills this in from HTTPS_PROXY makes that choice.
  std::string proxy;
  // Hosts reached directly, with commas between them: names (with everything below them),
  // addresses, CIDRs, "*".
  std::string no_proxy;
};

// libcurl, HTTP/1.1 only, blocking on the caller's thread. Every call takes a pooled handle with
// its own connection cache, so that connections are reused between calls. A call that is cancelled
// or passes its deadline ends at once, wherever it waits (name resolution, connect, TLS, transfer).
//
// A request on a reused connection that the server had closed is sent again by libcurl on a new
// one, provided that no byte of an answer came; nothing else is ever sent twice.
//
// The sink receives pieces of up to 256 KiB, or less when the network has no more at the moment.
std::unique_ptr<Transport> MakeCurlTransport(CurlTransportOptions options);

}  // namespace bdn::net
