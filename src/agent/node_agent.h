#pragma once
// The node daemon's decisions, without HTTP: leases on complete trees, and mounts on the host. What
// is leased or mounted is never evicted, not even across a restart of the agent: both are journaled
// before they are promised.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/guarded.h"
#include "base/result.h"
#include "cache/node_cache.h"
#include "mount/mounter.h"
#include "os/fs.h"

namespace boost::json {
class object;
}

namespace bdn::agent {

// Tells whether a process still runs: (pid, start time in clock ticks since boot, or 0 for
// unknown).
class Processes {
 public:
  virtual ~Processes() = default;
  // 0 when there is no such process.
  virtual std::uint64_t StartTime(std::int64_t pid) const = 0;
  // Whether the directory `path` is mounted in any process's mount namespace.
  virtual bool IsMountedAnywhere(const std::string& path) const = 0;
};
// Reads /proc/<pid>/stat and /proc/<pid>/mountinfo.
const Processes& SystemProcesses();

// kInvalidArgument unless `target` is an absolute, normalised path that may be mounted over.
Status CheckMountTarget(const std::string& target);

struct NodeAgentDeps {
  cache::NodeCache& cache;
  mount::Mounter& mounter;
  os::Fs& state;  // the agent's own directory: journal.json
  Executor& fillers;
  const Clock& clock;
  const Processes& processes;
};

// Thread-safe.
class NodeAgent {
 public:
  // Reads the journal: leases of processes that still run and mounts that still stand are taken
  // again, the others are forgotten.
  static Result<std::unique_ptr<NodeAgent>> Open(NodeAgentDeps deps);
  // Stops fills and waits for them; leases and mounts stay in the journal.
  ~NodeAgent();

  // Starts to make the version complete and returns at once; poll GetLease. The lease ends with
  // DropLease or when the process of `request.pid` is gone (ReapLeases).
  Result<api::LeaseBody> StartLease(const api::LeaseRequest& request);
  Result<api::LeaseBody> GetLease(const std::string& id);
  Status DropLease(const std::string& id);

  // Makes the version complete and shows it read-only at `target`, an existing directory. Blocks;
  // nothing is mounted unless it succeeds. An Unmount meanwhile ends it with kCancelled.
  Result<api::NodeMountBody> Mount(const Context& ctx,
                                   const store::Scope& scope,
                                   const std::string& manifest,
                                   const std::string& target,
                                   const std::function<void(const api::ProgressBody&)>& progress);
  Status Unmount(const std::string& target, bool lazy);
  std::vector<api::NodeMountBody> ListMounts();

  // Drops the leases of processes that ended, but for trees that a process they left behind still
  // has mounted. Called by the agent's housekeeping now and then.
  void ReapLeases();

 private:
  struct Lease;
  struct HostMount;
  struct State;
  explicit NodeAgent(NodeAgentDeps deps);
  Status WriteJournal();
  Status ReadJournal();
  Result<std::unique_ptr<cache::TreeLease>> TakeTree(const store::Scope& scope,
                                                     const std::string& manifest);
  bool IsCached(const std::string& manifest);
  void TakeLeaseAgain(const boost::json::object& row);
  void TakeMountAgain(const boost::json::object& row, const std::vector<mount::MountInfo>& mounted);
  void Fill(const std::shared_ptr<Lease>& lease);

  NodeAgentDeps deps_;
  std::stop_source stop_;
  std::unique_ptr<Guarded<State>> state_;
  std::unique_ptr<TaskGroup> fills_;
};

}  // namespace bdn::agent
