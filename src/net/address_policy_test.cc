#include "net/address_policy.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bdn::net {
namespace {

TEST(AddressPolicy, RefusesEverySpecialPurposeAddress) {
  const char* refused[] = {"0.0.0.0",
                           "0.1.2.3",
                           "10.0.0.1",
                           "10.255.255.255",
                           "100.64.0.1",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.255.255",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.192",
                           "192.0.2.1",
                           "192.88.99.1",
                           "192.168.1.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "198.51.100.1",
                           "203.0.113.1",
                           "224.0.0.1",
                           "239.255.255.255",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "fe80::1",
                           "febf::1",
                           "fec0::1",
                           "fc00::1",
                           "fd00:ec2::254",
                           "ff02::1",
                           "2001:db8::1",
                           "3fff::1",
                           "100::1",
                           "2001::1",
                           "2001:0:4136:e378:8000:63bf:3fff:fdd2",
                           "64:ff9b:1::a00:1",
                           "4000::1",
                           "::ffff:127.0.0.1",
                           "::ffff:a9fe:a9fe",
                           "::7f00:1",
                           "::ffff:0:7f00:1",
                           "64:ff9b::10.0.0.1",
                           "64:ff9b::a9fe:a9fe",
                           "2002:7f00:1::",
                           "2002:a9fe:a9fe::1",
                           "fe80::1%eth0",
                           "not an address",
                           ""};
  for (const auto* address : refused) {
    const auto status = AddressPolicy().Check("h", address);
    ASSERT_FALSE(status) << address;
    EXPECT_EQ(status.error().code(), Code::kPermissionDenied) << address;
    EXPECT_NE(status.error().message().find(address), std::string::npos);
    EXPECT_FALSE(status.error().hint().empty());
  }
}

TEST(AddressPolicy, LetsPublicAddressesThrough) {
  for (const auto* address :
       {"1.1.1.1",     "9.255.255.255",  "11.0.0.0",         "100.63.255.255",  "100.128.0.0",
        "126.0.0.1",   "128.0.0.1",      "169.253.1.1",      "172.15.0.1",      "172.32.0.1",
        "192.167.1.1", "198.17.0.1",     "198.20.0.1",       "223.255.255.255", "2606:4700::1111",
        "2a00::1",     "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1", "2001:200::1",
        "2001:db9::1"}) {
    EXPECT_TRUE(AddressPolicy().Check("h", address)) << address;
  }
}

TEST(AddressPolicy, OperatorNamesHostsAddressesAndCidrs) {
  const auto policy = AddressPolicy::WithAllowed(
      {"Hub.Internal.", "10.0.0.0/8", "192.168.1.7", "[::1]", "fd00::/8"});
  ASSERT_TRUE(policy);
  EXPECT_TRUE(policy->Check("hub.internal", "127.0.0.1"));
  EXPECT_TRUE(policy->Check("HUB.internal.", "fe80::1"));
  EXPECT_FALSE(policy->Check("evilhub.internal", "127.0.0.1"));
  EXPECT_FALSE(policy->Check("a.hub.internal", "127.0.0.1"));
  EXPECT_TRUE(policy->Check("x", "10.9.8.7"));
  EXPECT_TRUE(policy->Check("x", "::ffff:10.9.8.7"));
  EXPECT_FALSE(policy->Check("x", "11.0.0.1") && policy->Check("x", "172.16.0.1"));
  EXPECT_TRUE(policy->Check("x", "192.168.1.7"));
  EXPECT_FALSE(policy->Check("x", "192.168.1.8"));
  EXPECT_TRUE(policy->Check("x", "::1"));
  EXPECT_TRUE(policy->Check("x", "fd12::1"));
  EXPECT_FALSE(policy->Check("x", "fe80::1"));
  EXPECT_TRUE(policy->IsAllowed("x", "10.1.1.1"));
  EXPECT_FALSE(policy->IsAllowed("x", "1.1.1.1"));
}

TEST(AddressPolicy, SaysWhatIsWrongWithAnEntry) {
  for (const auto* bad : {"", "http://h/", "h:80", "*.internal", "10.1.2.3/8", "10.0.0.0/33",
                          "10.0.0.0/", "10.0.0.0/x", "hub/8", "::1/129", "a b", "10.0.0.0/-1"}) {
    const auto policy = AddressPolicy::WithAllowed({bad});
    ASSERT_FALSE(policy) << bad;
    EXPECT_EQ(policy.error().code(), Code::kInvalidArgument);
  }
  EXPECT_TRUE(AddressPolicy::WithAllowed({"0.0.0.0/0", "::/0", "10.0.0.0/31", "10.0.0.1/32"}));
}

TEST(AddressPolicy, LiteralsAreKnownInEverySpelling) {
  for (const auto* host :
       {"127.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.1", "127.0.1", "0x7f.1",
        "0177.0.0.1", "127.0.0.1.", "0", "::1", "[::1]", "::ffff:7f00:1", "localhost", "LOCALHOST.",
        "a.localhost", "169.254.169.254", "0xA9.0xFE.0xA9.0xFE", "2852039166"}) {
    EXPECT_FALSE(AddressPolicy().CheckLiteral(host)) << host;
  }
  for (const auto* host : {"1.1.1.1", "16843009", "hub.example", "localhost.example", "1.2.3.4.5",
                           "2606:4700::1111", "0x7f000001.example"}) {
    EXPECT_TRUE(AddressPolicy().CheckLiteral(host)) << host;
  }
  EXPECT_TRUE(AddressPolicy::WithAllowed({"localhost"})->CheckLiteral("localhost"));
  EXPECT_TRUE(AddressPolicy::WithAllowed({"127.0.0.1"})->CheckLiteral("2130706433"));
}

}  // namespace
}  // namespace bdn::net
