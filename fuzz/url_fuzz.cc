// A URL that was accepted says the same after being written and read again, and resolving never
// leads to another scheme or to text that ParseUrl would refuse.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/address_policy.h"
#include "net/http.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bdn::net;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto url = ParseUrl(text);
  if (url) {
    const auto again = ParseUrl(url->ToString());
    BDN_CHECK(again.has_value());
    BDN_CHECK(again->ToString() == url->ToString());
    BDN_CHECK(again->SameOrigin(*url));
    BDN_CHECK(url->path.starts_with('/'));
    BDN_CHECK(RedactUrl(url->ToString()).find('?') == std::string::npos);
    (void)AddressPolicy().CheckLiteral(url->host);
  } else {
    BDN_CHECK(url.error().code() == bdn::Code::kInvalidArgument);
  }
  static const Url base = *ParseUrl("https://hub.example:8443/a/b;c?d=e");
  if (const auto target = ResolveUrl(base, text)) {
    const auto again = ParseUrl(target->ToString());
    BDN_CHECK(again.has_value());
    BDN_CHECK(again->ToString() == target->ToString());
    BDN_CHECK(again->SameOrigin(*target));
  }
  if (const auto decoded = PercentDecode(text)) {
    BDN_CHECK(*PercentDecode(PercentEncode(*decoded)) == *decoded);
  }
  (void)RedactUrl(text);
  return 0;
}
