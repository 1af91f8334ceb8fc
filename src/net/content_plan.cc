#include "net/content_plan.h"

#include <algorithm>
#include <optional>

#include "net/text.h"

namespace bdn::net {
namespace {

// nullopt: malformed, another unit or several ranges, so the field is ignored. An empty range: not
// satisfiable.
std::optional<ByteRange> ParseRange(std::string_view value, std::uint64_t size) {
  const std::size_t equals = value.find('=');
  if (equals == std::string_view::npos || !EqualsIgnoreCase(value.substr(0, equals), "bytes")) {
    return std::nullopt;
  }
  const std::string_view spec = TrimBlanks(value.substr(equals + 1));
  const std::size_t dash = spec.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view last_text = spec.substr(dash + 1);
  if (dash == 0) {  // the last n bytes
    const auto count = ParseDecimal(last_text);
    if (!count) return std::nullopt;
    return ByteRange{size - std::min(*count, size), size};
  }
  const auto first = ParseDecimal(spec.substr(0, dash));
  if (!first) return std::nullopt;
  if (last_text.empty()) return ByteRange{std::min(*first, size), size};
  const auto last = ParseDecimal(last_text);
  if (!last || *last < *first) return std::nullopt;
  const std::uint64_t begin = std::min(*first, size);
  return ByteRange{begin, *last < size ? *last + 1 : size};
}

std::optional<bool> AnyMatches(const Headers& headers,
                               std::string_view name,
                               std::string_view etag,
                               bool weak) {
  std::optional<bool> matches;
  for (const auto& [field, value] : headers.fields()) {
    if (!EqualsIgnoreCase(field, name)) continue;
    matches = matches.value_or(false) || EtagListMatches(value, etag, weak);
  }
  return matches;
}

}  // namespace

bool EtagListMatches(std::string_view list, std::string_view etag, bool weak) {
  if (TrimBlanks(list) == "*") return true;
  if (etag.empty()) return false;
  // A tag may contain a comma, so the list is cut at quotes.
  while (true) {
    list = TrimBlanks(list);
    if (list.starts_with(',')) {
      list.remove_prefix(1);
      continue;
    }
    const bool is_weak = list.starts_with("W/");
    if (is_weak) list.remove_prefix(2);
    if (!list.starts_with('"')) return false;
    const std::size_t close = list.find('"', 1);
    if (close == std::string_view::npos) return false;
    if (list.substr(0, close + 1) == etag && (weak || !is_weak)) return true;
    list.remove_prefix(close + 1);
  }
}

ContentPlan PlanContent(std::string_view method,
                        const Headers& headers,
                        std::string_view etag,
                        std::uint64_t size) {
  const ContentPlan whole{200, {0, size}};
  if (AnyMatches(headers, "If-Match", etag, false) == false) return {412, {}};
  const bool reads = method == "GET" || method == "HEAD";
  if (AnyMatches(headers, "If-None-Match", etag, true) == true) return {reads ? 304 : 412, {}};
  // RFC 9110 §14.2: Range has no meaning for another method, HEAD included.
  if (method != "GET") return whole;
  const auto range_field = headers.Get("Range");
  if (!range_field) return whole;
  if (const auto if_range = headers.Get("If-Range")) {
    // A date never matches: the representation has no Last-Modified.
    if (etag.empty() || *if_range != etag) return whole;
  }
  const auto range = ParseRange(*range_field, size);
  if (!range) return whole;
  if (range->begin >= range->end) return {416, {}};
  return {206, *range};
}

}  // namespace bdn::net
