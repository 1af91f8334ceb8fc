#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "net/http.h"

namespace bdn::net::testing {

// Keeps what a Transport delivers, and fails where a test says so. One thread at a time.
class CollectingSink final : public ResponseSink {
 public:
  Status OnHead(const ResponseHead& head) override {
    heads.push_back(head);
    return on_head ? on_head() : Status();
  }
  Status Write(std::span<const std::byte> bytes) override {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    largest_piece = std::max(largest_piece, bytes.size());
    return on_write ? on_write() : Status();
  }

  std::vector<ResponseHead> heads;
  std::string body;
  std::size_t largest_piece = 0;
  std::function<Status()> on_head;   // after the head was kept
  std::function<Status()> on_write;  // after the piece was kept
};

}  // namespace bdn::net::testing
