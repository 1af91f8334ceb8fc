#include "source/hugging_face.h"

#include <algorithm>
#include <set>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/guarded.h"
#include "base/log.h"
#include "cloud/hugging_face_hub.h"
#include "source/hugging_face_reader.h"
#include "source/listing.h"
#include "source/range_sink.h"

namespace bdn::source {
namespace {

constexpr std::size_t kNameBytesShownMax = 300;

std::string IdentityOf(const cloud::HubRepo& repo) {
  return fmt::format("hf://{}/{}", repo.kind, repo.id);
}

class HuggingFaceSource final : public Source {
 public:
  HuggingFaceSource(const model::SourceUri& uri,
                    cloud::HubEndpoint endpoint,
                    const std::optional<std::string>& token,
                    net::Transport& transport,
                    RateLimiters& limiters,
                    HuggingFaceOptions options)
      : asked_{uri.repo_kind, uri.repo_id()},
        revision_(uri.revision.empty() ? "main" : uri.revision),
        retry_(options.retry),
        random_(std::move(options.random)),
        hub_(transport, std::move(endpoint), token),
        limiter_(limiters.For(hub_.endpoint().url().authority(), token.value_or(""))),
        reader_(hub_, transport, limiters, limiter_, retry_, random_) {}

  Result<Pin> Resolve(const Context& ctx) override;
  Result<std::vector<RemoteFile>> List(const Context& ctx, const Pin& pin) override;
  Status Read(const Context& ctx,
              const Pin& pin,
              const RemoteFile& file,
              net::ByteRange range,
              const ByteSink& sink) override;

 private:
  // One call of the API with everything around it: the shared limiter, retries, warnings.
  template <class F>
  auto Ask(const Context& ctx, std::vector<cloud::HubWarning>* warnings, F&& call)
      -> std::invoke_result_t<F, cloud::HubTrace*> {
    RetryBudget budget(retry_, random_);
    for (;;) {
      BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, kHubApiBucket));
      cloud::HubTrace trace;
      auto answer = call(&trace);
      slot.Release();
      ObserveHub(ctx, *limiter_, kHubApiBucket, trace.rate_limit);
      std::move(trace.warnings.begin(), trace.warnings.end(), std::back_inserter(*warnings));
      if (answer) {
        limiter_->Succeeded();
        return answer;
      }
      if (answer.error().code() == Code::kRateLimited) {
        limiter_->Throttled(ctx, kHubApiBucket, answer.error().retry_after());
      }
      BDN_TRY(budget.Wait(ctx, answer.error()));
    }
  }

  // The repository that a pin was made for, under its canonical name.
  Result<cloud::HubRepo> RepoOf(const Pin& pin) const;
  // Adds one page to the listing.
  Status AddPage(std::vector<cloud::HubTreeEntry> entries,
                 std::vector<RemoteFile>* files,
                 std::vector<std::string>* directories) const;
  // Logs each topic once in the life of this source.
  void LogWarnings(const std::vector<cloud::HubWarning>& warnings);

  const cloud::HubRepo asked_;
  const std::string revision_;
  const RetryOptions retry_;
  const UnitRandom random_;
  const cloud::HubClient hub_;
  const std::shared_ptr<RateLimiter> limiter_;
  HuggingFaceReader reader_;
  Guarded<std::set<std::string>> topics_logged_;
};

Result<Pin> HuggingFaceSource::Resolve(const Context& ctx) {
  std::vector<cloud::HubWarning> warnings;
  BDN_ASSIGN(const auto info, Ask(ctx, &warnings, [&](cloud::HubTrace* trace) {
               return hub_.GetInfo(ctx, asked_, revision_, trace);
             }));
  if (info.disabled) {
    return Error(Code::kPermissionDenied,
                 fmt::format("The Hub has disabled {}", IdentityOf(asked_)))
        .WithHint(fmt::format("see {}, and use another source", hub_.endpoint().PageOf(asked_)));
  }
  if (cloud::IsCommitSha(revision_) && info.sha != revision_) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("{} was asked for commit {} and answered with {}",
                             hub_.endpoint().ToString(), revision_, info.sha));
  }
  Pin pin;
  pin.fingerprint = info.sha;
  pin.fingerprint_type = "git-commit";
  pin.identity = IdentityOf({asked_.kind, info.id});
  if (info.id != asked_.id) {
    pin.warnings.push_back(
        fmt::format("{} is called {} on the Hub now: change the source in the config",
                    IdentityOf(asked_), pin.identity));
  }
  std::set<std::string> topics;
  for (const auto& warning : warnings) {
    const std::string& topic = warning.topic.empty() ? warning.message : warning.topic;
    if (topics.insert(topic).second) pin.warnings.push_back("The Hub says: " + warning.message);
  }
  return pin;
}

Result<cloud::HubRepo> HuggingFaceSource::RepoOf(const Pin& pin) const {
  const std::string prefix = "hf://" + asked_.kind + "/";
  if (!pin.identity.starts_with(prefix) || !cloud::IsCommitSha(pin.fingerprint)) {
    return Error(Code::kInvalidArgument, fmt::format("the pin {}@{} is not one of {}", pin.identity,
                                                     pin.fingerprint, IdentityOf(asked_)));
  }
  cloud::HubRepo repo{asked_.kind, pin.identity.substr(prefix.size())};
  if (!cloud::IsRepoId(repo.id)) {
    return Error(Code::kInvalidArgument, "the pin " + pin.identity + " names no repository");
  }
  return repo;
}

Status HuggingFaceSource::AddPage(std::vector<cloud::HubTreeEntry> entries,
                                  std::vector<RemoteFile>* files,
                                  std::vector<std::string>* directories) const {
  if (files->size() + directories->size() + entries.size() > kHubListEntriesMax) {
    return Error(Code::kResourceExhausted,
                 fmt::format("the listing has more than {} entries", kHubListEntriesMax));
  }
  for (auto& entry : entries) {
    if (entry.type == "directory") {
      directories->push_back(std::move(entry.path));
    } else if (entry.type == "file") {
      const bool lfs = !entry.lfs_sha256.empty();
      std::string& hash = lfs ? entry.lfs_sha256 : entry.oid;
      files->push_back({.path = std::move(entry.path),
                        .size = entry.size,
                        .etag = hash,
                        .version = {},
                        .hash_kind = lfs ? ContentHash::kSha256 : ContentHash::kGitBlobSha1,
                        .hash = hash});
    } else {
      log::Warn("the Hub lists something that is neither a file nor a directory: left out",
                {{"repo", IdentityOf(asked_)},
                 {"type", cloud::Printable(entry.type, 40)},
                 {"path", cloud::Printable(entry.path, kNameBytesShownMax)}});
    }
  }
  return {};
}

void HuggingFaceSource::LogWarnings(const std::vector<cloud::HubWarning>& warnings) {
  for (const auto& warning : warnings) {
    const std::string& topic = warning.topic.empty() ? warning.message : warning.topic;
    const bool fresh = topics_logged_.With([&](auto& seen) {
      return seen.size() < 100 && seen.insert(topic).second;  // topics are the Hub's words
    });
    if (fresh) {
      log::Warn("the Hub warns", {{"repo", IdentityOf(asked_)}, {"message", warning.message}});
    }
  }
}

Result<std::vector<RemoteFile>> HuggingFaceSource::List(const Context& ctx, const Pin& pin) {
  BDN_ASSIGN(const auto repo, RepoOf(pin));
  std::vector<RemoteFile> files;
  std::vector<std::string> directories;
  std::vector<cloud::HubWarning> warnings;
  std::unordered_set<std::string> seen;
  net::Url page = hub_.TreeUrl(repo, pin.fingerprint);
  for (;;) {
    if (!seen.insert(page.ToString()).second) {
      return Error(Code::kUnavailable,
                   fmt::format("the listing of {} leads in a circle: page {} names a page that was "
                               "read already",
                               pin.identity, seen.size()));
    }
    if (seen.size() > static_cast<std::size_t>(kHubListPagesMax)) {
      return Error(Code::kResourceExhausted, fmt::format("the listing of {} has more than {} pages",
                                                         pin.identity, kHubListPagesMax));
    }
    BDN_ASSIGN(auto answer, Ask(ctx, &warnings, [&](cloud::HubTrace* trace) {
                 return hub_.GetTreePage(ctx, repo, pin.fingerprint, page, trace);
               }));
    BDN_TRY(AddPage(std::move(answer.entries), &files, &directories));
    if (!answer.next) break;
    if (!hub_.endpoint().Owns(*answer.next)) {
      return Error(Code::kPermissionDenied,
                   fmt::format("the listing of {} continues on another host, {}: refused, the "
                               "token stays with {}",
                               pin.identity, net::RedactUrl(answer.next->ToString()),
                               hub_.endpoint().ToString()));
    }
    page = *std::move(answer.next);
  }
  LogWarnings(warnings);
  std::sort(files.begin(), files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  BDN_TRY(CheckListing(pin.identity, files, directories));
  return files;
}

Status HuggingFaceSource::Read(const Context& ctx,
                               const Pin& pin,
                               const RemoteFile& file,
                               net::ByteRange range,
                               const ByteSink& sink) {
  BDN_TRY(ctx.Check());
  BDN_TRY(CheckRange(file, range));
  if (range.begin == range.end) return {};
  BDN_ASSIGN(const auto repo, RepoOf(pin));
  HubTransfer transfer{.repo = repo,
                       .sha = pin.fingerprint,
                       .file = file,
                       .sink = sink,
                       .pos = range.begin,
                       .end = range.end};
  return reader_.Read(ctx, transfer);
}

}  // namespace

Result<std::unique_ptr<Source>> MakeHuggingFaceSource(const model::SourceUri& uri,
                                                      net::Transport& transport,
                                                      RateLimiters& limiters,
                                                      HuggingFaceOptions options) {
  if (uri.scheme != model::Scheme::kHf) {
    return Error(Code::kInvalidArgument, uri.text + " is not an hf:// source");
  }
  const cloud::HubRepo repo{uri.repo_kind, uri.repo_id()};
  const bool kind_known = repo.kind == "models" || repo.kind == "datasets" || repo.kind == "spaces";
  if (!kind_known || !cloud::IsRepoId(repo.id)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("'{}' names no repository of the Hub",
                             cloud::Printable(uri.text, kNameBytesShownMax)));
  }
  BDN_ASSIGN(auto endpoint, cloud::HubEndpoint::Parse(options.endpoint));
  std::optional<std::string> token;
  if (options.secret) {
    BDN_ASSIGN(token, cloud::ParseHubToken(*options.secret));
  }
  return std::unique_ptr<Source>(std::make_unique<HuggingFaceSource>(
      uri, std::move(endpoint), token, transport, limiters, std::move(options)));
}

}  // namespace bdn::source
