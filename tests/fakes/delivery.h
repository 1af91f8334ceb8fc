#pragma once
// Sends an answer of a stand-in: ranges, faults in the body, a rate, and the entry in the log.
#include <atomic>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "fakes/content.h"
#include "fakes/fault_plan.h"
#include "fakes/traffic_log.h"
#include "net/server.h"

namespace bdn::fakes {

// Either `content`, served by the rules for ranges and conditions, or `status` with `body`.
struct Answer {
  int status = 200;
  net::Headers headers = {};
  std::string body = {};
  ContentPtr content = {};
  std::string etag = {};      // of the content, quoted
  std::string range = {};     // in place of the request's Range field; empty: that one
  bool ignore_range = false;  // answers 200 with all of the content
  bool gzip = false;          // encodes it (in memory), chunked, with a weak ETag
};

struct Delivery {
  const Clock& clock;
  TrafficLog& log;
  std::uint64_t log_id = 0;
  const Fault* fault = nullptr;  // null for none
  // 0: as fast as it goes. A change holds from the next piece on, also of bodies under way.
  const std::atomic<std::uint64_t>& bytes_per_second;
};

Status Deliver(net::ServerRequest& request,
               net::ServerResponse& response,
               Answer answer,
               const Delivery& delivery);

}  // namespace bdn::fakes
