#include "fakes/traffic_log.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "codec/json.h"

namespace bdn::fakes {
namespace {

boost::json::object ToObject(const LogEntry& e) {
  return {{"id", e.id},         {"server", e.server},
          {"method", e.method}, {"path", e.path},
          {"query", e.query},   {"range", e.range},
          {"peer", e.peer},     {"authorization", e.authorization},
          {"status", e.status}, {"bytes", e.bytes},
          {"fault", e.fault}};
}

}  // namespace

TrafficLog::~TrafficLog() {
  file_.With([](std::FILE*& file) {
    if (file != nullptr) std::fclose(file);
    file = nullptr;
  });
}

Status TrafficLog::WriteTo(const std::string& file) {
  std::FILE* opened = std::fopen(file.c_str(), "ae");
  if (opened == nullptr) return Error(Code::kInvalidArgument, "cannot write the log file " + file);
  file_.With([&](std::FILE*& current) {
    if (current != nullptr) std::fclose(current);
    current = opened;
  });
  return {};
}

LogEntry* TrafficLog::Find(State& state, std::uint64_t id) {
  if (state.entries.empty() || id < state.entries.front().id) return nullptr;
  const std::uint64_t at = id - state.entries.front().id;
  return at < state.entries.size() ? &state.entries[at] : nullptr;
}

std::uint64_t TrafficLog::Begin(LogEntry entry) {
  return state_.With([&](State& s) {
    entry.id = s.next_id++;
    s.entries.push_back(std::move(entry));
    if (s.entries.size() > kEntriesMax) s.entries.pop_front();
    return s.next_id - 1;
  });
}

void TrafficLog::Update(std::uint64_t id, int status, std::uint64_t bytes) {
  state_.With([&](State& s) {
    if (LogEntry* entry = Find(s, id)) {
      entry->status = status;
      entry->bytes = bytes;
    }
  });
}

void TrafficLog::Finish(std::uint64_t id) {
  const auto entry = state_.With([&](State& s) -> std::optional<LogEntry> {
    const LogEntry* found = Find(s, id);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  });
  if (!entry) return;
  // One buffered line; the lock keeps lines whole.
  file_.With([&](std::FILE* file) {
    if (file == nullptr) return;
    const std::string line = codec::SerializeJson(ToObject(*entry)) + "\n";
    std::fwrite(line.data(), 1, line.size(), file);
    std::fflush(file);
  });
}

std::vector<LogEntry> TrafficLog::entries() const {
  return state_.With(
      [](const State& s) { return std::vector<LogEntry>(s.entries.begin(), s.entries.end()); });
}

std::size_t TrafficLog::CountIf(const std::function<bool(const LogEntry&)>& wanted) const {
  const auto all = entries();
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), wanted));
}

void TrafficLog::Clear() {
  state_.With([](State& s) { s.entries.clear(); });
}

std::string TrafficLog::ToJson() const {
  boost::json::array array;
  for (const LogEntry& entry : entries()) array.push_back(ToObject(entry));
  return codec::SerializeJson(array);
}

}  // namespace bdn::fakes
