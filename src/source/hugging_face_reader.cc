#include "source/hugging_face_reader.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "source/content_verifier.h"
#include "source/hugging_face.h"

namespace bdn::source {
namespace {

constexpr std::size_t kTargetsMax = 1024;                // signed addresses kept, a few KiB each
constexpr std::size_t kErrorTextBytesMax = 1024;         // of a body that is not content
constexpr std::size_t kUnwantedBodyBytesMax = 64 << 10;  // read for the connection's sake
constexpr auto kRenewBefore = std::chrono::seconds(60);
// An address that lives shorter than this by our clock is used until it is refused: our clock may
// be wrong, and asking before each range would burn the Hub's request budget.
constexpr auto kLifetimeMin = std::chrono::seconds(120);

std::optional<std::uint64_t> NumberHeader(const net::Headers& headers, std::string_view name) {
  const auto text = headers.Get(name);
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, bad] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (bad != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

bool IsRedirect(int status) {
  return status >= 300 && status < 400;
}

std::string NameOf(const HubTransfer& t) {
  return t.repo.id + "/" + cloud::Printable(t.file.path, 300);
}

Error Changed(const HubTransfer& t, const std::string& how) {
  return Error(Code::kFailedPrecondition,
               fmt::format("source changed: {} at commit {}: {}", NameOf(t), t.sha, how));
}

Error BadAnswer(const HubTransfer& t, const std::string& host, const std::string& how) {
  return Error(Code::kUnavailable, fmt::format("{}: {} {}", NameOf(t), host, how));
}

// What the Hub's own answers (not the storage host's) say about the file, against the listing. The
// metadata stands on the first answer, redirect or not.
class HubHeadCheck {
 public:
  explicit HubHeadCheck(const HubTransfer& transfer) : t_(transfer) {}

  std::optional<Error> CheckCommit(const net::ResponseHead& head) {
    const auto commit = head.headers.Get("X-Repo-Commit");
    if (!commit) return std::nullopt;
    commit_seen_ = true;
    if (*commit == t_.sha) return std::nullopt;
    return Changed(t_, fmt::format("the Hub serves commit {}", cloud::Printable(*commit, 64)));
  }
  std::optional<Error> CheckContent(const net::ResponseHead& head) const {
    const auto linked = head.headers.Get("X-Linked-Etag");
    // Without X-Repo-Commit an ETag is that of some other thing: a cache's, a redirect's.
    const auto etag = linked                              ? linked
                      : head.headers.Has("X-Repo-Commit") ? head.headers.Get("ETag")
                                                          : std::nullopt;
    if (etag && cloud::NormalizeETag(*etag) != t_.file.etag) {
      return Changed(t_, fmt::format("its ETag is {}, the listing says {}",
                                     cloud::Printable(*etag, 100), t_.file.etag));
    }
    const auto size = NumberHeader(head.headers, "X-Linked-Size");
    if (size && *size != t_.file.size) {
      return Changed(t_, fmt::format("it has {} bytes, the listing says {}", *size, t_.file.size));
    }
    return std::nullopt;
  }
  // Before content is taken, or another host is trusted with delivering it.
  std::optional<Error> CheckComplete(const std::string& host) const {
    if (commit_seen_) return std::nullopt;
    return BadAnswer(t_, host,
                     "answered without X-Repo-Commit: it is no Hub, or something between removed "
                     "the header");
  }

 private:
  const HubTransfer& t_;
  bool commit_seen_ = false;
};

// The rules for the answer to a ranged request. nullopt: the body is [t.pos, t.end).
std::optional<Error> CheckRange(const HubTransfer& t,
                                const std::string& host,
                                const net::ResponseHead& head) {
  const auto encoding = head.headers.Get("Content-Encoding");
  if (encoding && !encoding->empty() && *encoding != "identity") {
    return BadAnswer(t, host,
                     fmt::format("sent the content encoded with {} although identity was asked for",
                                 cloud::Printable(*encoding, 40)));
  }
  const auto length = NumberHeader(head.headers, "Content-Length");
  const bool whole = t.pos == 0 && t.end == t.file.size;
  if (head.status == 200) {
    if (!whole) return BadAnswer(t, host, "ignored the Range of the request (HTTP 200)");
    if (!length || *length == t.file.size) return std::nullopt;
    return Changed(t,
                   fmt::format("{} has {} bytes, the listing says {}", host, *length, t.file.size));
  }
  if (head.status != 206) {
    return BadAnswer(t, host, fmt::format("answered HTTP {} to a ranged GET", head.status));
  }
  const auto text = head.headers.Get("Content-Range").value_or("");
  const auto got = net::ParseContentRange(text);
  if (!got) {
    return BadAnswer(t, host,
                     fmt::format("sent a part without a usable Content-Range ('{}')",
                                 cloud::Printable(text, 100)));
  }
  if (got->total != t.file.size) {
    return Changed(
        t, fmt::format("{} has {} bytes, the listing says {}", host, got->total, t.file.size));
  }
  if (got->range != net::ByteRange{t.pos, t.end} || (length && *length != got->range.size())) {
    return BadAnswer(
        t, host,
        fmt::format("sent '{}' for bytes={}-{}", cloud::Printable(text, 100), t.pos, t.end - 1));
  }
  return std::nullopt;
}

// One answer of one hop: content goes on to the caller's sink as long as it is what was asked for;
// of everything else the beginning is kept for messages.
class RangeSink final : public net::ResponseSink {
 public:
  RangeSink(HubTransfer& transfer, HubHeadCheck& check, std::string host, bool on_hub)
      : t_(transfer), check_(check), host_(std::move(host)), on_hub_(on_hub) {}

  Status OnHead(const net::ResponseHead& answer) override {
    head = answer;
    if (on_hub_) problem = check_.CheckCommit(answer);
    if (problem || answer.status >= 300) return {};
    if (on_hub_) {
      if (!problem) problem = check_.CheckContent(answer);
      if (!problem) problem = check_.CheckComplete(host_);
    }
    if (!problem) problem = CheckRange(t_, host_, answer);
    delivering = !problem;
    return {};
  }

  Status Write(std::span<const std::byte> bytes) override {
    if (!delivering) return Keep(bytes);
    if (bytes.size() > t_.end - t_.pos) {
      problem = BadAnswer(t_, host_, "sent more bytes than its headers said");
      return *problem;
    }
    if (auto status = t_.sink(bytes); !status) {
      sink_error = status.error();
      return status;
    }
    t_.pos += bytes.size();
    return {};
  }

  std::optional<net::ResponseHead> head;
  std::optional<Error> problem;     // why the answer is not, or no longer, taken
  std::optional<Error> sink_error;  // the caller's own
  bool delivering = false;
  std::string text;  // the beginning of a body that is not content

 private:
  Status Keep(std::span<const std::byte> bytes) {
    const auto take = std::min(bytes.size(), kErrorTextBytesMax - text.size());
    text.append(reinterpret_cast<const char*>(bytes.data()), take);
    unwanted_bytes_ += bytes.size();
    if (unwanted_bytes_ <= kUnwantedBodyBytesMax) return {};
    return Error(Code::kUnavailable, "the rest of this body is not wanted");
  }

  HubTransfer& t_;
  HubHeadCheck& check_;
  const std::string host_;
  const bool on_hub_;
  std::size_t unwanted_bytes_ = 0;
};

class HeadSink final : public net::ResponseSink {
 public:
  Status OnHead(const net::ResponseHead& answer) override {
    head = answer;
    return {};
  }
  Status Write(std::span<const std::byte>) override { return {}; }
  std::optional<net::ResponseHead> head;
};

}  // namespace

void ObserveHub(const Context& ctx,
                RateLimiter& limiter,
                std::string_view bucket,
                const std::optional<cloud::HubRateLimit>& window) {
  if (!window) return;
  limiter.SawWindow(
      ctx, bucket,
      {.remaining = window->remaining, .reset = window->reset, .quota = window->quota});
}

Status HuggingFaceReader::Read(const Context& ctx, HubTransfer& t) {
  RetryBudget budget(retry_, random_);
  int refusals = 0;
  std::uint64_t stale = 0;  // the generation of the address that is not to be used again
  for (;;) {
    const std::uint64_t before = t.pos;
    std::uint64_t used = stale;
    Attempt failure = TryOnce(ctx, t, &used);
    if (!failure) return {};
    if (t.pos > before) {
      budget.Progress();
      refusals = 0;
    }
    if (failure->kind == Failure::Kind::kFinal) return std::move(failure->error);
    if (failure->kind == Failure::Kind::kRefused) {
      BDN_TRY(ctx.Check());
      stale = used;
      if (++refusals > kHubRefreshesMax) return std::move(failure->error);
      // The first refusal is the ordinary end of an address; more are trouble, so not at once.
      if (refusals > 1) {
        BDN_TRY(ctx.Sleep(
            BackoffDelay(retry_.backoff, refusals - 1, random_ ? random_() : 0.5, std::nullopt)));
      }
      continue;
    }
    BDN_TRY(budget.Wait(ctx, failure->error));
    // Perhaps it is the host behind the address that is gone; the Hub may know another.
    if (budget.attempts() >= 2) stale = used;
  }
}

HuggingFaceReader::Attempt HuggingFaceReader::TryOnce(const Context& ctx,
                                                      HubTransfer& t,
                                                      std::uint64_t* generation) {
  // Large files live on a storage host: one question to the Hub serves all ranges. Small ones come
  // from the Hub itself, mostly, in the same answer as the question's.
  if (t.file.hash_kind != ContentHash::kSha256) {
    return TryHops(ctx, t, hub_.ResolveRequest("GET", t.repo, t.sha, t.file.path));
  }
  auto target = Locate(ctx, t, *generation);
  if (!target) return Failure{std::move(target).error(), Failure::Kind::kRetry};
  *generation = (*target)->generation;
  return TryHops(ctx, t, (*target)->request);
}

HuggingFaceReader::Attempt HuggingFaceReader::TryHops(const Context& ctx,
                                                      HubTransfer& t,
                                                      net::HttpRequest request) {
  using Kind = Failure::Kind;
  request.headers.Set("Range", fmt::format("bytes={}-{}", t.pos, t.end - 1));
  HubHeadCheck check(t);
  for (int hops = 0;; ++hops) {
    const bool on_hub = hub_.endpoint().Owns(request.url);
    const std::string host = request.url.authority();
    const auto limiter = on_hub ? hub_limiter_ : limiters_.For(host, "");
    auto slot = limiter->Acquire(ctx, on_hub ? kHubResolverBucket : "");
    if (!slot) return Failure{std::move(slot).error(), Kind::kFinal};
    RangeSink sink(t, check, host, on_hub);
    const Status status = transport_.Fetch(ctx, request, sink);
    slot->Release();
    if (sink.sink_error) return Failure{*sink.sink_error, Kind::kFinal};
    if (!sink.head) {
      return Failure{status ? BadAnswer(t, host, "did not answer") : status.error(), Kind::kRetry};
    }
    if (on_hub) {
      ObserveHub(ctx, *limiter, kHubResolverBucket, cloud::ParseHubRateLimit(sink.head->headers));
    }
    if (sink.problem) {
      if (t.file.hash_kind == ContentHash::kSha256 && LooksLikeLfsPointer(sink.text)) {
        return Failure{Error(Code::kCorrupt,
                             fmt::format("{}: {} sent the Git LFS pointer instead of the content: "
                                         "the large file was probably never uploaded; tell the "
                                         "repository's owner",
                                         NameOf(t), host)),
                       Kind::kFinal};
      }
      return Failure{*sink.problem, Kind::kRetry};
    }
    if (sink.delivering) {
      if (!status) return Failure{status.error(), Kind::kRetry};
      if (t.pos < t.end) {
        return Failure{BadAnswer(t, host, "ended the body early"), Kind::kRetry};
      }
      limiter->Succeeded();
      return std::nullopt;
    }
    auto next = hub_.NextHop(request, *sink.head, hops);
    if (!next) return Failure{std::move(next).error(), Kind::kRetry};
    if (*next) {
      if (on_hub) {
        auto wrong = check.CheckContent(*sink.head);
        if (!wrong && !hub_.endpoint().Owns((*next)->url)) wrong = check.CheckComplete(host);
        if (wrong) return Failure{*std::move(wrong), Kind::kRetry};
      }
      request = **std::move(next);
      continue;
    }
    if (!on_hub) return StorageFailure(ctx, t, request, *sink.head, sink.text);
    Error error =
        hub_.ErrorOf(t.call(), sink.head->status, sink.head->headers, sink.text, ctx.clock().Now());
    if (IsRedirect(sink.head->status)) {
      error = BadAnswer(t, host, fmt::format("answered HTTP {} to a GET", sink.head->status));
    }
    if (error.code() == Code::kRateLimited) {
      limiter->Throttled(ctx, kHubResolverBucket, error.retry_after());
    }
    return Failure{std::move(error), Kind::kRetry};
  }
}

HuggingFaceReader::Attempt HuggingFaceReader::StorageFailure(const Context& ctx,
                                                             const HubTransfer& t,
                                                             const net::HttpRequest& request,
                                                             const net::ResponseHead& head,
                                                             std::string_view body) const {
  using Kind = Failure::Kind;
  const std::string host = request.url.authority();
  const int status = head.status;
  if (status == 416) {
    const auto range = cloud::Printable(head.headers.Get("Content-Range").value_or("none"), 100);
    return Failure{
        Changed(t, fmt::format("{} says that bytes={}-{} are not in the file (Content-Range: {})",
                               host, t.pos, t.end - 1, range)),
        Kind::kFinal};
  }
  if (status == 408 || status == 429 || status >= 500 || IsRedirect(status)) {
    Error error(status == 429 ? Code::kRateLimited : Code::kUnavailable,
                fmt::format("{}: the storage host {} answered HTTP {}", NameOf(t), host, status));
    std::optional<std::chrono::milliseconds> wait;
    if (const auto text = head.headers.Get("Retry-After")) {
      wait = net::ParseRetryAfter(*text, ctx.clock().Now());
    }
    if (wait) error = std::move(error).WithRetryAfter(*wait);
    if (status == 429 || status == 503) limiters_.For(host, "")->Throttled(ctx, "", wait);
    return Failure{std::move(error), Kind::kRetry};
  }
  // Mostly the end of a signed address, but outages look the same, so it is worth a line.
  log::Info("a storage host refused an address of the Hub",
            {{"file", NameOf(t)},
             {"host", host},
             {"status", std::to_string(status)},
             {"request_id", cloud::Printable(head.headers.Get("X-Amz-Cf-Id").value_or(""), 100)},
             {"body", cloud::Printable(body, kErrorTextBytesMax)}});
  const bool denied = status == 401 || status == 403;
  return Failure{
      Error(denied ? Code::kPermissionDenied : Code::kUnavailable,
            fmt::format("{}: the storage host {} refused the address that the Hub gave (HTTP {}), "
                        "also {} fresh ones: try again later; if it lasts, see "
                        "https://status.huggingface.co",
                        NameOf(t), host, status, kHubRefreshesMax)),
      Kind::kRefused};
}

HuggingFaceReader::TargetPtr HuggingFaceReader::FindTarget(const Context& ctx,
                                                           const std::string& key,
                                                           std::uint64_t stale) const {
  const WallTime now = ctx.clock().Now();
  return targets_.With([&](const Targets& targets) -> TargetPtr {
    const auto it = targets.by_key.find(key);
    if (it == targets.by_key.end() || it->second->generation <= stale) return nullptr;
    if (it->second->renew_at && now >= *it->second->renew_at) return nullptr;
    return it->second;
  });
}

HuggingFaceReader::TargetPtr HuggingFaceReader::KeepTarget(const Context& ctx,
                                                           const std::string& key,
                                                           net::HttpRequest request) {
  auto target = std::make_shared<Target>();
  const auto expiry = cloud::SignedUrlExpiry(request.url);
  if (expiry && *expiry - ctx.clock().Now() >= kLifetimeMin) {
    target->renew_at = *expiry - kRenewBefore;
  }
  target->request = std::move(request);
  targets_.With([&](Targets& targets) {
    target->generation = targets.next_generation++;
    if (targets.by_key.size() >= kTargetsMax && !targets.by_key.contains(key)) {
      targets.by_key.erase(std::min_element(targets.by_key.begin(), targets.by_key.end(),
                                            [](const auto& a, const auto& b) {
                                              return a.second->generation < b.second->generation;
                                            }));
    }
    targets.by_key.insert_or_assign(key, target);
  });
  return target;
}

Result<HuggingFaceReader::TargetPtr> HuggingFaceReader::Locate(const Context& ctx,
                                                               const HubTransfer& t,
                                                               std::uint64_t stale) {
  const std::string key = fmt::format("{}/{}@{}:{}", t.repo.kind, t.repo.id, t.sha, t.file.path);
  if (auto target = FindTarget(ctx, key, stale)) return target;
  return locating_.Do(ctx, key, [&](const Context& own) -> Result<TargetPtr> {
    // Somebody may have been faster than we were with starting.
    if (auto target = FindTarget(own, key, stale)) return target;
    auto target = AskForTarget(own, t);
    // A stall of the network is everybody's, not a reason to let each waiter try it alone.
    if (!target && target.error().code() == Code::kTimeout && own.Check()) {
      return std::move(target).error().WithCode(Code::kUnavailable);
    }
    if (!target) return std::move(target).error();
    return KeepTarget(own, key, (*target)->request);
  });
}

Result<HuggingFaceReader::TargetPtr> HuggingFaceReader::AskForTarget(const Context& ctx,
                                                                     const HubTransfer& t) {
  net::HttpRequest request = hub_.ResolveRequest("HEAD", t.repo, t.sha, t.file.path);
  const auto found = [&](net::HttpRequest at) {
    at.method = "GET";
    auto target = std::make_shared<Target>();
    target->request = std::move(at);
    return TargetPtr(std::move(target));
  };
  HubHeadCheck check(t);
  for (int hops = 0;; ++hops) {
    const std::string host = request.url.authority();
    BDN_ASSIGN(auto slot, hub_limiter_->Acquire(ctx, kHubResolverBucket));
    HeadSink sink;
    BDN_TRY(transport_.Fetch(ctx, request, sink));
    slot.Release();
    if (!sink.head) return BadAnswer(t, host, "did not answer");
    ObserveHub(ctx, *hub_limiter_, kHubResolverBucket,
               cloud::ParseHubRateLimit(sink.head->headers));
    if (auto wrong = check.CheckCommit(*sink.head)) return *std::move(wrong);
    // The Hub serves it itself; the checks are made on the answer to the GET.
    if (sink.head->status >= 200 && sink.head->status < 300) return found(request);
    BDN_ASSIGN(auto next, hub_.NextHop(request, *sink.head, hops));
    if (next) {
      if (auto wrong = check.CheckContent(*sink.head)) return *std::move(wrong);
      request = *std::move(next);
      if (hub_.endpoint().Owns(request.url)) continue;
      if (auto wrong = check.CheckComplete(host)) return *std::move(wrong);
      return found(std::move(request));
    }
    if (sink.head->status < 400) {
      return BadAnswer(t, host, fmt::format("answered HTTP {} to a HEAD", sink.head->status));
    }
    Error error =
        hub_.ErrorOf(t.call(), sink.head->status, sink.head->headers, "", ctx.clock().Now());
    if (error.code() == Code::kRateLimited) {
      hub_limiter_->Throttled(ctx, kHubResolverBucket, error.retry_after());
    }
    return error;
  }
}

}  // namespace bdn::source
