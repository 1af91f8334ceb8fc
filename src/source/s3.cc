#include "source/s3.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/guarded.h"
#include "cloud/hugging_face_hub.h"
#include "cloud/s3.h"
#include "crypto/hash.h"
#include "source/listing.h"
#include "source/range_sink.h"

namespace bdn::source {
namespace {

constexpr std::string_view kSetPin = "etag-set";
constexpr std::string_view kObjectPin = "etag";
constexpr std::size_t kArchivedNamedMax = 20;

using Listing = std::shared_ptr<const std::vector<RemoteFile>>;

// Classes that answer a GET only after somebody asked for a copy.
bool IsArchived(const cloud::S3Object& object) {
  return !object.restored &&
         (object.storage_class == "GLACIER" || object.storage_class == "DEEP_ARCHIVE");
}

std::string FingerprintOf(const std::vector<RemoteFile>& files) {
  crypto::Hasher hasher(crypto::HashKind::kSha256);
  for (const RemoteFile& file : files) {
    // Lengths in front, so that no two lists give the same text.
    hasher.Update(fmt::format("{}:{}{}:{}{}\n", file.path.size(), file.path, file.etag.size(),
                              file.etag, file.size));
  }
  return hasher.FinishHex();
}

Error Changed(const std::string& what) {
  return Error(Code::kFailedPrecondition, "source changed: " + what);
}

class S3Source final : public Source {
 public:
  S3Source(std::string identity,
           std::string path,
           std::unique_ptr<cloud::S3Client> client,
           std::shared_ptr<RateLimiter> limiter,
           S3SourceOptions options)
      : identity_(std::move(identity)),
        path_(std::move(path)),
        prefix_(path_.empty() ? "" : path_ + "/"),
        retry_(options.retry),
        random_(std::move(options.random)),
        client_(std::move(client)),
        limiter_(std::move(limiter)) {}

  Result<Pin> Resolve(const Context& ctx) override;
  Result<std::vector<RemoteFile>> List(const Context& ctx, const Pin& pin) override;
  Status Read(const Context& ctx,
              const Pin& pin,
              const RemoteFile& file,
              net::ByteRange range,
              const ByteSink& sink) override;

 private:
  // One call with the shared limiter and the retries around it.
  template <class F>
  auto Ask(const Context& ctx, F&& call) -> std::invoke_result_t<F> {
    RetryBudget budget(retry_, random_);
    for (;;) {
      BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
      auto answer = call();
      slot.Release();
      if (answer) {
        limiter_->Succeeded();
        return answer;
      }
      if (answer.error().code() == Code::kRateLimited) {
        limiter_->Throttled(ctx, "", answer.error().retry_after());
      }
      BDN_TRY(budget.Wait(ctx, answer.error()));
    }
  }

  Result<std::vector<cloud::S3Object>> AllObjects(const Context& ctx);
  // What the bucket holds now, checked; `kind` says which of the two pins it is.
  Result<Listing> Look(const Context& ctx, std::string_view* kind);
  Result<std::vector<RemoteFile>> LookForOne(const Context& ctx);
  Status CheckArchived(const std::vector<cloud::S3Object>& objects) const;

  const std::string identity_;
  const std::string path_;
  const std::string prefix_;  // what keys begin with
  const RetryOptions retry_;
  const UnitRandom random_;
  const std::unique_ptr<cloud::S3Client> client_;
  const std::shared_ptr<RateLimiter> limiter_;
  struct Last {
    std::string fingerprint;
    Listing files;
  };
  Guarded<Last> last_;  // so that List after Resolve does not ask again
};

Result<std::vector<cloud::S3Object>> S3Source::AllObjects(const Context& ctx) {
  std::vector<cloud::S3Object> objects;
  std::unordered_set<std::string> tokens;
  std::string token;
  for (std::size_t pages = 1;; ++pages) {
    if (pages > kS3ListPagesMax) {
      return Error(Code::kResourceExhausted, fmt::format("the listing of {} has more than {} pages",
                                                         identity_, kS3ListPagesMax));
    }
    BDN_ASSIGN(auto page, Ask(ctx, [&] { return client_->ListPage(ctx, prefix_, token); }));
    if (objects.size() + page.objects.size() > kS3ListEntriesMax) {
      return Error(
          Code::kResourceExhausted,
          fmt::format("the listing of {} has more than {} objects", identity_, kS3ListEntriesMax));
    }
    std::move(page.objects.begin(), page.objects.end(), std::back_inserter(objects));
    if (!page.truncated) return objects;
    // A page may be empty and not the last one; what leads on must be new each time.
    if (page.next_token.empty() || !tokens.insert(page.next_token).second) {
      return Error(
          Code::kUnavailable,
          fmt::format("the listing of {} {} after page {}", identity_,
                      page.next_token.empty() ? "does not say how it goes on" : "leads in a circle",
                      pages));
    }
    token = std::move(page.next_token);
  }
}

Status S3Source::CheckArchived(const std::vector<cloud::S3Object>& objects) const {
  std::size_t count = 0;
  std::string text;
  for (const auto& object : objects) {
    if (!IsArchived(object) || ++count > kArchivedNamedMax) continue;
    text += fmt::format("\n  '{}' ({})", cloud::Printable(object.key, 300),
                        cloud::Printable(object.storage_class, 40));
  }
  if (count == 0) return {};
  return Error(
      Code::kUnsupported,
      fmt::format("{} has {} archived objects, which cannot be read: restore them or copy "
                  "them to another storage class, then mirror again:{}{}",
                  identity_, count, text, count > kArchivedNamedMax ? "\n  and more" : ""));
}

Result<std::vector<RemoteFile>> S3Source::LookForOne(const Context& ctx) {
  const auto nothing = [&] {
    return Error(Code::kNotFound,
                 fmt::format("{} has no objects: nothing lies below '{}' in the bucket {}",
                             identity_, prefix_, client_->site().bucket));
  };
  if (path_.empty()) return nothing();
  // Credentials for the path's content often may not see an object of its name: that is no reason
  // to hide that there is nothing below it.
  BDN_ASSIGN(const auto object, Ask(ctx, [&] { return client_->Head(ctx, path_); }));
  if (!object) return nothing();
  BDN_TRY(CheckArchived({*object}));
  std::vector<RemoteFile> files;
  files.push_back({.path = path_.substr(path_.rfind('/') + 1),  // npos + 1 is 0
                   .size = object->size,
                   .etag = object->etag,
                   .version = {},
                   .hash_kind = ContentHash::kNone,
                   .hash = {}});
  return files;
}

Result<Listing> S3Source::Look(const Context& ctx, std::string_view* kind) {
  BDN_ASSIGN(auto objects, AllObjects(ctx));
  *kind = kSetPin;
  std::vector<RemoteFile> files;
  std::erase_if(objects, [&](const cloud::S3Object& object) {
    // Markers that consoles leave where they show a folder.
    return object.key == prefix_ || (object.size == 0 && object.key.ends_with('/'));
  });
  for (const auto& object : objects) {
    if (!object.key.starts_with(prefix_)) {
      return Error(Code::kUnavailable, fmt::format("the listing of {} holds the key '{}', which "
                                                   "was not asked for",
                                                   identity_, cloud::Printable(object.key, 300)));
    }
    if (object.etag.empty()) {
      return Error(Code::kUnsupported,
                   fmt::format("{}: '{}' has no ETag, so a change could not be noticed", identity_,
                               cloud::Printable(object.key, 300)));
    }
    files.push_back({.path = object.key.substr(prefix_.size()),
                     .size = object.size,
                     .etag = object.etag,
                     .version = {},
                     .hash_kind = ContentHash::kNone,
                     .hash = {}});
  }
  BDN_TRY(CheckArchived(objects));
  if (files.empty()) {
    *kind = kObjectPin;
    BDN_ASSIGN(files, LookForOne(ctx));
  }
  std::sort(files.begin(), files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  BDN_TRY(CheckListing(identity_, files, {}));
  return std::make_shared<const std::vector<RemoteFile>>(std::move(files));
}

Result<Pin> S3Source::Resolve(const Context& ctx) {
  BDN_TRY(ctx.Check());
  std::string_view kind;
  BDN_ASSIGN(Listing files, Look(ctx, &kind));
  Pin pin;
  pin.fingerprint = FingerprintOf(*files);
  pin.fingerprint_type = kind;
  pin.identity = identity_;
  last_.With([&](Last& last) { last = {pin.fingerprint, std::move(files)}; });
  return pin;
}

Result<std::vector<RemoteFile>> S3Source::List(const Context& ctx, const Pin& pin) {
  BDN_TRY(ctx.Check());
  Listing files = last_.With([&](const Last& last) {
    return last.fingerprint == pin.fingerprint ? last.files : Listing();
  });
  if (files) return *files;
  std::string_view kind;
  BDN_ASSIGN(files, Look(ctx, &kind));
  if (kind != pin.fingerprint_type || FingerprintOf(*files) != pin.fingerprint) {
    return Changed(identity_ + " holds other objects than when it was pinned");
  }
  return *files;
}

Status S3Source::Read(const Context& ctx,
                      const Pin& pin,
                      const RemoteFile& file,
                      net::ByteRange range,
                      const ByteSink& sink) {
  BDN_TRY(ctx.Check());
  if (range.begin > range.end || range.end > file.size) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{}: the range [{}, {}) does not lie in its {} bytes", file.path,
                             range.begin, range.end, file.size));
  }
  if (range.begin == range.end) return {};
  const std::string key = pin.fingerprint_type == kObjectPin ? path_ : prefix_ + file.path;
  RetryBudget budget(retry_, random_);
  for (std::uint64_t pos = range.begin;;) {
    const std::uint64_t before = pos;
    BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
    PinnedRangeSink answer(file, sink, &pos, range.end, client_->authority());
    const Status transfer = client_->GetRange(ctx, key, file.etag, {pos, range.end}, answer);
    slot.Release();
    bool final = false;
    const Status status = answer.Finish(transfer, &final);
    if (status) {
      limiter_->Succeeded();
      return {};
    }
    if (pos > before) budget.Progress();
    const Error& error = status.error();
    if (final) return error;
    if (error.code() == Code::kFailedPrecondition) {
      return error.message().starts_with("source changed") ? error : Changed(error.message());
    }
    if (error.code() == Code::kNotFound) return Changed(error.message());
    if (error.code() == Code::kRateLimited) limiter_->Throttled(ctx, "", error.retry_after());
    BDN_TRY(budget.Wait(ctx, error));
  }
}

std::string EndpointOf(const model::SourceUri& uri, const std::string& endpoint) {
  if (!endpoint.empty()) return endpoint;
  // developers.cloudflare.com/r2/api/s3/api and docs.coreweave.com, AI Object Storage.
  if (uri.scheme == model::Scheme::kR2) {
    return fmt::format("https://{}.r2.cloudflarestorage.com", uri.account);
  }
  return uri.scheme == model::Scheme::kCw ? "https://cwobject.com" : "";
}

}  // namespace

Result<std::unique_ptr<Source>> MakeS3Source(const model::SourceUri& uri,
                                             net::Transport& transport,
                                             RateLimiters& limiters,
                                             S3SourceOptions options) {
  if (!options.secret && !options.role) {
    return Error(Code::kInvalidArgument, "secret_id is required")
        .WithHint("Name a secret with S3 credentials in the source's auth section");
  }
  cloud::S3Secret secret{.credentials = {}, .region = options.role_region};
  if (!options.role) {
    BDN_ASSIGN(secret, cloud::ParseS3Secret(*options.secret));
  }
  const bool r2 = uri.scheme == model::Scheme::kR2;
  cloud::S3Site site{.endpoint = EndpointOf(uri, options.endpoint),
                     .region = r2 ? "auto" : secret.region,
                     .bucket = uri.bucket,
                     .credentials = secret.credentials,
                     .virtual_host = uri.scheme == model::Scheme::kCw,
                     .provider = options.role};
  std::string identity = uri.Canonical();
  // Buckets of the same name exist at each place, and etags hold at one.
  if (!options.endpoint.empty()) identity += " at " + net::RedactUrl(options.endpoint);
  BDN_ASSIGN(auto client, cloud::S3Client::Make(transport, std::move(site)));
  auto limiter = limiters.For(client->authority(),
                              options.role ? options.role_name : secret.credentials.access_key_id);
  return std::unique_ptr<Source>(std::make_unique<S3Source>(
      std::move(identity), uri.path, std::move(client), std::move(limiter), std::move(options)));
}

}  // namespace bdn::source
