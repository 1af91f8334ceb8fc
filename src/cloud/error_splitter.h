#pragma once
// Internal to cloud: passes the body of 2xx on and keeps the beginning of everything else, which is
// an error's text.
#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "net/http.h"

namespace bdn::cloud {

class ErrorSplitter final : public net::ResponseSink {
 public:
  ErrorSplitter(net::ResponseSink& inner, std::size_t text_bytes_max)
      : inner_(inner), text_bytes_max_(text_bytes_max) {}

  Status OnHead(const net::ResponseHead& answer) override {
    head = answer;
    good = answer.status >= 200 && answer.status < 300;
    return good ? inner_.OnHead(answer) : Status();
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (good) return inner_.Write(bytes);
    const auto take = std::min(bytes.size(), text_bytes_max_ - text.size());
    text.append(reinterpret_cast<const char*>(bytes.data()), take);
    if (take == bytes.size()) return {};
    return Error(Code::kUnavailable, "the rest of this error is not wanted");
  }

  std::optional<net::ResponseHead> head;
  bool good = false;
  std::string text;

 private:
  net::ResponseSink& inner_;
  const std::size_t text_bytes_max_;
};

// A body in memory, with a limit.
class TextCollector final : public net::ResponseSink {
 public:
  explicit TextCollector(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  Status OnHead(const net::ResponseHead& /*head*/) override { return {}; }
  Status Write(std::span<const std::byte> bytes) override {
    if (bytes.size() > bytes_max_ - text.size()) {
      return Error(Code::kResourceExhausted,
                   "an answer is larger than " + std::to_string(bytes_max_) + " bytes");
    }
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  std::string text;

 private:
  const std::size_t bytes_max_;
};

}  // namespace bdn::cloud
