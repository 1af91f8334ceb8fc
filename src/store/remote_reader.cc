#include "store/remote_reader.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/backoff.h"
#include "codec/zstd.h"
#include "crypto/blake3.h"

namespace bdn::store {
namespace {

constexpr std::uint64_t kCompressedBytesMax = 512ull << 20;
constexpr std::uint64_t kPlainBytesMax = 2ull << 30;

// Takes one object over any number of responses; remembers how far it came.
class ObjectAssembly {
 public:
  ObjectAssembly(ObjectKind kind, const ByteSink& sink) : kind_(kind), sink_(sink) {}

  std::uint64_t received() const { return received_; }
  bool complete() const { return total_ && received_ == *total_; }

  Status OnHead(const net::ResponseHead& head) {
    BDN_ASSIGN(const TypedContent type,
               ParseContentType(head.headers.Get("Content-Type").value_or("")));
    if (type.kind != kind_)
      return Error(Code::kCorrupt, "the tier above sent another kind of object");
    std::uint64_t total = 0;
    if (head.status == 206) {
      const auto range = net::ParseContentRange(head.headers.Get("Content-Range").value_or(""));
      if (!range || range->range.begin != received_ || range->range.end != range->total) {
        return Error(Code::kUnavailable, "the tier above answered another range");
      }
      total = range->total;
    } else {
      if (received_ != 0) return Error(Code::kUnavailable, "the tier above ignored the range");
      const auto length = head.headers.Get("Content-Length");
      if (!length) return Error(Code::kCorrupt, "the tier above sent no Content-Length");
      total = std::strtoull(std::string(*length).c_str(), nullptr, 10);
    }
    if (total_ && type.zstd != zstd_) return Error(Code::kCorrupt, "the object's coding changed");
    if (total_ && *total_ != total) return Error(Code::kCorrupt, "the object's length changed");
    total_ = total;
    zstd_ = type.zstd;
    if (zstd_ && total > kCompressedBytesMax) return Error(Code::kCorrupt, "object too large");
    return {};
  }

  Status Write(std::span<const std::byte> bytes) {
    if (received_ + bytes.size() > *total_) return Error(Code::kCorrupt, "object too long");
    received_ += bytes.size();
    if (zstd_) {
      compressed_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return {};
    }
    hash_.Update(bytes);
    return sink_(bytes);
  }

  Status Finish(const crypto::Digest& digest) {
    if (zstd_) {
      BDN_ASSIGN(const std::string plain, codec::ZstdDecompress(compressed_, kPlainBytesMax));
      const auto bytes = std::as_bytes(std::span(plain));
      hash_.Update(bytes);
      if (hash_.Finish() == digest) return sink_(bytes);
    } else if (hash_.Finish() == digest) {
      return {};
    }
    return Error(Code::kCorrupt, "the bytes from the tier above do not match their digest");
  }

 private:
  const ObjectKind kind_;
  const ByteSink& sink_;
  bool zstd_ = false;
  std::uint64_t received_ = 0;
  std::optional<std::uint64_t> total_;
  std::string compressed_;
  crypto::Blake3 hash_;
};

class OneResponse final : public net::ResponseSink {
 public:
  explicit OneResponse(ObjectAssembly& object) : object_(object) {}
  Status OnHead(const net::ResponseHead& head) override {
    status_ = head.status;
    retry_after_ = head.headers.Get("Retry-After").value_or("");
    if (head.status == 200 || head.status == 206) return object_.OnHead(head);
    return {};
  }
  Status Write(std::span<const std::byte> bytes) override {
    if (status_ == 200 || status_ == 206) return object_.Write(bytes);
    return {};
  }
  int status() const { return status_; }
  const std::string& retry_after() const { return retry_after_; }

 private:
  ObjectAssembly& object_;
  int status_ = 0;
  std::string retry_after_;
};

class RemoteReader final : public ObjectReader {
 public:
  RemoteReader(net::Transport& transport,
               TokenSource token,
               std::function<double()> random_unit,
               RemoteReaderOptions options)
      : transport_(transport),
        token_(std::move(token)),
        random_unit_(std::move(random_unit)),
        options_(std::move(options)) {}

  Status Get(const Context& ctx,
             const Scope& scope,
             ObjectKind kind,
             const crypto::Digest& digest,
             const ByteSink& sink) override {
    ObjectAssembly object(kind, sink);
    int failures = 0;
    bool refresh = false;
    for (;;) {
      const std::uint64_t before = object.received();
      Status status = Once(ctx, scope, digest, object, refresh);
      if (status) {
        auto finished = object.Finish(digest);
        if (!finished) return std::move(finished).error().Context(digest.ToString());
        return {};
      }
      if (object.received() > before) failures = 0;
      const bool refused = status.error().code() == Code::kUnauthenticated;
      const bool retry = status.error().retryable() || (refused && !refresh);
      if (!retry || ++failures >= options_.attempts_max) {
        return std::move(status).error().Context("read " + digest.ToString());
      }
      refresh = refused;
      BDN_TRY(ctx.Sleep(BackoffDelay({}, failures, random_unit_(), status.error().retry_after())));
    }
  }

 private:
  Status Once(const Context& ctx,
              const Scope& scope,
              const crypto::Digest& digest,
              ObjectAssembly& object,
              bool refresh) {
    net::HttpRequest request;
    BDN_ASSIGN(request.url, net::ParseUrl(options_.base_url + "/" + FullKey(scope, digest)));
    BDN_ASSIGN(const std::string token, token_(ctx, scope, refresh));
    if (!token.empty()) request.headers.Set("Authorization", "Bearer " + token);
    request.headers.Set("Accept-Encoding", "identity");
    if (object.received() > 0) {
      request.headers.Set("Range", fmt::format("bytes={}-", object.received()));
      request.headers.Set("If-Match", "\"" + digest.ToString() + "\"");
    }
    OneResponse response(object);
    const Status fetched = transport_.Fetch(ctx, request, response);
    // A connection that breaks after the last byte took nothing away.
    if (!fetched) return object.complete() ? Status() : fetched;
    if (response.status() >= 300) {
      Error error(CodeFromHttpStatus(response.status()),
                  fmt::format("the tier above answered {}", response.status()));
      const auto wait = net::ParseRetryAfter(response.retry_after(), ctx.clock().Now());
      if (wait) return std::move(error).WithRetryAfter(*wait);
      return error;
    }
    if (!object.complete()) return Error(Code::kUnavailable, "the object ended early");
    return {};
  }

  net::Transport& transport_;
  const TokenSource token_;
  const std::function<double()> random_unit_;
  const RemoteReaderOptions options_;
};

}  // namespace

std::unique_ptr<ObjectReader> MakeRemoteReader(net::Transport& transport,
                                               TokenSource token,
                                               std::function<double()> random_unit,
                                               RemoteReaderOptions options) {
  return std::make_unique<RemoteReader>(transport, std::move(token), std::move(random_unit),
                                        std::move(options));
}

}  // namespace bdn::store
