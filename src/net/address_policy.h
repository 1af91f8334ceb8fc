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
  // Refuses loopback, link-local, private, shared (100.64/10), multicast, unspecified, reserved and
  // documentation addresses, and IPv6 addresses that carry one of these inside: IPv4-mapped,
  // IPv4-compatible, NAT64 (64:ff9b::/96), 6to4. Teredo and every IPv6 address outside 2000::/3 are
  // refused as a whole. Source: the IANA special-purpose registries (RFC 6890).
  AddressPolicy() = default;
  // Also lets these through: host names ("hub.internal"), addresses, CIDRs ("10.0.0.0/8",
  // "::1/128"). A host name allows whatever it resolves to, on every port; names match whole and
  // without case. kInvalidArgument for anything else (a URL, a port, a wildcard, bits set behind
  // the prefix).
  static Result<AddressPolicy> WithAllowed(const std::vector<std::string>& allowed);
  Status Allow(std::string_view host_or_cidr);

  // `host` is the name in the URL, `address` the numeric address it resolved to.
  // kPermissionDenied says which address was refused and how the operator can allow it.
  Status Check(std::string_view host, std::string_view address) const;

  // For where nothing is resolved here (behind a proxy): Check when `host` itself is an address, in
  // any spelling that resolvers take ("2130706433", "0x7f.1", "0177.0.0.1", "::ffff:7f00:1"), or is
  // localhost (RFC 6761 §6.3); passes every other name.
  Status CheckLiteral(std::string_view host) const;

  // Was it named to Allow, whether or not it would have been refused?
  bool IsAllowed(std::string_view host, std::string_view address) const;

 private:
  struct Cidr {
    std::vector<std::uint8_t> bytes;  // 4 or 16
    int prefix_bits = 0;
  };
  bool InAllowedCidr(const std::vector<std::uint8_t>& address) const;

  std::vector<std::string> hosts_;
  std::vector<Cidr> cidrs_;
};

}  // namespace bdn::net
