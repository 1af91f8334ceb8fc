#pragma once
// Takes mirrors from the queue in Metadata and runs them: lease, heartbeat, retries, result.
//
// Any number of workers, in any number of processes, may share one queue. A worker that dies stops
// its heartbeat, its lease ends, and another takes the mirror over; the mirror resumes from what is
// in the store.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/backoff.h"
#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"
#include "base/wakeup.h"
#include "mirror/mirror.h"
#include "source/source.h"
#include "store/metadata.h"

namespace bdn::mirror {

// Makes the source of a mirror from its spec (mirror/spec.h): URI, credentials, endpoints. Its
// errors are the mirror's: kInvalidArgument, kNotFound (a secret that is not there),
// kPermissionDenied.
using SourceFactory =
    std::function<Result<std::unique_ptr<source::Source>>(const Context&, const store::Mirror&)>;
// The tree of a mirror whose source rests in this origin already; nullopt: make its source and
// fetch. Errors are the mirror's, as above.
using StoredTreeFinder =
    std::function<Result<std::optional<StoredTree>>(const Context&, const store::Mirror&)>;
// After each change of a mirror's row that this process made; from any thread, must not block long.
using MirrorChanged = std::function<void(const std::string& mirror_id)>;

struct MirrorWorkerOptions {
  std::string owner;     // unique to this process and start: the name on its leases
  std::size_t jobs = 2;  // mirrors at the same time
  Duration lease = std::chrono::seconds(30);
  Duration heartbeat = std::chrono::seconds(5);  // also how often progress reaches the row
  Duration poll = std::chrono::seconds(1);       // how often the queue is looked at without a Wake
  // Attempts in a row that fetched nothing. The waits between eight of them are between half and
  // all of 10 + 20 + 40 + 80 + 160 + 300 + 300 s: about eleven minutes.
  int attempts_max = 8;
  // However much they fetched.
  int attempts_hard_max = 100;
  BackoffOptions backoff{.base = std::chrono::seconds(10),
                         .cap = std::chrono::minutes(5),
                         .attempts_max = 8,
                         .retry_after_max = std::chrono::minutes(10)};
  // Asked before a source is made; empty: no source rests here.
  StoredTreeFinder find_stored = {};
  // A random number in [0, 1) for the jitter; never called by two threads at once.
  std::function<double()> random = [] { return 0.5; };
};

// Queues again every mirror that runs under a lease of another process, without waiting for the
// lease to end. Only for whoever knows that no such process lives: it alone may use the metadata.
Status RequeueMirrorsOfDeadWorkers(store::Metadata& metadata, WallTime now);

// Thread-safe.
class MirrorWorker {
 public:
  // Everything is borrowed and must outlive the worker. `changed` may be empty.
  MirrorWorker(store::Metadata& metadata,
               Mirrorer& mirrorer,
               const Clock& clock,
               SourceFactory make_source,
               MirrorChanged changed,
               MirrorWorkerOptions options);

  // Works until `stop` is requested, `options.jobs` mirrors at once, on threads of its own. Mirrors
  // that are running then go back to the queue at once. Returns when all has ended.
  void Run(std::stop_token stop);
  // Something was queued: look now. Cheap.
  void Wake() { queued_.Wake(); }
  // Claims one mirror and runs it to its end; false when there is nothing to do. Errors are those
  // of ClaimMirror: what goes wrong with the mirror itself is on its row.
  Result<bool> RunOne(const Context& ctx);

 private:
  struct Job;
  void Loop(std::stop_token stop);
  void RunJob(const Context& ctx, const store::Mirror& mirror);
  Result<MirrorResult> Mirror(const Context& ctx, Job& job);
  Status OnPin(Job& job, const source::Pin& pin);
  Status OnProgress(Job& job, const store::Progress& progress);
  void Heartbeat(Job& job, std::stop_token end);
  void Finish(Job& job, const MirrorResult& result);
  bool FinishWithOlder(const Context& ctx, Job& job, const Error& error);
  void Fail(Job& job, const Error& error);
  void GiveBack(Job& job);
  int CountFailure(const Job& job);
  void Log(const Job& job, const std::string& what, const Status& status) const;
  void Changed(const std::string& id) const;

  store::Metadata& metadata_;
  Mirrorer& mirrorer_;
  const Clock& clock_;
  const SourceFactory make_source_;
  const MirrorChanged changed_;
  const MirrorWorkerOptions options_;
  Wakeup queued_;
  // Attempts in a row without a fetched byte, of mirrors that failed here. (The row counts all
  // attempts, also those of a machine that was restarted.)
  Guarded<std::map<std::string, int>> failures_;
};

}  // namespace bdn::mirror
