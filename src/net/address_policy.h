#pragma once
// The guard against server-side request forgery: which resolved addresses an outgoing connection
// may go to. Configs, listings and redirects are untrusted; what the operator named is not.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bdn::net {

class AddressPolicy {
 public:
  // Refuses loopback, link-local, private, shared (100.64/10), multicast, unspecified,
  // documentation and IPv4-mapped or -embedded forms of these (RFC 6890).
  AddressPolicy() = default;
  // Also lets these through: host names ("hub.internal"), addresses, CIDRs ("10.0.0.0/8",
  // "::1/128"). A host name allows whatever it resolves to, on every port.
  static Result<AddressPolicy> WithAllowed(const std::vector<std::string>& allowed);
  Status Allow(std::string_view host_or_cidr);

  // `host` is the name in the URL, `address` the numeric address it resolved to.
  // kPermissionDenied says which address was refused and how the operator can allow it.
  Status Check(std::string_view host, std::string_view address) const;

 private:
  struct Cidr {
    std::vector<std::uint8_t> bytes;  // 4 or 16
    int prefix_bits = 0;
  };
  std::vector<std::string> hosts_;
  std::vector<Cidr> cidrs_;
};

}  // namespace bdn::net
