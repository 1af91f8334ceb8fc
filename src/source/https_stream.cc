#include "source/https_stream.h"

#include <algorithm>
#include <utility>

namespace bdn::source {
namespace {

// How long the body waits for the reader of its next bytes before it goes on without them: readers
// that run at the same time come in any order.
constexpr std::chrono::milliseconds kStreamOrderGrace{300};
// How long it stands still when nobody wants anything; servers close after about a minute.
constexpr std::chrono::seconds kStreamIdle{45};
// How often a reader looks at its deadline.
constexpr std::chrono::seconds kStreamLook{1};

// The body ends without a fault.
Error StreamOver() {
  return Error(Code::kCancelled, "the rest of this body is not wanted");
}

}  // namespace

HttpsStream::Turn HttpsStream::NextTurn(State& s, std::span<const std::byte> bytes) {
  std::optional<std::uint64_t> ahead;
  bool behind = false;
  for (auto& [id, want] : s.wants) {
    if (want.next == want.end) continue;  // its reader is about to leave
    if (want.next == s.at) {
      const std::uint64_t count = std::min<std::uint64_t>(bytes.size(), want.end - want.next);
      want.piece = bytes.first(static_cast<std::size_t>(count));
      return {.kind = Turn::kOffered, .id = id, .count = want.piece.size()};
    }
    if (want.next > s.at) ahead = std::min(ahead.value_or(want.next), want.next);
    behind = behind || want.next < s.at;
  }
  if (!ahead) return {.kind = behind ? Turn::kOver : Turn::kIdle};
  if (s.at >= s.skip_to) return {.kind = Turn::kGrace};
  const std::uint64_t gap = std::min(*ahead, s.skip_to) - s.at;
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), gap));
  s.at += count;
  return {.kind = Turn::kSkip, .count = count};
}

bool HttpsStream::AwaitWant(const std::stop_token& stop, bool any) {
  const auto wanted = [&](const State& s) {
    return std::any_of(s.wants.begin(), s.wants.end(), [&](const auto& entry) {
      const Want& want = entry.second;
      return want.next < want.end && (any || want.next == s.at);
    });
  };
  if (any) return state_.WaitFor(stop, kStreamIdle, wanted);
  if (state_.WaitFor(stop, kStreamOrderGrace, wanted)) return true;
  // Nobody came: on to the next range that is wanted.
  state_.With([](State& s) {
    for (const auto& [id, want] : s.wants) {
      if (want.next <= s.at || want.next == want.end) continue;
      s.skip_to = s.skip_to > s.at ? std::min(s.skip_to, want.next) : want.next;
    }
  });
  return !stop.stop_requested();
}

Status HttpsStream::Distribute(const std::stop_token& stop, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    Turn turn;
    state_.Change([&](State& s) { turn = NextTurn(s, bytes); });
    if (turn.kind == Turn::kOver) return StreamOver();
    if (turn.kind == Turn::kIdle || turn.kind == Turn::kGrace) {
      if (!AwaitWant(stop, turn.kind == Turn::kIdle)) return StreamOver();
      continue;
    }
    if (turn.kind == Turn::kOffered) {
      // The reader takes the piece before its memory is another's, also when the stream ends.
      state_.Wait([&](const State& s) {
        const auto it = s.wants.find(turn.id);
        return it == s.wants.end() || it->second.piece.empty();
      });
      state_.With([&](State& s) { s.at += turn.count; });
    }
    bytes = bytes.subspan(turn.count);
    if (stop.stop_requested()) return StreamOver();
  }
  return {};
}

void HttpsStream::Run(const Clock& clock, const std::stop_token& stop) {
  const Context ctx(clock, stop);
  const Status status =
      open_(ctx, [&](std::span<const std::byte> bytes) { return Distribute(stop, bytes); });
  state_.Change([&](State& s) {
    s.running = false;
    const bool fault = !status && status.error().code() != Code::kCancelled;
    for (auto& [key, want] : s.wants) {
      // Those in front of the body's end start another one; a fault is everybody's.
      if (fault) want.error = status.error();
    }
  });
}

void HttpsStream::StartUnlessRunning(const Clock& clock) {
  const bool start = state_.With([](State& s) {
    if (s.running) return false;
    s.at = s.skip_to = 0;
    return s.running = true;
  });
  if (!start) return;
  thread_.With([&](std::jthread& thread) {
    // The thread before has given its last word and ends.
    thread = std::jthread([this, &clock](const std::stop_token& stop) { Run(clock, stop); });
  });
}

std::optional<Status> HttpsStream::Take(std::uint64_t id,
                                        std::uint64_t* pos,
                                        const ByteSink& sink,
                                        bool* final) {
  const auto [piece, error] = state_.With([&](State& s) {
    const Want& want = s.wants.at(id);
    return std::pair(want.piece, want.error);
  });
  if (piece.empty()) {
    if (error) return *error;
    return std::nullopt;
  }
  Status status = sink(piece);
  *final = !status;
  if (status) *pos += piece.size();
  state_.Change([&](State& s) {
    Want& want = s.wants.at(id);
    want.piece = {};
    want.next = *pos;
    if (*final) want.next = want.end;  // wants nothing more; Read takes it away
  });
  if (!status) return status;
  return std::nullopt;
}

Status HttpsStream::Read(
    const Context& ctx, std::uint64_t* pos, std::uint64_t end, const ByteSink& sink, bool* final) {
  *final = false;
  std::uint64_t id = 0;
  state_.Change([&](State& s) {
    id = s.next_id++;
    s.wants[id] = {.next = *pos, .end = end};
  });
  Status outcome;
  while (*pos < end) {
    StartUnlessRunning(ctx.clock());
    state_.WaitFor(ctx.stop(), kStreamLook, [&](const State& s) {
      const Want& want = s.wants.at(id);
      return !want.piece.empty() || want.error || !s.running;
    });
    auto taken = Take(id, pos, sink, final);
    if (!taken) {
      if (const Status late = ctx.Check(); !late) taken = late;
    }
    if (taken) {
      outcome = *std::move(taken);
      break;
    }
  }
  state_.Change([&](State& s) { s.wants.erase(id); });
  return outcome;
}

}  // namespace bdn::source
