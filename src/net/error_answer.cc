// How an Error looks on the wire, and the query string helper.
#include <chrono>
#include <string>

#include "net/server.h"

namespace bdn::net {
namespace {

void AppendJsonString(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

std::string PlusToBlank(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c == '+') c = ' ';
  }
  return out;
}

}  // namespace

std::string ErrorJson(const Error& error) {
  std::string out = "{\"error\":{\"code\":";
  AppendJsonString(out, FactsOf(error.code()).name);
  out += ",\"message\":";
  AppendJsonString(out, error.message());
  out += ",\"hint\":";
  AppendJsonString(out, error.hint());
  out += "}}\n";
  return out;
}

Status SendError(ServerResponse& response, const Error& error) {
  const int status = FactsOf(error.code()).http_status;
  Headers headers{{"Content-Type", "application/json"}};
  if (error.retry_after()) {
    // Whole seconds, and never a promise that is too early.
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*error.retry_after());
    headers.Add("Retry-After", std::to_string(seconds.count()));
  }
  if (status == 401) headers.Add("WWW-Authenticate", "Bearer");
  return response.Send(status, std::move(headers), ErrorJson(error));
}

std::optional<std::string> QueryParam(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto key = PercentDecode(PlusToBlank(pair.substr(0, equals)));
    if (!key || *key != name) continue;
    auto value = PercentDecode(PlusToBlank(pair.substr(std::min(equals + 1, pair.size()))));
    if (!value) return std::nullopt;
    return *std::move(value);
  }
  return std::nullopt;
}

}  // namespace bdn::net
