#include "mirror/mirror.h"

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "crypto/blake3.h"
#include "mirror/holding.h"
#include "mirror/plan.h"
#include "mirror/progress.h"
#include "mirror/session.h"

namespace bdn::mirror {
namespace {

store::Progress ProgressOf(const model::Manifest& manifest) {
  store::Progress progress;
  progress.phase = "done";
  for (const model::ManifestEntry& entry : manifest.entries) {
    if (entry.type == model::EntryType::kFile) progress.files += 1;
  }
  progress.files_done = progress.files;
  progress.bytes = manifest.total_size;
  progress.bytes_done = manifest.total_size;
  progress.bytes_reused = manifest.total_size;
  return progress;
}

// Waits on locks end with a stop token only; this turns the deadline of a context into one.
class DeadlineStop {
 public:
  explicit DeadlineStop(const Context& ctx) : ctx_(ctx.WithStop(stop_.get_token())) {
    if (const auto left = ctx.remaining()) {
      watcher_ = std::jthread([this, &clock = ctx.clock(), wait = *left](std::stop_token end) {
        if (clock.SleepFor(end, wait)) stop_.request_stop();
      });
    }
  }
  const Context& context() const { return ctx_; }

 private:
  std::stop_source stop_;
  Context ctx_;
  std::jthread watcher_;
};

}  // namespace

struct Mirrorer::Impl {
  // One Run: the arguments, and what it has learnt so far.
  struct Job {
    source::Source& source;
    const MirrorRequest& request;
    const std::function<Status(const source::Pin&)>& on_pin;
    ProgressReporter progress;
    std::optional<Error> caller_error;  // of on_pin: ends the run, whatever its code
  };

  Result<MirrorResult> Attempt(const Context& ctx, Job& job);
  Result<std::optional<MirrorResult>> ReuseWhole(const Context& ctx,
                                                 Job& job,
                                                 const source::Pin& pin);
  Result<crypto::Digest> PutManifest(const Context& ctx,
                                     const store::Scope& scope,
                                     const model::Manifest& manifest);

  Engine engine;
};

Result<std::optional<MirrorResult>> Mirrorer::Impl::ReuseWhole(const Context& ctx,
                                                               Job& job,
                                                               const source::Pin& pin) {
  const store::Scope& scope = job.request.scope;
  BDN_ASSIGN(const auto done, engine.metadata.FindDoneMirror(
                                  scope, model::MirrorKey(job.request.weights), pin.fingerprint));
  if (!done || !done->manifest || pin.fingerprint.empty()) return std::optional<MirrorResult>();
  BDN_ASSIGN(const auto manifest, HoldManifest(ctx, engine.objects, scope, *done->manifest));
  if (!manifest) return std::optional<MirrorResult>();
  MirrorResult result;
  result.pin = pin;
  result.manifest = *done->manifest;
  result.progress = ProgressOf(*manifest);
  result.reused_whole = true;
  return std::optional<MirrorResult>(std::move(result));
}

Result<crypto::Digest> Mirrorer::Impl::PutManifest(const Context& ctx,
                                                   const store::Scope& scope,
                                                   const model::Manifest& manifest) {
  const std::string text = model::WriteManifest(manifest);
  if (text.size() > model::kManifestBytesMax) {
    return Error(Code::kResourceExhausted, "the manifest is too large: too many files");
  }
  const crypto::Digest digest = crypto::Blake3Of(text);
  BDN_TRY(PutObject(ctx, engine.objects, scope, store::ObjectKind::kManifest, digest,
                    std::as_bytes(std::span(text))));
  return digest;
}

Result<MirrorResult> Mirrorer::Impl::Attempt(const Context& ctx, Job& job) {
  const store::Scope& scope = job.request.scope;
  ProgressReporter& progress = job.progress;
  BDN_TRY(progress.Phase("resolving"));
  BDN_ASSIGN(const source::Pin pin, job.source.Resolve(ctx));
  if (job.on_pin) {
    if (Status told = job.on_pin(pin); !told) {
      job.caller_error = told.error();
      return std::move(told).error();
    }
  }
  BDN_ASSIGN(auto whole, ReuseWhole(ctx, job, pin));
  if (whole) return *std::move(whole);

  BDN_TRY(progress.Phase("listing"));
  BDN_ASSIGN(auto listing, job.source.List(ctx, pin));
  BDN_ASSIGN(Selection selection, Select(std::move(listing), job.request.weights));
  progress.Restart(selection.files.size(), selection.bytes);

  BDN_TRY(progress.Phase("fetching"));
  Session session(engine, job.source, scope, pin, selection.files, progress);
  BDN_TRY(session.Fetch(ctx));

  BDN_TRY(progress.Phase("writing"));
  BDN_TRY(session.HoldOld(ctx));
  MirrorResult result;
  BDN_ASSIGN(result.manifest, PutManifest(ctx, scope,
                                          ManifestOf(job.request.weights.source, pin,
                                                     selection.files, session.results())));
  BDN_TRY(session.DropPartial());
  result.pin = pin;
  result.progress = progress.Snapshot();
  result.progress.phase = "done";
  result.progress.eta.reset();
  result.warnings = std::move(selection.warnings);
  for (std::string& warning : session.warnings()) result.warnings.push_back(std::move(warning));
  return result;
}

Mirrorer::Mirrorer(store::ObjectStore& objects,
                   store::Metadata& metadata,
                   Executor& fetchers,
                   MirrorerOptions options)
    : impl_(new Impl{Engine{.objects = objects,
                            .metadata = metadata,
                            .fetchers = fetchers,
                            .options = options,
                            .budget = ByteBudget(options.memory_bytes_max),
                            .flights = {}}}) {}

Mirrorer::~Mirrorer() = default;

Result<MirrorResult> Mirrorer::Run(const Context& ctx,
                                   source::Source& source,
                                   const MirrorRequest& request,
                                   const std::function<Status(const source::Pin&)>& on_pin,
                                   const ProgressSink& progress) {
  const DeadlineStop deadline(ctx);
  Impl::Job job{
      .source = source,
      .request = request,
      .on_pin = on_pin,
      .progress = ProgressReporter(ctx.clock(), progress, impl_->engine.options.progress_interval),
      .caller_error = std::nullopt};
  const std::string where = "mirror " + ShownSource(request.weights.source);
  for (int restarts = 0;; ++restarts) {
    auto result = impl_->Attempt(deadline.context(), job);
    if (result) return result;
    (void)job.progress.TellNow();  // how far it came decides about the next attempt
    // Who asked for the mirror ended it: that is the error, not what it led to.
    if (auto sink_error = job.progress.sink_error()) return *std::move(sink_error);
    if (job.caller_error) return *std::move(job.caller_error);
    if (const Status late = ctx.Check(); !late) return Error(late.error()).Context(where);
    Error error = std::move(result).error();
    if (error.code() != Code::kFailedPrecondition) return std::move(error).Context(where);
    if (restarts >= impl_->engine.options.restarts_max) {
      return std::move(error)
          .Context(fmt::format("{}: the source kept changing while it was mirrored, {} times",
                               where, restarts + 1))
          .WithHint("wait until publishing is finished, or name a fixed revision, and push again");
    }
    log::Info("source changed while it was mirrored: starting again",
              {{"source", ShownSource(request.weights.source)}, {"reason", error.message()}});
  }
}

Result<MirrorResult> Mirrorer::Adopt(const Context& ctx,
                                     const StoredTree& tree,
                                     const MirrorRequest& request,
                                     const std::function<Status(const source::Pin&)>& on_pin,
                                     const ProgressSink& progress) {
  const std::string where = "mirror " + request.weights.source;
  if (on_pin) BDN_TRY(on_pin(tree.pin));
  if (progress) BDN_TRY(progress({.phase = "writing"}));
  BDN_ASSIGN(const auto held,
             HoldManifest(ctx, impl_->engine.objects, request.scope, tree.manifest));
  if (!held) {
    return Error(Code::kCorrupt, fmt::format("{}: objects of {} are missing from the origin", where,
                                             tree.manifest.ToString()))
        .WithHint("push the checkpoint again: only what is missing is uploaded");
  }
  MirrorResult result{.pin = tree.pin,
                      .manifest = tree.manifest,
                      .progress = ProgressOf(*held),
                      .reused_whole = true,
                      .warnings = {}};
  auto part = SelectStored(*held, request.weights, tree.pin);
  if (!part) return std::move(part).error().Context(where);
  result.warnings = std::move(part->warnings);
  if (!part->manifest) return result;
  BDN_ASSIGN(result.manifest, impl_->PutManifest(ctx, request.scope, *part->manifest));
  result.progress = ProgressOf(*part->manifest);
  return result;
}

Result<std::optional<store::Progress>> Mirrorer::Hold(const Context& ctx,
                                                      const store::Scope& scope,
                                                      const crypto::Digest& manifest) {
  BDN_ASSIGN(const auto held, HoldManifest(ctx, impl_->engine.objects, scope, manifest));
  if (!held) return std::optional<store::Progress>();
  return std::optional<store::Progress>(ProgressOf(*held));
}

}  // namespace bdn::mirror
