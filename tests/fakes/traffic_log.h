#pragma once
// What a stand-in was asked and what it answered.
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"

namespace bdn::fakes {

struct LogEntry {
  std::uint64_t id = 0;
  std::string server;  // "hub" or "cdn"
  std::string method;
  std::string path;  // as on the wire
  std::string query;
  std::string range;  // the Range field
  std::string peer;   // "127.0.0.1:4711": tells connections apart
  bool authorization = false;
  int status = 0;           // 0: none was sent (yet)
  std::uint64_t bytes = 0;  // of the body, as far as it was handed to the kernel
  std::string fault;        // the name of the fault that hit
};

// Thread-safe. An entry has its status before the client can see it, and its bytes before the
// client can have the last of them: whoever got an answer finds it here. Bytes of a file that is
// sent undisturbed are counted at its start.
class TrafficLog {
 public:
  TrafficLog() = default;
  ~TrafficLog();
  // Also writes each finished entry as a line of JSON.
  Status WriteTo(const std::string& file);

  std::uint64_t Begin(LogEntry entry);
  void Update(std::uint64_t id, int status, std::uint64_t bytes);
  void Finish(std::uint64_t id);

  std::vector<LogEntry> entries() const;
  std::size_t CountIf(const std::function<bool(const LogEntry&)>& wanted) const;
  void Clear();
  // [{"id":1,"server":"hub","method":"GET",…},…]
  std::string ToJson() const;

 private:
  static constexpr std::size_t kEntriesMax = 1'000'000;  // the oldest go first
  struct State {
    std::deque<LogEntry> entries;
    std::uint64_t next_id = 1;
  };
  static LogEntry* Find(State& state, std::uint64_t id);
  Guarded<State> state_;
  Guarded<std::FILE*> file_{nullptr};
};

}  // namespace bdn::fakes
