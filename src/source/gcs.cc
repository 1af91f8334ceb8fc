#include "source/gcs.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/guarded.h"
#include "cloud/gcs.h"
#include "cloud/google_auth.h"
#include "cloud/hugging_face_hub.h"
#include "crypto/hash.h"
#include "source/gcs_sinks.h"
#include "source/google_tokens.h"
#include "source/listing.h"
#include "source/source_factory.h"

namespace bdn::source {
namespace {

constexpr std::string_view kGcsSetPin = "generation-set";
constexpr std::string_view kGcsObjectPin = "generation";
// Behind the generation in the etag of a file that is delivered decompressed.
constexpr std::string_view kGcsGunzipMark = "+gunzip";
constexpr int kGcsMeasuresMax = 2;  // an object that does not match its hash is read once more

struct GcsStored {
  std::vector<cloud::GcsObject> objects;  // by name
  std::string kind;                       // of the pin
  std::string fingerprint;
};
using GcsStoredPtr = std::shared_ptr<const GcsStored>;
using GcsFiles = std::shared_ptr<const std::vector<RemoteFile>>;

std::string GcsFingerprintOf(const std::vector<cloud::GcsObject>& objects) {
  crypto::Hasher hasher(crypto::HashKind::kSha256);
  for (const auto& object : objects) {
    // Lengths in front, so that no two lists give the same text.
    hasher.Update(fmt::format("{}:{}{}:{}{}\n", object.name.size(), object.name,
                              object.generation.size(), object.generation, object.size));
  }
  return hasher.FinishHex();
}

Error GcsChanged(const std::string& what) {
  return Error(Code::kFailedPrecondition, "source changed: " + what);
}

bool IsStoredCompressed(const cloud::GcsObject& object) {
  return object.content_encoding == "gzip" || object.content_encoding == "x-gzip";
}

class GcsSource final : public Source {
 public:
  GcsSource(std::string identity,
            std::string path,
            cloud::GcsClient client,
            std::unique_ptr<GoogleTokens> tokens,
            std::shared_ptr<RateLimiter> limiter,
            GcsSourceOptions options)
      : identity_(std::move(identity)),
        path_(std::move(path)),
        prefix_(path_.empty() ? "" : path_ + "/"),
        retry_(options.retry),
        random_(std::move(options.random)),
        client_(std::move(client)),
        tokens_(std::move(tokens)),
        limiter_(std::move(limiter)) {}

  Result<Pin> Resolve(const Context& ctx) override;
  Result<std::vector<RemoteFile>> List(const Context& ctx, const Pin& pin) override;
  Status Read(const Context& ctx,
              const Pin& pin,
              const RemoteFile& file,
              net::ByteRange range,
              const ByteSink& sink) override;

 private:
  // One call with a token, the shared limiter and the retries around it.
  template <class F>
  auto Ask(const Context& ctx, F&& call) -> std::invoke_result_t<F, const std::string&> {
    RetryBudget budget(retry_, random_);
    for (bool renewed = false;;) {
      BDN_ASSIGN(const std::string token, tokens_->Get(ctx));
      BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
      auto answer = call(token);
      slot.Release();
      if (answer) {
        limiter_->Succeeded();
        return answer;
      }
      const Code code = answer.error().code();
      if (code == Code::kUnauthenticated && !std::exchange(renewed, true)) {
        tokens_->Refused(token);
        continue;
      }
      if (code == Code::kRateLimited) limiter_->Throttled(ctx, "", answer.error().retry_after());
      BDN_TRY(budget.Wait(ctx, answer.error()));
    }
  }

  Result<std::vector<cloud::GcsObject>> AllObjects(const Context& ctx);
  Result<cloud::GcsObject> OneObject(const Context& ctx);
  // What the bucket holds now, checked.
  Result<GcsStoredPtr> Look(const Context& ctx);
  std::string PathOf(const GcsStored& stored, const cloud::GcsObject& object) const;
  RemoteFile FileOf(const GcsStored& stored, const cloud::GcsObject& object) const;
  // The file that a stored gzip stream holds.
  Status Measure(const Context& ctx, const cloud::GcsObject& object, RemoteFile* file);
  Result<GcsMeasureSink::Measure> MeasureOnce(const Context& ctx, const cloud::GcsObject& object);
  // One attempt of Read. `*pos` follows what the sink has got.
  Status ReadOnce(const Context& ctx,
                  const std::string& name,
                  const RemoteFile& file,
                  std::uint64_t* pos,
                  std::uint64_t end,
                  const ByteSink& sink,
                  bool* accept_gzip,
                  bool* final);

  const std::string identity_;
  const std::string path_;
  const std::string prefix_;  // what names begin with
  const RetryOptions retry_;
  const UnitRandom random_;
  const cloud::GcsClient client_;
  const std::unique_ptr<GoogleTokens> tokens_;
  const std::shared_ptr<RateLimiter> limiter_;
  struct Last {
    GcsStoredPtr stored;
    GcsFiles files;
  };
  Guarded<Last> last_;  // so that List after Resolve does not ask again
};

Result<std::vector<cloud::GcsObject>> GcsSource::AllObjects(const Context& ctx) {
  std::vector<cloud::GcsObject> objects;
  std::unordered_set<std::string> tokens;
  std::string page_token;
  for (std::size_t pages = 1;; ++pages) {
    if (pages > kGcsListPagesMax) {
      return Error(Code::kResourceExhausted, fmt::format("the listing of {} has more than {} pages",
                                                         identity_, kGcsListPagesMax));
    }
    BDN_ASSIGN(auto page, Ask(ctx, [&](const std::string& token) {
                 return client_.ListPage(ctx, token, prefix_, page_token);
               }));
    if (objects.size() + page.objects.size() > kGcsListEntriesMax) {
      return Error(
          Code::kResourceExhausted,
          fmt::format("the listing of {} has more than {} objects", identity_, kGcsListEntriesMax));
    }
    std::move(page.objects.begin(), page.objects.end(), std::back_inserter(objects));
    // A page may be empty and not the last one.
    if (page.next_token.empty()) return objects;
    if (!tokens.insert(page.next_token).second) {
      return Error(Code::kUnavailable, fmt::format("the listing of {} leads in a circle after "
                                                   "page {}",
                                                   identity_, pages));
    }
    page_token = std::move(page.next_token);
  }
}

Result<cloud::GcsObject> GcsSource::OneObject(const Context& ctx) {
  const auto nothing = [&] {
    return Error(Code::kNotFound,
                 fmt::format("{} has no objects: nothing lies below '{}' in the bucket {}",
                             identity_, prefix_, client_.bucket()));
  };
  if (path_.empty()) return nothing();
  BDN_ASSIGN(auto object,
             Ask(ctx, [&](const std::string& token) { return client_.Get(ctx, token, path_); }));
  if (!object) return nothing();
  return *std::move(object);
}

std::string GcsSource::PathOf(const GcsStored& stored, const cloud::GcsObject& object) const {
  if (stored.kind == kGcsObjectPin) return path_.substr(path_.rfind('/') + 1);  // npos + 1 is 0
  return object.name.substr(prefix_.size());
}

Result<GcsStoredPtr> GcsSource::Look(const Context& ctx) {
  auto stored = std::make_shared<GcsStored>();
  BDN_ASSIGN(stored->objects, AllObjects(ctx));
  stored->kind = kGcsSetPin;
  for (const auto& object : stored->objects) {
    if (object.name.starts_with(prefix_)) continue;
    return Error(Code::kUnavailable, fmt::format("the listing of {} holds the name '{}', which was "
                                                 "not asked for",
                                                 identity_, cloud::Printable(object.name, 300)));
  }
  std::erase_if(stored->objects, [&](const cloud::GcsObject& object) {
    // Markers that consoles leave where they show a folder.
    return object.name == prefix_ || (object.size == 0 && object.name.ends_with('/'));
  });
  if (stored->objects.empty()) {
    stored->kind = kGcsObjectPin;
    BDN_ASSIGN(auto object, OneObject(ctx));
    stored->objects.push_back(std::move(object));
  }
  std::sort(stored->objects.begin(), stored->objects.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  std::vector<RemoteFile> names;
  names.reserve(stored->objects.size());
  for (const auto& object : stored->objects) names.push_back({.path = PathOf(*stored, object)});
  BDN_TRY(CheckListing(identity_, names, {}));
  stored->fingerprint = GcsFingerprintOf(stored->objects);
  return GcsStoredPtr(std::move(stored));
}

RemoteFile GcsSource::FileOf(const GcsStored& stored, const cloud::GcsObject& object) const {
  RemoteFile file{.path = PathOf(stored, object),
                  .size = object.size,
                  .etag = object.generation,
                  .version = object.generation};
  // Composed objects have no MD5.
  file.hash_kind = !object.md5.empty()      ? ContentHash::kMd5
                   : !object.crc32c.empty() ? ContentHash::kCrc32c
                                            : ContentHash::kNone;
  file.hash = !object.md5.empty() ? object.md5 : object.crc32c;
  return file;
}

Result<GcsMeasureSink::Measure> GcsSource::MeasureOnce(const Context& ctx,
                                                       const cloud::GcsObject& object) {
  return Ask(ctx, [&](const std::string& token) -> Result<GcsMeasureSink::Measure> {
    GcsMeasureSink sink(object.generation);
    Status read =
        client_.Read(ctx, token, {.name = object.name, .generation = object.generation}, sink);
    if (!read) {
      Error error = std::move(read).error();
      if (error.code() == Code::kNotFound) return GcsChanged(error.message());
      return std::move(error).Context(cloud::Printable(object.name, 300));
    }
    return sink.Finish();
  });
}

Status GcsSource::Measure(const Context& ctx, const cloud::GcsObject& object, RemoteFile* file) {
  if (object.size > kGcsGunzipBytesMax) {
    file->problem = fmt::format(
        "is stored compressed (Content-Encoding: gzip) and has more than {} bytes: "
        "store it without",
        kGcsGunzipBytesMax);
    return {};
  }
  for (int tries = 1;; ++tries) {
    BDN_ASSIGN(const auto measure, MeasureOnce(ctx, object));
    const bool same = measure.stored_size == object.size &&
                      (object.md5.empty() || measure.md5 == object.md5) &&
                      (object.crc32c.empty() || measure.crc32c == object.crc32c);
    if (!same) {
      if (tries < kGcsMeasuresMax) continue;
      return Error(Code::kCorrupt,
                   fmt::format("{}: what arrived, {} bytes with CRC-32C {}, is not what the "
                               "listing says, {} bytes with {}, also when it was read again",
                               cloud::Printable(object.name, 300), measure.stored_size,
                               measure.crc32c, object.size, object.crc32c));
    }
    if (measure.damage) {
      const bool large = measure.damage->code() == Code::kResourceExhausted;
      file->problem =
          large ? fmt::format(
                      "is stored compressed (Content-Encoding: gzip) and holds more than "
                      "{} bytes: store it without",
                      kGcsGunzipBytesMax)
                : "is said to be compressed (Content-Encoding: gzip) and is not: correct the "
                  "object's metadata";
      return {};
    }
    file->size = measure.size;
    file->hash_kind = ContentHash::kSha256;
    file->hash = measure.sha256;
    file->etag = object.generation + std::string(kGcsGunzipMark);
    return {};
  }
}

Result<Pin> GcsSource::Resolve(const Context& ctx) {
  BDN_TRY(ctx.Check());
  BDN_ASSIGN(GcsStoredPtr stored, Look(ctx));
  Pin pin{
      .fingerprint = stored->fingerprint, .fingerprint_type = stored->kind, .identity = identity_};
  last_.With([&](Last& last) {
    if (!last.stored || last.stored->fingerprint != stored->fingerprint) {
      last = {std::move(stored), nullptr};
    }
  });
  return pin;
}

Result<std::vector<RemoteFile>> GcsSource::List(const Context& ctx, const Pin& pin) {
  BDN_TRY(ctx.Check());
  Last known = last_.With([](const Last& last) { return last; });
  if (!known.stored || known.stored->fingerprint != pin.fingerprint) {
    BDN_ASSIGN(known.stored, Look(ctx));
    known.files = nullptr;
  }
  if (known.stored->kind != pin.fingerprint_type || known.stored->fingerprint != pin.fingerprint) {
    return GcsChanged(identity_ + " holds other objects than when it was pinned");
  }
  if (known.files) return *known.files;
  std::vector<RemoteFile> files;
  files.reserve(known.stored->objects.size());
  std::size_t compressed = 0;
  for (const auto& object : known.stored->objects) {
    RemoteFile file = FileOf(*known.stored, object);
    if (IsStoredCompressed(object)) {
      if (++compressed > kGcsGunzipObjectsMax) {
        return Error(Code::kResourceExhausted,
                     fmt::format("{} has more than {} objects that are stored compressed "
                                 "(Content-Encoding: gzip): store them without",
                                 identity_, kGcsGunzipObjectsMax));
      }
      BDN_TRY(Measure(ctx, object, &file));
    }
    files.push_back(std::move(file));
  }
  known.files = std::make_shared<const std::vector<RemoteFile>>(std::move(files));
  last_.With([&](Last& last) { last = known; });
  return *known.files;
}

Status GcsSource::ReadOnce(const Context& ctx,
                           const std::string& name,
                           const RemoteFile& file,
                           std::uint64_t* pos,
                           std::uint64_t end,
                           const ByteSink& sink,
                           bool* accept_gzip,
                           bool* final) {
  *final = true;
  BDN_ASSIGN(const std::string token, tokens_->Get(ctx));
  BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
  *final = false;
  cloud::GcsClient::Download download{.name = name, .generation = file.version};
  Status status;
  if (file.etag.ends_with(kGcsGunzipMark)) {
    GcsGunzipSink answer(file, sink, pos, end, client_.authority());
    status = answer.Finish(client_.Read(ctx, token, download, answer), final);
  } else {
    download.range = net::ByteRange{*pos, end};
    download.accept_gzip = *accept_gzip;
    GcsRangeSink answer(file, sink, pos, end, client_.authority());
    status = answer.Finish(client_.Read(ctx, token, download, answer), final);
    if (answer.compressed()) *accept_gzip = false;
  }
  slot.Release();
  if (!status && status.error().code() == Code::kUnauthenticated) tokens_->Refused(token);
  return status;
}

Status GcsSource::Read(const Context& ctx,
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
  const std::string name = pin.fingerprint_type == kGcsObjectPin ? path_ : prefix_ + file.path;
  RetryBudget budget(retry_, random_);
  bool renewed = false;
  bool accept_gzip = true;
  for (std::uint64_t pos = range.begin;;) {
    const std::uint64_t before = pos;
    const bool with_gzip = accept_gzip;
    bool final = false;
    const Status status = ReadOnce(ctx, name, file, &pos, range.end, sink, &accept_gzip, &final);
    if (status) {
      limiter_->Succeeded();
      return {};
    }
    if (final) return status;
    if (pos > before) {
      budget.Progress();
      renewed = false;
    }
    const Error& error = status.error();
    if (error.code() == Code::kFailedPrecondition || error.code() == Code::kNotFound) {
      // The generation was there when it was listed: it was overwritten or deleted.
      return error.message().starts_with("source changed") ? error : GcsChanged(error.message());
    }
    if (error.code() == Code::kUnauthenticated && !std::exchange(renewed, true)) continue;
    if (with_gzip && !accept_gzip) continue;
    if (error.code() == Code::kRateLimited) limiter_->Throttled(ctx, "", error.retry_after());
    BDN_TRY(budget.Wait(ctx, error));
  }
}

Result<std::unique_ptr<GoogleTokens>> MakeGcsTokens(net::Transport& transport,
                                                    const GcsSourceOptions& options) {
  using model::AuthMethod;
  const cloud::GoogleEndpoints endpoints = cloud::GoogleEndpointsAt(options.endpoint);
  const GoogleTokenOptions how{.retry = options.retry, .random = options.random};
  if (options.auth.method == AuthMethod::kGcpOidc) {
    BDN_ASSIGN(auto provider, cloud::ParseGcpProvider(options.auth.gcp_oidc_workload_id_provider));
    BDN_TRY(cloud::CheckGcpServiceAccount(options.auth.gcp_oidc_service_account));
    if (options.identity == nullptr) return NoIssuer();
    return MakeGoogleRoleTokens(transport, endpoints, *options.identity, std::move(provider),
                                options.auth.gcp_oidc_service_account, how);
  }
  if (options.auth.method == AuthMethod::kAwsOidc) {
    return Error(Code::kInvalidArgument,
                 "AWS_OIDC is for s3:// sources; gs:// takes GCP_OIDC or the key of a service "
                 "account in a secret");
  }
  if (!options.secret) {
    // The documented sentences, word for word.
    if (options.auth.method == AuthMethod::kNone && options.auth.auth_secret_name.empty()) {
      return Error(Code::kInvalidArgument,
                   "no credentials configured: need either OIDC config or secret_id")
          .WithHint(
              "Name a secret with a service account's key in the source's auth section, or "
              "set auth_method: GCP_OIDC");
    }
    return Error(Code::kInvalidArgument, "secret_id is required")
        .WithHint("Store the JSON key of a service account: `bdn secret set NAME < key.json`");
  }
  const std::string own = options.endpoint.empty() ? "" : endpoints.oauth_token;
  BDN_ASSIGN(auto key, cloud::ParseGcpSecret(*options.secret, own));
  std::string url = options.endpoint.empty() ? key.token_uri : endpoints.oauth_token;
  return MakeGoogleKeyTokens(transport, std::move(url), std::move(key), how);
}

}  // namespace

Result<std::unique_ptr<Source>> MakeGcsSource(const model::SourceUri& uri,
                                              net::Transport& transport,
                                              RateLimiters& limiters,
                                              GcsSourceOptions options) {
  BDN_ASSIGN(auto tokens, MakeGcsTokens(transport, options));
  const bool own = !options.endpoint.empty();
  BDN_ASSIGN(auto client,
             cloud::GcsClient::Make(
                 transport, own ? options.endpoint : std::string(cloud::kGcsEndpoint), uri.bucket));
  std::string identity = uri.Canonical();
  // Buckets of the same name exist at each place, and generations hold at one.
  if (own) identity += " at " + net::RedactUrl(options.endpoint);
  const std::string who = options.auth.method == model::AuthMethod::kGcpOidc
                              ? options.auth.gcp_oidc_service_account
                              : options.secret.value_or("");
  auto limiter = limiters.For(client.authority(), who);
  return std::unique_ptr<Source>(
      std::make_unique<GcsSource>(std::move(identity), uri.path, std::move(client),
                                  std::move(tokens), std::move(limiter), std::move(options)));
}

}  // namespace bdn::source
