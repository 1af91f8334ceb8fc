#include <algorithm>
#include <utility>

#include "net/http.h"
#include "net/text.h"

namespace bdn::net {
namespace {

// One link-value of a Link field (RFC 8288 §3), as much of it as matters here.
struct Link {
  std::string target;
  std::string rel;
  bool has_rel = false;
  bool has_anchor = false;
};

// Reads a Link field value from left to right. Every Read… leaves `rest_` behind what it took.
class LinkReader {
 public:
  explicit LinkReader(std::string_view text) : rest_(text) {}

  // The next link; nullopt at the end or where the text stops being a Link value.
  std::optional<Link> Next() {
    while (!rest_.empty() && (rest_.front() == ',' || IsBlank(rest_.front()))) Skip(1);
    if (!Take('<')) return std::nullopt;
    const auto close = rest_.find('>');
    if (close == std::string_view::npos) return std::nullopt;
    Link link;
    link.target = rest_.substr(0, close);
    Skip(close + 1);
    for (;;) {
      SkipBlanks();
      if (!Take(';')) break;
      SkipBlanks();
      if (!ReadParameter(&link)) return std::nullopt;
    }
    return rest_.empty() || rest_.front() == ',' ? std::optional(std::move(link)) : std::nullopt;
  }

 private:
  static bool IsBlank(char c) { return c == ' ' || c == '\t'; }
  void Skip(std::size_t n) { rest_.remove_prefix(n); }
  void SkipBlanks() {
    while (!rest_.empty() && IsBlank(rest_.front())) Skip(1);
  }
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    Skip(1);
    return true;
  }

  std::string_view ReadToken() {
    std::size_t size = 0;
    while (size < rest_.size() && IsTokenChar(rest_[size])) ++size;
    const std::string_view token = rest_.substr(0, size);
    Skip(size);
    return token;
  }

  std::optional<std::string> ReadQuoted() {
    std::string value;
    while (!rest_.empty()) {
      char c = rest_.front();
      Skip(1);
      if (c == '"') return value;
      if (c == '\\') {
        if (rest_.empty()) return std::nullopt;
        c = rest_.front();
        Skip(1);
      }
      value += c;
    }
    return std::nullopt;
  }

  // An empty parameter (";;", a trailing ";") is tolerated.
  bool ReadParameter(Link* link) {
    const std::string_view name = ReadToken();
    if (name.empty()) return rest_.empty() || rest_.front() == ';' || rest_.front() == ',';
    SkipBlanks();
    std::string value;
    if (Take('=')) {
      SkipBlanks();
      if (Take('"')) {
        auto quoted = ReadQuoted();
        if (!quoted) return false;
        value = *std::move(quoted);
      } else {
        value = ReadToken();
      }
    }
    // Only the first rel counts (RFC 8288 §3.3).
    if (EqualsIgnoreCase(name, "rel") && !link->has_rel) {
      link->has_rel = true;
      link->rel = std::move(value);
    }
    if (EqualsIgnoreCase(name, "anchor")) link->has_anchor = true;
    return true;
  }

  std::string_view rest_;
};

// rel holds relation types with blanks between them.
bool HasRelation(std::string_view rel, std::string_view wanted) {
  while (!rel.empty()) {
    const auto blank = rel.find_first_of(" \t");
    if (EqualsIgnoreCase(rel.substr(0, blank), wanted)) return true;
    if (blank == std::string_view::npos) break;
    rel.remove_prefix(blank + 1);
  }
  return false;
}

class BodySink final : public ResponseSink {
 public:
  BodySink(std::string what, std::uint64_t bytes_max)
      : what_(std::move(what)), bytes_max_(bytes_max) {}

  Status OnHead(const ResponseHead& head) override {
    response.status = head.status;
    response.headers = head.headers;
    return {};
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (bytes.size() > bytes_max_ - response.body.size()) {
      return Error(Code::kResourceExhausted,
                   what_ + ": the answer is larger than " + std::to_string(bytes_max_) + " bytes");
    }
    response.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }

  HttpResponse response;

 private:
  const std::string what_;
  const std::uint64_t bytes_max_;
};

}  // namespace

Result<HttpResponse> FetchAll(const Context& ctx,
                              Transport& transport,
                              const HttpRequest& request,
                              std::uint64_t body_bytes_max) {
  BodySink sink(DescribeRequest(request), body_bytes_max);
  BDN_TRY(transport.Fetch(ctx, request, sink));
  return std::move(sink.response);
}

std::optional<ContentRange> ParseContentRange(std::string_view value) {
  value = TrimBlanks(value);
  if (value.size() < 6 || !EqualsIgnoreCase(value.substr(0, 6), "bytes ")) return std::nullopt;
  value = TrimBlanks(value.substr(6));
  const auto dash = value.find('-');
  const auto slash = value.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  const auto first = ParseDecimal(value.substr(0, dash));
  const auto last = ParseDecimal(value.substr(dash + 1, slash - dash - 1));
  const auto total = ParseDecimal(value.substr(slash + 1));
  if (!first || !last || !total || *last < *first || *last >= *total) return std::nullopt;
  return ContentRange{.range = {.begin = *first, .end = *last + 1}, .total = *total};
}

std::optional<std::string> NextLink(const Headers& headers) {
  for (const auto& [name, value] : headers.fields()) {
    if (!EqualsIgnoreCase(name, "Link")) continue;
    LinkReader reader(value);
    while (auto link = reader.Next()) {
      // A link with an anchor speaks about another resource than the page we read.
      if (!link->has_anchor && HasRelation(link->rel, "next")) return std::move(link->target);
    }
  }
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view value, WallTime now) {
  using std::chrono::milliseconds;
  constexpr auto kMax = std::chrono::duration_cast<std::chrono::seconds>(kRetryAfterMax);
  value = TrimBlanks(value);
  if (!value.empty() && std::all_of(value.begin(), value.end(), IsDigit)) {
    const auto seconds = ParseDecimal(value);  // nullopt: more than 64 bits, so more than the cap
    if (!seconds || *seconds > static_cast<std::uint64_t>(kMax.count())) return kRetryAfterMax;
    return std::chrono::seconds(*seconds);
  }
  const auto at = ParseHttpDate(value);
  if (!at) return std::nullopt;
  if (*at <= now) return milliseconds(0);
  if (*at - now > kRetryAfterMax) return kRetryAfterMax;
  return std::chrono::ceil<milliseconds>(*at - now);
}

}  // namespace bdn::net
