#include <algorithm>
#include <utility>

#include "net/http.h"
#include "net/text.h"

namespace bdn::net {

Headers::Headers(std::initializer_list<std::pair<std::string, std::string>> fields)
    : fields_(fields) {}

void Headers::Add(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

void Headers::Set(std::string_view name, std::string value) {
  Remove(name);
  Add(std::string(name), std::move(value));
}

void Headers::Remove(std::string_view name) {
  std::erase_if(fields_, [&](const auto& field) { return EqualsIgnoreCase(field.first, name); });
}

std::optional<std::string_view> Headers::Get(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (EqualsIgnoreCase(field, name)) return value;
  }
  return std::nullopt;
}

Status ValidateRequest(const HttpRequest& request) {
  if (!IsToken(request.method)) {
    return Error(Code::kInvalidArgument, "the HTTP method is not a token");
  }
  if (request.method == "HEAD" && !request.body.empty()) {
    return Error(Code::kInvalidArgument, DescribeRequest(request) + ": HEAD sends no body");
  }
  constexpr std::string_view kOwn[] = {"Host", "Content-Length", "Connection", "Transfer-Encoding"};
  for (const auto& [name, value] : request.headers.fields()) {
    if (!IsToken(name)) {
      return Error(Code::kInvalidArgument,
                   DescribeRequest(request) + ": a header name is no token");
    }
    // A line break in a value would let whoever wrote the value add headers of their own.
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return Error(Code::kInvalidArgument, DescribeRequest(request) + ": the value of header " +
                                               name + " contains a line break or NUL");
    }
    for (const auto own : kOwn) {
      if (EqualsIgnoreCase(name, own)) {
        return Error(Code::kInvalidArgument, DescribeRequest(request) + ": header " + name +
                                                 " is written by the transport; leave it out");
      }
    }
  }
  return {};
}

std::string DescribeRequest(const HttpRequest& request) {
  return request.method + " " + RedactUrl(request.url.ToString());
}

}  // namespace bdn::net
