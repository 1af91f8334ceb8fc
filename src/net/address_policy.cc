#include "net/address_policy.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "net/text.h"

namespace bdn::net {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Block {
  const char* network;
  int prefix_bits;
  const char* what;
};

// IANA IPv4 special-purpose address registry, and the class D and E space.
constexpr Block kRefused4[] = {
    {"0.0.0.0", 8, "an unspecified address"},
    {"10.0.0.0", 8, "a private address"},
    {"100.64.0.0", 10, "a shared (carrier NAT) address"},
    {"127.0.0.0", 8, "a loopback address"},
    {"169.254.0.0", 16, "a link-local address"},
    {"172.16.0.0", 12, "a private address"},
    {"192.0.0.0", 24, "a reserved address"},
    {"192.0.2.0", 24, "a documentation address"},
    {"192.88.99.0", 24, "a reserved address"},
    {"192.168.0.0", 16, "a private address"},
    {"198.18.0.0", 15, "a benchmarking address"},
    {"198.51.100.0", 24, "a documentation address"},
    {"203.0.113.0", 24, "a documentation address"},
    {"224.0.0.0", 4, "a multicast address"},
    {"240.0.0.0", 4, "a reserved address"},
};

// IPv6 is refused unless it is global unicast (2000::/3); these are the holes in that, and names
// for what lies outside.
constexpr Block kRefused6[] = {
    {"::", 128, "an unspecified address"},
    {"::1", 128, "a loopback address"},
    {"2001::", 23, "a reserved (Teredo or protocol) address"},
    {"2001:db8::", 32, "a documentation address"},
    {"3fff::", 20, "a documentation address"},
    {"fc00::", 7, "a private address"},
    {"fe80::", 10, "a link-local address"},
    {"fec0::", 10, "a private address"},
    {"ff00::", 8, "a multicast address"},
};

std::optional<Bytes> ParseNumeric(std::string_view text) {
  const std::string address(text);
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(&v4);
    return Bytes(first, first + 4);
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, address.c_str(), &v6) == 1) return Bytes(v6.s6_addr, v6.s6_addr + 16);
  return std::nullopt;
}

bool InNetwork(const Bytes& address, const Bytes& network, int prefix_bits) {
  if (address.size() != network.size()) return false;
  for (std::size_t i = 0; i < address.size() && prefix_bits > 0; ++i, prefix_bits -= 8) {
    const int free_bits = std::max(0, 8 - prefix_bits);
    if ((address[i] >> free_bits) != (network[i] >> free_bits)) return false;
  }
  return true;
}

bool In(const Bytes& address, const char* network, int prefix_bits) {
  return InNetwork(address, *ParseNumeric(network), prefix_bits);
}

// The IPv4 address that a packet to this IPv6 address ends up at.
std::optional<Bytes> EmbeddedIpv4(const Bytes& v6) {
  const auto four = [&](int at) { return Bytes(v6.begin() + at, v6.begin() + at + 4); };
  if (In(v6, "::ffff:0:0", 96)) return four(12);                // IPv4-mapped, RFC 4291 §2.5.5.2
  if (In(v6, "64:ff9b::", 96)) return four(12);                 // NAT64, RFC 6052 §2.1
  if (In(v6, "2002::", 16)) return four(2);                     // 6to4, RFC 3056 §2
  if (In(v6, "::", 96) && !In(v6, "::", 127)) return four(12);  // IPv4-compatible, deprecated
  return std::nullopt;
}

// Why the address is refused; nullptr when it is not.
const char* Refusal(const Bytes& address) {
  if (address.size() == 4) {
    for (const auto& block : kRefused4) {
      if (In(address, block.network, block.prefix_bits)) return block.what;
    }
    return nullptr;
  }
  if (const auto inner = EmbeddedIpv4(address)) return Refusal(*inner);
  for (const auto& block : kRefused6) {
    if (In(address, block.network, block.prefix_bits)) return block.what;
  }
  return In(address, "2000::", 3) ? nullptr : "not a global unicast address";
}

std::string Normalise(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.ends_with('.')) host.remove_suffix(1);  // "hub.internal." is the same name
  return ToLower(host);
}

Error NotAHost(std::string_view text, const char* why) {
  return Error(Code::kInvalidArgument,
               "allowed host \"" + std::string(text) + "\": " + why +
                   "; write a host name, an address or a CIDR, such as hub.internal, 10.1.2.3 or "
                   "10.0.0.0/8");
}

}  // namespace

Result<AddressPolicy> AddressPolicy::WithAllowed(const std::vector<std::string>& allowed) {
  AddressPolicy policy;
  for (const auto& entry : allowed) BDN_TRY(policy.Allow(entry));
  return policy;
}

Status AddressPolicy::Allow(std::string_view host_or_cidr) {
  const auto slash = host_or_cidr.find('/');
  const std::string host = Normalise(host_or_cidr.substr(0, slash));
  const auto bytes = ParseNumeric(host);
  if (slash != std::string_view::npos) {
    if (!bytes) return NotAHost(host_or_cidr, "what stands before the slash is not an address");
    const auto prefix = ParseDecimal(host_or_cidr.substr(slash + 1));
    if (!prefix || *prefix > bytes->size() * 8) {
      return NotAHost(host_or_cidr, "the prefix length is not a number within the address");
    }
    Cidr cidr{.bytes = *bytes, .prefix_bits = static_cast<int>(*prefix)};
    // "10.1.2.3/8" is more often a slip than a wish for sixteen million addresses.
    for (std::size_t bit = *prefix; bit < bytes->size() * 8; ++bit) {
      if (((*bytes)[bit / 8] >> (7 - bit % 8)) & 1) {
        return NotAHost(host_or_cidr, "bits are set behind the prefix");
      }
    }
    cidrs_.push_back(std::move(cidr));
    return {};
  }
  if (bytes) {
    cidrs_.push_back({.bytes = *bytes, .prefix_bits = static_cast<int>(bytes->size() * 8)});
    return {};
  }
  if (host.empty() || !std::all_of(host.begin(), host.end(), [](char c) {
        return IsAlpha(c) || IsDigit(c) || c == '-' || c == '.' || c == '_';
      })) {
    return NotAHost(host_or_cidr, "not a host name");
  }
  hosts_.push_back(host);
  return {};
}

bool AddressPolicy::InAllowedCidr(const Bytes& address) const {
  return std::any_of(cidrs_.begin(), cidrs_.end(), [&](const Cidr& cidr) {
    return InNetwork(address, cidr.bytes, cidr.prefix_bits);
  });
}

bool AddressPolicy::IsAllowed(std::string_view host, std::string_view address) const {
  if (std::find(hosts_.begin(), hosts_.end(), Normalise(host)) != hosts_.end()) return true;
  const auto bytes = ParseNumeric(address);
  if (!bytes) return false;
  if (InAllowedCidr(*bytes)) return true;
  if (bytes->size() != 16) return false;
  const auto inner = EmbeddedIpv4(*bytes);
  return inner && InAllowedCidr(*inner);
}

Status AddressPolicy::Check(std::string_view host, std::string_view address) const {
  if (IsAllowed(host, address)) return {};
  const auto bytes = ParseNumeric(address);
  const char* why = bytes ? Refusal(*bytes) : "not a numeric address";
  if (why == nullptr) return {};
  return Error(Code::kPermissionDenied, "refused to connect to " + std::string(host) + ": " +
                                            std::string(address) + " is " + why)
      .WithHint("if this is meant, the operator allows it with --allow-private " +
                std::string(host) + " (BDN_ALLOW_PRIVATE)");
}

Status AddressPolicy::CheckLiteral(std::string_view host) const {
  const std::string name = Normalise(host);
  if (name == "localhost" || name.ends_with(".localhost")) return Check(host, "127.0.0.1");
  if (ParseNumeric(name)) return Check(host, name);
  in_addr v4{};
  // inet_aton knows the decimal, octal, hexadecimal and shortened forms; inet_pton does not.
  if (inet_aton(name.c_str(), &v4) == 0) return {};
  std::array<char, INET_ADDRSTRLEN> text{};
  inet_ntop(AF_INET, &v4, text.data(), text.size());
  return Check(host, text.data());
}

}  // namespace bdn::net
