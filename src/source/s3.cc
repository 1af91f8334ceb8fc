#include "source/s3.h"

#include <algorithm>
#include <atomic>
#include <limits>
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

constexpr std::string_view kS3SetPin = "etag-set";
constexpr std::string_view kS3ObjectPin = "etag";
// Servers whose listings say nothing of checksums are asked for those of this many files; when none
// of them has one, the others have none either.
constexpr int kSilentHeadsMax = 3;

using Listing = std::shared_ptr<const std::vector<RemoteFile>>;

// Why an object answers no GET, of RemoteFile::problem: somebody has to ask for a copy first.
std::string ProblemOf(const cloud::S3Object& object) {
  if (object.restored) return {};
  const std::string& name =
      object.archive_status.empty() ? object.storage_class : object.archive_status;
  if (object.archive_status.empty() && name != "GLACIER" && name != "DEEP_ARCHIVE") return {};
  return fmt::format("is archived ({}): restore it, or copy it to another storage class",
                     cloud::Printable(name, 40));
}

ContentHash KindOf(cloud::S3Checksum::Kind kind) {
  switch (kind) {
    case cloud::S3Checksum::Kind::kSha256:
      return ContentHash::kSha256;
    case cloud::S3Checksum::Kind::kSha1:
      return ContentHash::kSha1;
    case cloud::S3Checksum::Kind::kCrc32:
      return ContentHash::kCrc32;
    case cloud::S3Checksum::Kind::kCrc32c:
      return ContentHash::kCrc32c;
    case cloud::S3Checksum::Kind::kCrc64Nvme:
      return ContentHash::kCrc64Nvme;
  }
  return ContentHash::kNone;
}

RemoteFile FileOf(const cloud::S3Object& object, std::string path) {
  RemoteFile file;
  file.path = std::move(path);
  file.size = object.size;
  file.etag = object.etag;
  file.problem = ProblemOf(object);
  if (object.checksum) {
    file.hash_kind = KindOf(object.checksum->kind);
    file.hash = object.checksum->hex;
  }
  return file;
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

Error S3Changed(const std::string& what) {
  return Error(Code::kFailedPrecondition, "source changed: " + what);
}

class S3Source final : public Source {
 public:
  S3Source(std::string identity,
           std::string path,
           std::vector<std::unique_ptr<cloud::S3Client>> clients,
           std::shared_ptr<RateLimiter> limiter,
           std::vector<std::string> warnings,
           S3SourceOptions options)
      : identity_(std::move(identity)),
        path_(std::move(path)),
        prefix_(path_.empty() ? "" : path_ + "/"),
        retry_(options.retry),
        random_(std::move(options.random)),
        clients_(std::move(clients)),
        limiter_(std::move(limiter)),
        warnings_(std::move(warnings)) {}

  Result<Pin> Resolve(const Context& ctx) override;
  Result<std::vector<RemoteFile>> List(const Context& ctx, const Pin& pin) override;
  Result<RemoteFile> Describe(const Context& ctx, const Pin& pin, const RemoteFile& file) override;
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

  // The place that has the bucket, as far as is known.
  const cloud::S3Client& client() const { return *clients_[place_.load()]; }
  std::string KeyOf(const Pin& pin, const RemoteFile& file) const {
    return pin.fingerprint_type == kS3ObjectPin ? path_ : prefix_ + file.path;
  }
  // The first page, from the first of the places that has the bucket.
  Result<cloud::S3ListPage> FirstPage(const Context& ctx);
  Result<std::vector<cloud::S3Object>> AllObjects(const Context& ctx);
  // What the bucket holds now, checked; `kind` says which of the two pins it is.
  Result<Listing> Look(const Context& ctx, std::string_view* kind);
  Result<std::vector<RemoteFile>> LookForOne(const Context& ctx);
  // Is it worth a request to ask for the checksum of a file?
  bool MayHaveChecksum(const std::string& path) const;

  const std::string identity_;
  const std::string path_;
  const std::string prefix_;  // what keys begin with
  const RetryOptions retry_;
  const UnitRandom random_;
  const std::vector<std::unique_ptr<cloud::S3Client>> clients_;  // at least one
  std::atomic<std::size_t> place_{0};                            // the one that is used
  const std::shared_ptr<RateLimiter> limiter_;
  const std::vector<std::string> warnings_;
  struct Last {
    std::string fingerprint;
    Listing files;
  };
  Guarded<Last> last_;  // so that List after Resolve does not ask again
  // Which objects have checksums: `listed` when listings tell, for all but `without` then.
  struct Checksums {
    bool listed = false;
    std::unordered_set<std::string> without;
    int silent_heads = 0;
  };
  Guarded<Checksums> checksums_;
};

Result<cloud::S3ListPage> S3Source::FirstPage(const Context& ctx) {
  std::optional<Error> first;
  for (std::size_t place = place_; place < clients_.size(); ++place) {
    auto page = Ask(ctx, [&] { return clients_[place]->ListPage(ctx, prefix_, ""); });
    if (page) {
      place_ = place;
      return page;
    }
    const Code code = page.error().code();
    if (!first) first = page.error();
    // A bucket of another place does not exist here, or nobody may say whether it does.
    if (code != Code::kNotFound && code != Code::kPermissionDenied) return std::move(page).error();
  }
  if (clients_.size() > 1) {
    return std::move(*first).WithHint(
        fmt::format("The bucket was looked for in all jurisdictions of R2 ({})",
                    fmt::join(cloud::kR2Jurisdictions, ", ")));
  }
  return *std::move(first);
}

Result<std::vector<cloud::S3Object>> S3Source::AllObjects(const Context& ctx) {
  std::vector<cloud::S3Object> objects;
  std::unordered_set<std::string> tokens;
  std::string token;
  for (std::size_t pages = 1;; ++pages) {
    if (pages > kS3ListPagesMax) {
      return Error(Code::kResourceExhausted, fmt::format("the listing of {} has more than {} pages",
                                                         identity_, kS3ListPagesMax));
    }
    BDN_ASSIGN(auto page, pages == 1 ? FirstPage(ctx) : Ask(ctx, [&] {
                 return client().ListPage(ctx, prefix_, token);
               }));
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

Result<std::vector<RemoteFile>> S3Source::LookForOne(const Context& ctx) {
  const auto nothing = [&] {
    return Error(Code::kNotFound,
                 fmt::format("{} has no objects: nothing lies below '{}' in the bucket {}",
                             identity_, prefix_, client().site().bucket));
  };
  if (path_.empty()) return nothing();
  // Credentials for the path's content often may not see an object of its name: that is no reason
  // to hide that there is nothing below it.
  BDN_ASSIGN(const auto object, Ask(ctx, [&] { return client().Head(ctx, path_); }));
  if (!object) return nothing();
  std::vector<RemoteFile> files;
  files.push_back(FileOf(*object, path_.substr(path_.rfind('/') + 1)));  // npos + 1 is 0
  return files;
}

Result<Listing> S3Source::Look(const Context& ctx, std::string_view* kind) {
  BDN_ASSIGN(auto objects, AllObjects(ctx));
  *kind = kS3SetPin;
  std::vector<RemoteFile> files;
  Checksums checksums;
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
    checksums.listed = checksums.listed || object.has_checksum;
    files.push_back(FileOf(object, object.key.substr(prefix_.size())));
  }
  if (checksums.listed) {
    for (const auto& object : objects) {
      if (!object.has_checksum) checksums.without.insert(object.key.substr(prefix_.size()));
    }
  }
  checksums_.With([&](Checksums& known) { known = std::move(checksums); });
  if (files.empty()) {
    *kind = kS3ObjectPin;
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
  pin.warnings = warnings_;
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
    return S3Changed(identity_ + " holds other objects than when it was pinned");
  }
  return *files;
}

bool S3Source::MayHaveChecksum(const std::string& path) const {
  return checksums_.With([&](const Checksums& known) {
    if (known.listed) return !known.without.contains(path);
    return known.silent_heads < kSilentHeadsMax;
  });
}

Result<RemoteFile> S3Source::Describe(const Context& ctx, const Pin& pin, const RemoteFile& file) {
  BDN_TRY(ctx.Check());
  if (!MayHaveChecksum(file.path)) return file;
  const std::string key = KeyOf(pin, file);
  BDN_ASSIGN(const auto object, Ask(ctx, [&] { return client().Head(ctx, key); }));
  // Without the right to look there is no checksum; whether the object is there, reading shows.
  if (object && (object->etag != file.etag || object->size != file.size)) {
    return S3Changed(fmt::format("{} has another ETag or size than was listed",
                                 cloud::Printable(file.path, 300)));
  }
  checksums_.With([&](Checksums& known) {
    if (!object || !object->checksum) {
      known.silent_heads += 1;
    } else if (!known.listed) {
      known.silent_heads = std::numeric_limits<int>::min();  // this server does tell
    }
  });
  if (!object) return file;
  RemoteFile described = FileOf(*object, file.path);
  if (!described.problem.empty()) {
    return Error(Code::kUnsupported,
                 fmt::format("the object {} of the bucket {} {}", cloud::Printable(key, 300),
                             client().site().bucket, described.problem));
  }
  return described;
}

Status S3Source::Read(const Context& ctx,
                      const Pin& pin,
                      const RemoteFile& file,
                      net::ByteRange range,
                      const ByteSink& sink) {
  BDN_TRY(ctx.Check());
  BDN_TRY(CheckRange(file, range));
  if (range.begin == range.end) return {};
  const std::string key = KeyOf(pin, file);
  RetryBudget budget(retry_, random_);
  for (std::uint64_t pos = range.begin;;) {
    const std::uint64_t before = pos;
    BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
    PinnedRangeSink answer(file, sink, &pos, range.end, client().authority());
    const Status transfer = client().GetRange(ctx, key, file.etag, {pos, range.end}, answer);
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
      return error.message().starts_with("source changed") ? error : S3Changed(error.message());
    }
    if (error.code() == Code::kNotFound) return S3Changed(error.message());
    if (error.code() == Code::kRateLimited) limiter_->Throttled(ctx, "", error.retry_after());
    BDN_TRY(budget.Wait(ctx, error));
  }
}

// Where to look for the bucket, in this order; an empty text is Amazon.
std::vector<std::string> EndpointsOf(const model::SourceUri& uri,
                                     const std::string& endpoint,
                                     std::string_view jurisdiction) {
  if (!endpoint.empty()) return {endpoint};
  if (uri.scheme == model::Scheme::kS3) return {""};
  // developers.cloudflare.com/r2/api/s3 and docs.coreweave.com, AI Object Storage.
  if (uri.scheme == model::Scheme::kCw) return {"https://cwobject.com"};
  std::vector<std::string> endpoints;
  for (const std::string_view place : cloud::kR2Jurisdictions) {
    if (!jurisdiction.empty() && place != jurisdiction) continue;
    endpoints.push_back(fmt::format("https://{}.{}{}r2.cloudflarestorage.com", uri.account,
                                    place == "default" ? "" : place,
                                    place == "default" ? "" : "."));
  }
  return endpoints;
}

// Addresses have no names below them.
bool IsAddress(const std::string& endpoint) {
  const auto url = net::ParseUrl(endpoint);
  return url && (url->host.find(':') != std::string::npos ||
                 url->host.find_first_not_of("0123456789.") == std::string::npos);
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
  std::string identity = uri.Canonical();
  // Buckets of the same name exist at each place, and etags hold at one.
  if (!options.endpoint.empty()) identity += " at " + net::RedactUrl(options.endpoint);
  std::vector<std::unique_ptr<cloud::S3Client>> clients;
  for (const std::string& endpoint : EndpointsOf(uri, options.endpoint, secret.jurisdiction)) {
    BDN_ASSIGN(auto client,
               cloud::S3Client::Make(transport, {.endpoint = endpoint,
                                                 .region = r2 ? "auto" : secret.region,
                                                 .bucket = uri.bucket,
                                                 .credentials = secret.credentials,
                                                 .virtual_host = uri.scheme == model::Scheme::kCw &&
                                                                 !IsAddress(endpoint),
                                                 .provider = options.role}));
    clients.push_back(std::move(client));
  }
  auto limiter = limiters.For(clients.front()->authority(),
                              options.role ? options.role_name : secret.credentials.access_key_id);
  return std::unique_ptr<Source>(std::make_unique<S3Source>(
      std::move(identity), uri.path, std::move(clients), std::move(limiter),
      std::move(secret.warnings), std::move(options)));
}

}  // namespace bdn::source
