#include "source/azure.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/guarded.h"
#include "cloud/azure.h"
#include "cloud/hugging_face_hub.h"
#include "crypto/digest.h"
#include "crypto/hash.h"
#include "source/listing.h"
#include "source/range_sink.h"

namespace bdn::source {
namespace {

constexpr std::string_view kBlobSetPin = "etag-set";
constexpr std::string_view kBlobPin = "etag";
constexpr std::size_t kMd5Bytes = 16;

using BlobListing = std::shared_ptr<const std::vector<RemoteFile>>;

std::string BlobFingerprint(const std::vector<RemoteFile>& files) {
  crypto::Hasher hasher(crypto::HashKind::kSha256);
  for (const RemoteFile& file : files) {
    // Lengths in front, so that no two lists give the same text.
    hasher.Update(fmt::format("{}:{}{}:{}{}\n", file.path.size(), file.path, file.etag.size(),
                              file.etag, file.size));
  }
  return hasher.FinishHex();
}

std::string LowerHex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

std::string ProblemOf(const cloud::AzureBlob& blob) {
  if (blob.tier == "Archive") return "is archived: change its tier to Cool or Hot";
  if (blob.customer_key) return "is encrypted with a customer-provided key: copy it without one";
  return {};
}

RemoteFile FileOf(const cloud::AzureBlob& blob, std::string path) {
  RemoteFile file;
  file.path = std::move(path);
  file.size = blob.size;
  file.etag = blob.etag;
  file.problem = ProblemOf(blob);
  // Not every blob has one: whoever writes it in blocks has to set it.
  if (const auto md5 = crypto::Base64Decode(blob.content_md5); md5 && md5->size() == kMd5Bytes) {
    file.hash_kind = ContentHash::kMd5;
    file.hash = LowerHex(*md5);
  }
  return file;
}

Error BlobsChanged(const std::string& what) {
  return Error(Code::kFailedPrecondition, "source changed: " + what);
}

class AzureSource final : public Source {
 public:
  AzureSource(std::string identity,
              std::string path,
              std::unique_ptr<cloud::AzureClient> client,
              std::shared_ptr<RateLimiter> limiter,
              AzureSourceOptions options)
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

  Result<std::vector<cloud::AzureBlob>> AllBlobs(const Context& ctx);
  // What the container holds now, checked; `kind` says which of the two pins it is.
  Result<BlobListing> Look(const Context& ctx, std::string_view* kind);
  Result<std::vector<RemoteFile>> LookForOne(const Context& ctx);

  const std::string identity_;
  const std::string path_;
  const std::string prefix_;  // what names begin with
  const RetryOptions retry_;
  const UnitRandom random_;
  const std::unique_ptr<cloud::AzureClient> client_;
  const std::shared_ptr<RateLimiter> limiter_;
  struct Last {
    std::string fingerprint;
    BlobListing files;
  };
  Guarded<Last> last_;  // so that List after Resolve does not ask again
};

Result<std::vector<cloud::AzureBlob>> AzureSource::AllBlobs(const Context& ctx) {
  std::vector<cloud::AzureBlob> blobs;
  std::unordered_set<std::string> markers;
  std::string marker;
  for (std::size_t pages = 1;; ++pages) {
    if (pages > kAzureListPagesMax) {
      return Error(Code::kResourceExhausted, fmt::format("the listing of {} has more than {} pages",
                                                         identity_, kAzureListPagesMax));
    }
    BDN_ASSIGN(auto page, Ask(ctx, [&] { return client_->ListPage(ctx, prefix_, marker); }));
    if (blobs.size() + page.blobs.size() > kAzureListEntriesMax) {
      return Error(Code::kResourceExhausted, fmt::format("the listing of {} has more than {} blobs",
                                                         identity_, kAzureListEntriesMax));
    }
    std::move(page.blobs.begin(), page.blobs.end(), std::back_inserter(blobs));
    if (page.next_marker.empty()) return blobs;
    // A page may be empty and not the last one; what leads on must be new each time.
    if (!markers.insert(page.next_marker).second) {
      return Error(
          Code::kUnavailable,
          fmt::format("the listing of {} leads in a circle after page {}", identity_, pages));
    }
    marker = std::move(page.next_marker);
  }
}

Result<std::vector<RemoteFile>> AzureSource::LookForOne(const Context& ctx) {
  const auto nothing = [&] {
    return Error(Code::kNotFound,
                 fmt::format("{} has no blobs: nothing lies below '{}' in the container {}",
                             identity_, prefix_, client_->site().container));
  };
  if (path_.empty()) return nothing();
  const auto blob = Ask(ctx, [&] { return client_->Head(ctx, path_); });
  // Credentials that may list need not read: that is no reason to hide that nothing is there.
  if (!blob && blob.error().code() == Code::kPermissionDenied) return nothing();
  if (!blob) return blob.error();
  if (!*blob || (*blob)->is_folder) return nothing();
  return std::vector<RemoteFile>{FileOf(**blob, path_.substr(path_.rfind('/') + 1))};
}

Result<BlobListing> AzureSource::Look(const Context& ctx, std::string_view* kind) {
  BDN_ASSIGN(const auto blobs, AllBlobs(ctx));
  *kind = kBlobSetPin;
  std::vector<RemoteFile> files;
  for (const cloud::AzureBlob& blob : blobs) {
    // Directories of hierarchical namespaces, and the markers that tools leave for them.
    if (blob.is_folder || blob.name == prefix_ || (blob.size == 0 && blob.name.ends_with('/'))) {
      continue;
    }
    if (!blob.name.starts_with(prefix_)) {
      return Error(Code::kUnavailable,
                   fmt::format("the listing of {} holds the name '{}', which was not asked for",
                               identity_, cloud::Printable(blob.name, 300)));
    }
    if (blob.etag.empty()) {
      return Error(Code::kUnsupported,
                   fmt::format("{}: '{}' has no ETag, so a change could not be noticed", identity_,
                               cloud::Printable(blob.name, 300)));
    }
    files.push_back(FileOf(blob, blob.name.substr(prefix_.size())));
  }
  if (files.empty()) {
    *kind = kBlobPin;
    BDN_ASSIGN(files, LookForOne(ctx));
  }
  std::sort(files.begin(), files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  BDN_TRY(CheckListing(identity_, files, {}));
  return std::make_shared<const std::vector<RemoteFile>>(std::move(files));
}

Result<Pin> AzureSource::Resolve(const Context& ctx) {
  BDN_TRY(ctx.Check());
  Pin pin;
  const auto ends = cloud::AzureSasExpiry(client_->site().secret.sas);
  const WallTime now = ctx.clock().Now();
  if (ends && *ends <= now) {
    return Error(Code::kUnauthenticated,
                 fmt::format("the SAS token for {} ended at {}", identity_, FormatRfc3339(*ends)))
        .WithHint("store a fresh one in the secret");
  }
  if (ends && *ends < now + std::chrono::hours(1)) {
    pin.warnings.push_back("the SAS token ends at " + FormatRfc3339(*ends) +
                           "; a mirror that takes longer fails then");
  }
  std::string_view kind;
  BDN_ASSIGN(BlobListing files, Look(ctx, &kind));
  pin.fingerprint = BlobFingerprint(*files);
  pin.fingerprint_type = kind;
  pin.identity = identity_;
  last_.With([&](Last& last) { last = {pin.fingerprint, std::move(files)}; });
  return pin;
}

Result<std::vector<RemoteFile>> AzureSource::List(const Context& ctx, const Pin& pin) {
  BDN_TRY(ctx.Check());
  BlobListing files = last_.With([&](const Last& last) {
    return last.fingerprint == pin.fingerprint ? last.files : BlobListing();
  });
  if (files) return *files;
  std::string_view kind;
  BDN_ASSIGN(files, Look(ctx, &kind));
  if (kind != pin.fingerprint_type || BlobFingerprint(*files) != pin.fingerprint) {
    return BlobsChanged(identity_ + " holds other blobs than when it was pinned");
  }
  return *files;
}

Status AzureSource::Read(const Context& ctx,
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
  const std::string name = pin.fingerprint_type == kBlobPin ? path_ : prefix_ + file.path;
  RetryBudget budget(retry_, random_);
  for (std::uint64_t pos = range.begin;;) {
    const std::uint64_t before = pos;
    BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
    PinnedRangeSink answer(file, sink, &pos, range.end, client_->authority());
    const Status transfer = client_->GetRange(ctx, name, file.etag, {pos, range.end}, answer);
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
      return error.message().starts_with("source changed") ? error : BlobsChanged(error.message());
    }
    if (error.code() == Code::kNotFound) return BlobsChanged(error.message());
    if (error.code() == Code::kRateLimited) limiter_->Throttled(ctx, "", error.retry_after());
    BDN_TRY(budget.Wait(ctx, error));
  }
}

// Whoever may use one limiter: the account's key counts per account, others by themselves.
std::string CredentialOf(const cloud::AzureSecret& secret) {
  return secret.account_key + secret.sas + (secret.identity ? secret.identity->client_id : "");
}

}  // namespace

Result<std::unique_ptr<Source>> MakeAzureSource(const model::SourceUri& uri,
                                                net::Transport& transport,
                                                RateLimiters& limiters,
                                                AzureSourceOptions options) {
  if (!options.secret) {
    return Error(Code::kInvalidArgument, "secret_id is required")
        .WithHint("Name a secret with Azure credentials in the source's auth section");
  }
  BDN_ASSIGN(cloud::AzureSecret secret, cloud::ParseAzureSecret(*options.secret));
  std::string credential = CredentialOf(secret);
  std::string identity = uri.Canonical();
  // Accounts of the same name exist in each cloud, and etags hold in one.
  if (!options.endpoint.empty()) {
    identity += " at " + net::RedactUrl(options.endpoint);
  } else if (secret.cloud != &cloud::AzurePublicCloud()) {
    identity += " at " + std::string(secret.cloud->suffix);
  }
  BDN_ASSIGN(auto client, cloud::AzureClient::Make(transport,
                                                   {.endpoint = options.endpoint,
                                                    .authority = options.authority,
                                                    .account = uri.account,
                                                    .container = uri.bucket,
                                                    .secret = std::move(secret)},
                                                   options.identity));
  auto limiter = limiters.For(client->authority(), credential);
  return std::unique_ptr<Source>(std::make_unique<AzureSource>(
      std::move(identity), uri.path, std::move(client), std::move(limiter), std::move(options)));
}

}  // namespace bdn::source
