#pragma once
// A Transport that breaks chosen calls of another one, in the ways that networks and servers do.
//
//   FaultyTransport faulty(memory);
//   faulty.OnCall(0, Fault::ResetAfter(100));
//   faulty.FromCall(3, Fault::Respond(503));
//   faulty.When([](const HttpRequest& r) { return r.url.host == "cdn"; }, Fault::FlipByte(7));
//
// For exhaustive tests: for n = 0, 1, 2, …: OnCall(n, fault), run, check, stop when fired() == 0.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "net/http.h"

namespace bdn::net::testing {

class Fault {
 public:
  // kUnavailable before anything is sent.
  static Fault Refuse() { return Fault(Kind::kRefuse); }
  // kUnavailable after `bytes` of the body; nothing happens to a body that is not longer.
  static Fault ResetAfter(std::uint64_t bytes) { return Fault(Kind::kReset, bytes); }
  // The body ends after `bytes` as if that were all: no Content-Length tells, Fetch succeeds.
  static Fault TruncateAfter(std::uint64_t bytes) { return Fault(Kind::kTruncate, bytes); }
  // `bytes` of the body, then silence: waits stall_timeout on the context's clock, then kTimeout.
  static Fault StallAfter(std::uint64_t bytes) { return Fault(Kind::kStall, bytes); }
  // The lowest bit of the body's byte at `offset` is inverted.
  static Fault FlipByte(std::uint64_t offset) { return Fault(Kind::kFlip, offset); }
  // Content-Range says one byte further on than the body is.
  static Fault WrongContentRange() { return Fault(Kind::kWrongRange); }
  // The server does not know Range: 200 and everything.
  static Fault IgnoreRange() { return Fault(Kind::kIgnoreRange); }
  // The response has this header instead of its own of that name: another ETag, an encoding.
  static Fault ReplaceHeader(std::string name, std::string value) {
    Fault fault(Kind::kReplaceHeader);
    fault.response_.headers = {{std::move(name), std::move(value)}};
    return fault;
  }
  // This response instead of the server's.
  static Fault Respond(int status, Headers headers = {}, std::string body = "") {
    Fault fault(Kind::kRespond);
    fault.response_ = {.status = status, .headers = std::move(headers), .body = std::move(body)};
    return fault;
  }
  static Fault TooManyRequests(std::chrono::seconds retry_after) {
    return Respond(429, {{"Retry-After", std::to_string(retry_after.count())}}, "slow down");
  }
  static Fault ServiceUnavailable() { return Respond(503, {}, "try later"); }
  // 302 to where the request came from; with FromCall or When it never ends.
  static Fault RedirectLoop() { return Fault(Kind::kRedirectLoop); }

 private:
  friend class FaultyTransport;
  friend class FaultySink;
  enum class Kind {
    kRefuse,
    kReset,
    kTruncate,
    kStall,
    kFlip,
    kWrongRange,
    kIgnoreRange,
    kReplaceHeader,
    kRespond,
    kRedirectLoop,
  };
  explicit Fault(Kind kind, std::uint64_t at = 0) : kind_(kind), at_(at) {}
  // The fault cuts the body at at_.
  bool Cuts() const {
    return kind_ == Kind::kReset || kind_ == Kind::kTruncate || kind_ == Kind::kStall;
  }

  Kind kind_;
  std::uint64_t at_;
  HttpResponse response_ = {};
};

// Stands between the inner transport and the caller's sink; one call.
class FaultySink final : public ResponseSink {
 public:
  FaultySink(const Fault& fault, ResponseSink& target) : fault_(fault), target_(target) {}

  Status OnHead(const ResponseHead& head) override {
    ResponseHead changed = head;
    if (fault_.kind_ == Fault::Kind::kTruncate) changed.headers.Remove("Content-Length");
    if (fault_.kind_ == Fault::Kind::kReplaceHeader) {
      const auto& [name, value] = fault_.response_.headers.fields().front();
      changed.headers.Set(name, value);
      fired = true;
    }
    if (fault_.kind_ == Fault::Kind::kWrongRange) ShiftRange(&changed.headers);
    return target_.OnHead(changed);
  }

  Status Write(std::span<const std::byte> bytes) override {
    const std::uint64_t begin = delivered_;
    const std::uint64_t end = begin + bytes.size();
    delivered_ = end;
    if (fault_.Cuts() && end > fault_.at_) {
      if (fault_.at_ > begin) {
        BDN_TRY(target_.Write(bytes.first(static_cast<std::size_t>(fault_.at_ - begin))));
      }
      fired = cut = true;
      return Error(Code::kUnavailable, "cut here");
    }
    if (fault_.kind_ == Fault::Kind::kFlip && fault_.at_ >= begin && fault_.at_ < end) {
      std::vector<std::byte> copy(bytes.begin(), bytes.end());
      copy[static_cast<std::size_t>(fault_.at_ - begin)] ^= std::byte{1};
      fired = true;
      return target_.Write(copy);
    }
    return target_.Write(bytes);
  }

  bool fired = false;
  bool cut = false;  // by us, not by the caller's sink

 private:
  void ShiftRange(Headers* headers) {
    const auto value = headers->Get("Content-Range");
    const auto range = value ? ParseContentRange(*value) : std::nullopt;
    if (!range) return;
    headers->Set("Content-Range", "bytes " + std::to_string(range->range.begin + 1) + "-" +
                                      std::to_string(range->range.end) + "/" +
                                      std::to_string(range->total + 1));
    fired = true;
  }

  const Fault& fault_;
  ResponseSink& target_;
  std::uint64_t delivered_ = 0;
};

// Thread-safe when the inner transport is. Calls are numbered from 0 in the order of arrival; the
// first rule that matches a call is used.
class FaultyTransport final : public Transport {
 public:
  using Predicate = std::function<bool(const HttpRequest&)>;

  explicit FaultyTransport(Transport& inner) : inner_(inner) {}

  void OnCall(std::size_t number, Fault fault) {
    AddRule(number, number + 1, {}, std::move(fault));
  }
  void FromCall(std::size_t number, Fault fault) { AddRule(number, kEver, {}, std::move(fault)); }
  // The first `times` calls that match.
  void When(Predicate matches, Fault fault, std::size_t times = kEver) {
    AddRule(0, kEver, std::move(matches), std::move(fault), times);
  }

  std::size_t calls() const {
    return state_.With([](const State& state) { return state.calls; });
  }
  // How many faults had an effect; a cut behind the end of a body has none.
  std::size_t fired() const {
    return state_.With([](const State& state) { return state.fired; });
  }

  Status Fetch(const Context& ctx, const HttpRequest& request, ResponseSink& sink) override {
    BDN_TRY(ctx.Check());
    const std::optional<Fault> fault = Choose(request);
    if (!fault) return inner_.Fetch(ctx, request, sink);
    switch (fault->kind_) {
      case Fault::Kind::kRefuse:
        Fired();
        return Error(Code::kUnavailable, DescribeRequest(request) + ": connection refused");
      case Fault::Kind::kRespond:
        Fired();
        return Respond(request, fault->response_, sink);
      case Fault::Kind::kRedirectLoop:
        Fired();
        return Respond(
            request,
            {.status = 302, .headers = {{"Location", request.url.ToString()}}, .body = "again"},
            sink);
      case Fault::Kind::kIgnoreRange: {
        HttpRequest whole = request;
        if (whole.headers.Has("Range")) Fired();
        whole.headers.Remove("Range");
        whole.headers.Remove("If-Range");
        return inner_.Fetch(ctx, whole, sink);
      }
      default:
        return FetchThrough(ctx, request, *fault, sink);
    }
  }

 private:
  static constexpr std::size_t kEver = std::numeric_limits<std::size_t>::max();
  struct Rule {
    std::size_t first;
    std::size_t end;
    Predicate matches;
    Fault fault;
    std::size_t times_left;
  };
  struct State {
    std::vector<Rule> rules;
    std::size_t calls = 0;
    std::size_t fired = 0;
  };

  void AddRule(std::size_t first,
               std::size_t end,
               Predicate matches,
               Fault fault,
               std::size_t times = kEver) {
    state_.With([&](State& state) {
      state.rules.push_back({first, end, std::move(matches), std::move(fault), times});
    });
  }
  std::optional<Fault> Choose(const HttpRequest& request) {
    return state_.With([&](State& state) -> std::optional<Fault> {
      const std::size_t call = state.calls++;
      for (Rule& rule : state.rules) {
        if (call < rule.first || call >= rule.end || rule.times_left == 0) continue;
        if (rule.matches && !rule.matches(request)) continue;
        --rule.times_left;
        return rule.fault;
      }
      return std::nullopt;
    });
  }
  void Fired() {
    state_.With([](State& state) { ++state.fired; });
  }

  static Status Respond(const HttpRequest& request,
                        const HttpResponse& response,
                        ResponseSink& sink) {
    BDN_TRY(sink.OnHead({.status = response.status, .headers = response.headers}));
    if (request.method == "HEAD" || response.body.empty()) return {};
    return sink.Write(std::as_bytes(std::span(response.body)));
  }

  Status FetchThrough(const Context& ctx,
                      const HttpRequest& request,
                      const Fault& fault,
                      ResponseSink& sink) {
    FaultySink faulty(fault, sink);
    Status status = inner_.Fetch(ctx, request, faulty);
    if (faulty.fired) Fired();
    if (!faulty.cut) return status;
    switch (fault.kind_) {
      case Fault::Kind::kTruncate:
        return {};
      case Fault::Kind::kStall:
        BDN_TRY(ctx.Sleep(request.limits.stall_timeout));
        return Error(Code::kTimeout, DescribeRequest(request) + ": no byte for too long");
      default:
        return Error(Code::kUnavailable, DescribeRequest(request) + ": connection reset");
    }
  }

  Transport& inner_;
  Guarded<State> state_;
};

}  // namespace bdn::net::testing
