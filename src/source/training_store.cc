#include "source/training_store.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/guarded.h"
#include "base/singleflight.h"
#include "cloud/hugging_face_hub.h"
#include "cloud/training_api.h"
#include "crypto/hash.h"
#include "source/checkpoint_ref.h"
#include "source/listing.h"
#include "source/range_sink.h"

namespace bdn::source {
namespace {

constexpr std::string_view kPinType = "checkpoint";
constexpr std::size_t kNamedMax = 20;

Error Changed(const std::string& what) {
  return Error(Code::kFailedPrecondition, "source changed: " + what);
}

// One file of the listing, with what it takes to read it.
struct Listed {
  api::CheckpointFileBody body;
  std::uint64_t page = 0;        // the page_token that listed it
  std::uint64_t generation = 0;  // how often its URL was renewed
  std::string etag;              // of the first answer, as it was sent
};

bool SameFile(const api::CheckpointFileBody& a, const api::CheckpointFileBody& b) {
  return a.name == b.name && a.node_rank == b.node_rank && a.size_bytes == b.size_bytes &&
         a.last_modified == b.last_modified;
}

// "rank-0/checkpoint-1/a/b" → "checkpoint-1/a/b"
std::string_view WithoutRank(std::string_view name) {
  if (!name.starts_with("rank-")) return name;
  const auto slash = name.find('/');
  if (slash == std::string_view::npos) return name;
  const std::string_view digits = name.substr(5, slash - 5);
  const bool number = !digits.empty() && std::all_of(digits.begin(), digits.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
  return number ? name.substr(slash + 1) : name;
}

// Compares what the listing and the answer say about the last change, as far as both can be read;
// HTTP dates have whole seconds.
bool SameChange(const std::string& listed, std::string_view header) {
  const auto a = ParseRfc3339(listed);
  const auto b = ParseHttpDate(header);
  if (!a || !b) return true;
  return std::chrono::floor<std::chrono::seconds>(*a) ==
         std::chrono::floor<std::chrono::seconds>(*b);
}

// Looks at the head of an answer before PinnedRangeSink does.
class CheckedSink final : public net::ResponseSink {
 public:
  CheckedSink(net::ResponseSink& inner, std::function<Status(const net::ResponseHead&)> check)
      : inner_(inner), check_(std::move(check)) {}
  Status OnHead(const net::ResponseHead& head) override {
    if (Status checked = check_(head); !checked) {
      problem = checked.error();
      return checked;
    }
    return inner_.OnHead(head);
  }
  Status Write(std::span<const std::byte> bytes) override { return inner_.Write(bytes); }
  std::optional<Error> problem;

 private:
  net::ResponseSink& inner_;
  const std::function<Status(const net::ResponseHead&)> check_;
};

class TrainingStoreSource final : public Source, private CheckpointCatalogue {
 public:
  TrainingStoreSource(model::SourceUri uri,
                      std::unique_ptr<cloud::TrainingApi> api,
                      std::shared_ptr<RateLimiter> limiter,
                      TrainingStoreOptions options)
      : uri_(std::move(uri)),
        retry_(options.retry),
        random_(std::move(options.random)),
        api_(std::move(api)),
        limiter_(std::move(limiter)) {}

  Result<Pin> Resolve(const Context& ctx) override;
  Result<std::vector<RemoteFile>> List(const Context& ctx, const Pin& pin) override;
  Status Read(const Context& ctx,
              const Pin& pin,
              const RemoteFile& file,
              net::ByteRange range,
              const ByteSink& sink) override;

 private:
  // What was resolved, and the files by their path in the checkpoint.
  struct State {
    std::string fingerprint;
    std::string list;        // path of the list of files
    std::string checkpoint;  // its name
    std::map<std::string, Listed> files;
  };

  // One call with the shared limiter and the retries around it.
  template <class F>
  auto Ask(const Context& ctx, F&& call) -> std::invoke_result_t<F> {
    RetryBudget budget(retry_, random_);
    for (;;) {
      BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, "api"));
      auto answer = call();
      slot.Release();
      if (answer) {
        limiter_->Succeeded();
        return answer;
      }
      if (answer.error().code() == Code::kRateLimited) {
        limiter_->Throttled(ctx, "api", answer.error().retry_after());
      }
      BDN_TRY(budget.Wait(ctx, answer.error()));
    }
  }

  Result<std::vector<api::TrainingProjectBody>> Projects(const Context& ctx) override {
    return Ask(ctx, [&] { return api_->Projects(ctx); });
  }
  Result<std::vector<api::TrainingJobBody>> Jobs(const Context& ctx,
                                                 const std::string& project) override {
    return Ask(ctx, [&] { return api_->Jobs(ctx, project); });
  }
  Result<std::vector<api::CheckpointBody>> Checkpoints(const Context& ctx,
                                                       const std::string& project,
                                                       const std::string& job) override {
    return Ask(ctx, [&] { return api_->Checkpoints(ctx, project, job); });
  }
  Result<std::vector<api::CheckpointBody>> LoopsCheckpoints(const Context& ctx,
                                                            const std::string& run) override {
    return Ask(ctx, [&] { return api_->LoopsCheckpoints(ctx, run); });
  }

  Result<std::vector<Listed>> ListAll(const Context& ctx, const std::string& list);
  Result<std::optional<std::vector<Listed>>> ListOnce(const Context& ctx, const std::string& list);
  Result<State> Look(const Context& ctx, std::string* identity);
  Result<std::map<std::string, Listed>> TreeOf(std::vector<Listed> all,
                                               const std::string& checkpoint,
                                               bool whole) const;
  Result<std::vector<RemoteFile>> FilesOf(const State& state) const;
  Result<Listed> Find(const Pin& pin, const RemoteFile& file) const;
  // A fresh URL for the file, unless another reader got one meanwhile.
  Status Refresh(const Context& ctx, const std::string& path, const Listed& stale);
  Status CheckAnswer(const std::string& path, const Listed& listed, const net::ResponseHead& head);

  const model::SourceUri uri_;
  const RetryOptions retry_;
  const UnitRandom random_;
  const std::unique_ptr<cloud::TrainingApi> api_;
  const std::shared_ptr<RateLimiter> limiter_;
  Guarded<State> state_;
  Singleflight<std::uint64_t, bool> refreshes_;  // by page
};

// ---- the listing --------------------------------------------------------------------------------

// nullopt: the list changed between its pages.
Result<std::optional<std::vector<Listed>>> TrainingStoreSource::ListOnce(const Context& ctx,
                                                                         const std::string& list) {
  std::vector<Listed> all;
  std::optional<std::uint64_t> total;
  std::uint64_t token = 0;
  for (std::size_t pages = 1;; ++pages) {
    if (pages > kTrainingPagesMax) {
      return Error(Code::kResourceExhausted, fmt::format("the list of files at {} has more than "
                                                         "{} pages",
                                                         api_->authority(), kTrainingPagesMax));
    }
    BDN_ASSIGN(auto page, Ask(ctx, [&] { return api_->Files(ctx, list, token); }));
    if (total && *total != page.total_count) return std::optional<std::vector<Listed>>();
    total = page.total_count;
    if (all.size() + page.files.size() > kTrainingFilesMax) {
      return Error(
          Code::kResourceExhausted,
          fmt::format("the job has more than {} files in its checkpoints", kTrainingFilesMax));
    }
    for (auto& file : page.files) {
      all.push_back({.body = std::move(file), .page = token, .generation = 0, .etag = {}});
    }
    if (!page.next_page_token) break;
    if (*page.next_page_token <= token) {
      return Error(Code::kUnavailable,
                   fmt::format("the list of files at {} leads in a circle after page {}",
                               api_->authority(), pages));
    }
    token = *page.next_page_token;
  }
  if (all.size() != *total) return std::optional<std::vector<Listed>>();
  return std::optional(std::move(all));
}

Result<std::vector<Listed>> TrainingStoreSource::ListAll(const Context& ctx,
                                                         const std::string& list) {
  for (int tries = 0; tries <= kTrainingRelistsMax; ++tries) {
    if (tries > 0) {
      BDN_TRY(ctx.Sleep(BackoffDelay(retry_.backoff, tries, random_ ? random_() : 0.5, {})));
    }
    BDN_ASSIGN(auto all, ListOnce(ctx, list));
    if (all) return *std::move(all);
  }
  return Error(Code::kUnavailable,
               fmt::format("the list of files of the training job at {} kept changing while it was "
                           "read, {} times",
                           api_->authority(), kTrainingRelistsMax + 1));
}

// The files of one checkpoint by their paths in it. `whole`: the list has no others, and need not
// name it.
Result<std::map<std::string, Listed>> TrainingStoreSource::TreeOf(std::vector<Listed> all,
                                                                  const std::string& checkpoint,
                                                                  bool whole) const {
  const std::string prefix = checkpoint + "/";
  const bool named = std::any_of(all.begin(), all.end(), [&](const Listed& one) {
    return WithoutRank(one.body.name).starts_with(prefix);
  });
  std::map<std::string, Listed> files;
  std::size_t twice = 0;
  std::string text;
  for (Listed& one : all) {
    std::string_view path = WithoutRank(one.body.name);
    if (path.starts_with(prefix)) {
      path.remove_prefix(prefix.size());
    } else if (named || !whole) {
      continue;
    }
    const auto [it, fresh] = files.try_emplace(std::string(path), one);
    if (fresh || ++twice > kNamedMax) continue;
    text += fmt::format("\n  '{}' on ranks {} and {}", cloud::Printable(path, 300),
                        it->second.body.node_rank, one.body.node_rank);
  }
  if (twice > 0) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the checkpoint '{}' has {} {} more than once, so it is no single "
                             "tree:{}{}",
                             checkpoint, twice, twice == 1 ? "file" : "files", text,
                             twice > kNamedMax ? "\n  and more" : ""))
        .WithHint("save the files of each rank under names of their own, or on rank 0 only");
  }
  if (!files.empty()) return files;
  return Error(Code::kNotFound,
               fmt::format("the training store at {} lists no files of the checkpoint '{}'",
                           api_->authority(), checkpoint));
}

Result<TrainingStoreSource::State> TrainingStoreSource::Look(const Context& ctx,
                                                             std::string* identity) {
  BDN_ASSIGN(const api::CheckpointBody found, ResolveCheckpoint(ctx, *this, uri_));
  State state;
  state.checkpoint = found.name;
  state.list = uri_.loops ? cloud::TrainingApi::LoopsFilesPath(found.id)
                          : cloud::TrainingApi::JobFilesPath(found.project_id, found.job_id);
  if (uri_.loops && found.id.empty()) {
    return Error(Code::kUnavailable, fmt::format("{} does not answer like a training store: a "
                                                 "checkpoint of a loops run has no id",
                                                 api_->authority()));
  }
  BDN_ASSIGN(auto all, ListAll(ctx, state.list));
  BDN_ASSIGN(state.files, TreeOf(std::move(all), found.name, uri_.loops));
  crypto::Hasher hasher(crypto::HashKind::kSha256);
  for (const auto& [path, file] : state.files) {
    // Lengths in front, so that no two lists give the same text.
    hasher.Update(fmt::format("{}:{}{} {} {}:{}\n", path.size(), path, file.body.node_rank,
                              file.body.size_bytes, file.body.last_modified.size(),
                              file.body.last_modified));
  }
  state.fingerprint =
      fmt::format("{}/{}@sha256:{}", found.job_id, QualifiedName(found), hasher.FinishHex());
  *identity = fmt::format("{}://{}@{}/{} at {}", uri_.loops ? "bt-loops" : "bt", found.project_id,
                          found.job_id, uri_.loops ? found.target + "/" + found.name : found.name,
                          net::RedactUrl(api_->base().ToString()));
  return state;
}

Result<Pin> TrainingStoreSource::Resolve(const Context& ctx) {
  BDN_TRY(ctx.Check());
  Pin pin;
  BDN_ASSIGN(State state, Look(ctx, &pin.identity));
  pin.fingerprint = state.fingerprint;
  pin.fingerprint_type = kPinType;
  state_.With([&](State& kept) { kept = std::move(state); });
  return pin;
}

Result<std::vector<RemoteFile>> TrainingStoreSource::FilesOf(const State& state) const {
  std::vector<RemoteFile> files;
  for (const auto& [path, listed] : state.files) {
    RemoteFile file;
    file.path = path;
    file.size = listed.body.size_bytes;
    file.etag = listed.body.last_modified;
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  BDN_TRY(CheckListing("bt://" + uri_.bucket, files, {}));
  return files;
}

Result<std::vector<RemoteFile>> TrainingStoreSource::List(const Context& ctx, const Pin& pin) {
  BDN_TRY(ctx.Check());
  State state = state_.With([](const State& kept) { return kept; });
  if (state.fingerprint != pin.fingerprint) {
    std::string identity;
    BDN_ASSIGN(state, Look(ctx, &identity));
    if (state.fingerprint != pin.fingerprint) {
      return Changed("the training store holds another checkpoint than when it was pinned");
    }
    state_.With([&](State& kept) { kept = state; });
  }
  return FilesOf(state);
}

// ---- reading ------------------------------------------------------------------------------------

Result<Listed> TrainingStoreSource::Find(const Pin& pin, const RemoteFile& file) const {
  const auto found = state_.With([&](const State& state) -> std::optional<Listed> {
    const auto it = state.files.find(file.path);
    if (state.fingerprint != pin.fingerprint || it == state.files.end()) return std::nullopt;
    return it->second;
  });
  if (found) return *found;
  return Changed(cloud::Printable(file.path, 300) + " is not in the listing of this pin");
}

Status TrainingStoreSource::Refresh(const Context& ctx,
                                    const std::string& path,
                                    const Listed& stale) {
  const auto current = [&] {
    return state_.With([&](const State& state) { return state.files.at(path).generation; });
  };
  if (current() != stale.generation) return {};
  const std::string list = state_.With([](const State& state) { return state.list; });
  const auto take = [&](std::vector<api::CheckpointFileBody> fresh) {
    state_.With([&](State& state) {
      std::map<std::string, api::CheckpointFileBody*, std::less<>> by_name;
      for (auto& file : fresh) by_name.emplace(file.name, &file);
      for (auto& [_, listed] : state.files) {
        const auto it = by_name.find(listed.body.name);
        if (it == by_name.end() || !SameFile(*it->second, listed.body)) continue;
        listed.body.url = it->second->url;
        listed.generation += 1;
      }
    });
  };
  const auto done = refreshes_.Do(ctx, stale.page, [&](const Context& work) -> Result<bool> {
    if (current() != stale.generation) return true;
    BDN_ASSIGN(auto page, Ask(work, [&] { return api_->Files(work, list, stale.page); }));
    take(std::move(page.files));
    if (current() != stale.generation) return true;
    // The list has moved: the file is on another page now, if it is there.
    BDN_ASSIGN(auto all, ListAll(work, list));
    std::vector<api::CheckpointFileBody> bodies;
    for (auto& one : all) bodies.push_back(std::move(one.body));
    take(std::move(bodies));
    return true;
  });
  BDN_TRY(done);
  if (current() != stale.generation) return {};
  return Changed(cloud::Printable(path, 300) + " is not listed any more as it was");
}

Status TrainingStoreSource::CheckAnswer(const std::string& path,
                                        const Listed& listed,
                                        const net::ResponseHead& head) {
  const auto changed = head.headers.Get("Last-Modified");
  if (changed && !SameChange(listed.body.last_modified, *changed)) {
    return Changed(cloud::Printable(path, 300) + " was written after it was listed");
  }
  const auto etag = head.headers.Get("ETag");
  if (!etag) return {};
  // Readers of several ranges may all be the first: one of them sets the tag for all.
  const std::string first = state_.With([&](State& state) {
    std::string& kept = state.files.at(path).etag;
    if (kept.empty()) kept = *etag;
    return kept;
  });
  if (PlainETag(first) == PlainETag(*etag)) return {};
  return Changed(cloud::Printable(path, 300) + " has another ETag than it had at first");
}

Status TrainingStoreSource::Read(const Context& ctx,
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
  RemoteFile bare = file;  // its etag is the listing's, not the answer's
  bare.etag.clear();
  RetryBudget budget(retry_, random_);
  int refreshes = 0;
  for (std::uint64_t pos = range.begin;;) {
    const std::uint64_t before = pos;
    BDN_ASSIGN(const Listed listed, Find(pin, file));
    BDN_ASSIGN(auto slot, limiter_->Acquire(ctx, ""));
    PinnedRangeSink answer(bare, sink, &pos, range.end, api_->authority());
    CheckedSink checked(answer, [&](const net::ResponseHead& head) {
      return CheckAnswer(file.path, listed, head);
    });
    // A weak tag never matches (RFC 9110 §13.1.1).
    const std::string if_match = listed.etag.starts_with('"') ? listed.etag : "";
    const Status transfer =
        api_->ReadRange(ctx, listed.body.url, if_match, {pos, range.end}, checked);
    slot.Release();
    if (checked.problem) return *checked.problem;
    bool final = false;
    const Status status = answer.Finish(transfer, &final);
    if (status) {
      limiter_->Succeeded();
      return {};
    }
    if (pos > before) {
      budget.Progress();
      refreshes = 0;
    }
    const Error& error = status.error();
    if (final) return error;
    if (error.code() == Code::kFailedPrecondition) {
      return error.message().starts_with("source changed") ? error : Changed(error.message());
    }
    if (error.code() == Code::kPermissionDenied && !transfer) {
      // An address that the guard refuses has no status, and no fresh URL helps.
      if (error.message().find("(HTTP 403)") == std::string::npos) return error;
      if (++refreshes > kTrainingRefreshesMax) {
        return Error(Code::kPermissionDenied, fmt::format("{}: {}, also after {} fresh ones",
                                                          cloud::Printable(file.path, 300),
                                                          error.message(), kTrainingRefreshesMax))
            .WithHint("check the clocks of both machines, and what lies between them");
      }
      BDN_TRY(Refresh(ctx, file.path, listed));
      continue;
    }
    if (error.code() == Code::kRateLimited) limiter_->Throttled(ctx, "", error.retry_after());
    BDN_TRY(budget.Wait(ctx, error));
  }
}

}  // namespace

Result<std::unique_ptr<Source>> MakeTrainingStoreSource(const model::SourceUri& uri,
                                                        net::Transport& transport,
                                                        RateLimiters& limiters,
                                                        TrainingStoreOptions options) {
  BDN_ASSIGN(auto api, cloud::TrainingApi::Make(transport, options.base_url, options.key));
  auto limiter = limiters.For(api->authority(), options.key);
  return std::unique_ptr<Source>(std::make_unique<TrainingStoreSource>(
      uri, std::move(api), std::move(limiter), std::move(options)));
}

}  // namespace bdn::source
