#include "base/context.h"

#include <algorithm>
#include <utility>

namespace bdn {
namespace {

// Two parents, one child: a request at either stops the child's source.
struct StopLink {
  explicit StopLink(const std::stop_token& a, const std::stop_token& b, std::shared_ptr<void> up)
      : from_a(a, Forward{&source}), from_b(b, Forward{&source}), parent(std::move(up)) {}
  struct Forward {
    std::stop_source* source;
    void operator()() const noexcept { source->request_stop(); }
  };
  std::stop_source source;
  std::stop_callback<Forward> from_a;
  std::stop_callback<Forward> from_b;
  std::shared_ptr<void> parent;
};

}  // namespace

Context::Context(const Clock& clock, std::stop_token stop)
    : clock_(&clock), stop_(std::move(stop)) {}

Context Context::WithTimeout(Duration timeout) const {
  Context child = *this;
  const MonoTime at = clock_->Monotonic() + timeout;
  child.deadline_ = deadline_ ? std::min(*deadline_, at) : at;
  return child;
}

Context Context::WithStop(const std::stop_token& stop) const {
  auto link = std::make_shared<StopLink>(stop_, stop, link_);
  Context child = *this;
  child.stop_ = link->source.get_token();
  child.link_ = std::move(link);
  return child;
}

Status Context::Check() const {
  if (stop_.stop_requested()) return Error(Code::kCancelled, "cancelled");
  if (deadline_ && clock_->Monotonic() >= *deadline_) {
    return Error(Code::kTimeout, "deadline exceeded");
  }
  return {};
}

std::optional<Duration> Context::remaining() const {
  if (!deadline_) return std::nullopt;
  return std::max(Duration::zero(), *deadline_ - clock_->Monotonic());
}

Status Context::Sleep(Duration wait) const {
  BDN_TRY(Check());
  if (auto left = remaining(); left && *left < wait) {
    return Error(Code::kTimeout, "deadline would pass while waiting");
  }
  if (!clock_->SleepFor(stop_, wait)) return Error(Code::kCancelled, "cancelled");
  return {};
}

}  // namespace bdn
