#include "agent/node_agent.h"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "crypto/digest.h"

namespace bdn::agent {
namespace {

namespace json = boost::json;

constexpr std::string_view kJournal = "journal.json";
constexpr std::uint64_t kJournalBytesMax = 64ull << 20;
constexpr std::size_t kLeasesMax = 100'000;

api::ProgressBody ToBody(const cache::FillProgress& p) {
  api::ProgressBody body;
  body.phase = p.phase;
  body.files = p.files;
  body.files_done = p.files_done;
  body.bytes = p.bytes;
  body.bytes_done = p.bytes_done;
  body.bytes_reused = p.bytes_reused;
  body.rate = p.rate;
  if (p.rate > 0 && p.bytes > p.bytes_done) {
    body.eta = static_cast<double>(p.bytes - p.bytes_done) / p.rate;
  }
  return body;
}

std::string Text(const json::object& from, const char* name) {
  const auto* v = from.if_contains(name);
  return v != nullptr && v->is_string() ? std::string(v->as_string()) : std::string();
}

std::int64_t Number(const json::object& from, const char* name) {
  const auto* v = from.if_contains(name);
  boost::system::error_code failed;
  return v != nullptr && v->is_number() ? v->to_number<std::int64_t>(failed) : 0;
}

}  // namespace

Status CheckMountTarget(const std::string& target) {
  if (!target.starts_with('/') || target.size() == 1 || target.find("//") != std::string::npos ||
      (target + "/").find("/../") != std::string::npos ||
      (target + "/").find("/./") != std::string::npos || target.ends_with('/')) {
    return Error(Code::kInvalidArgument,
                 fmt::format("'{}' is not a normalised absolute path below /", target));
  }
  for (const std::string_view system : {"/proc", "/sys", "/dev"}) {
    if (target == system || target.starts_with(std::string(system) + "/")) {
      return Error(Code::kInvalidArgument, fmt::format("'{}' is a system path", target));
    }
  }
  return {};
}

struct NodeAgent::Lease {
  std::string id;
  store::Scope scope;
  std::string manifest;
  std::int64_t pid = 0;
  std::uint64_t start_time = 0;
  std::stop_source stop;
  struct Live {
    std::string state = "filling";
    api::ProgressBody progress;
    std::optional<api::ErrorBody> error;
    std::unique_ptr<cache::TreeLease> tree;
  };
  Guarded<Live> live;

  bool HoldsTree() {
    return live.With([](Live& l) { return l.tree != nullptr; });
  }
  api::LeaseBody Body() {
    return live.With([&](Live& l) {
      const bool ready = l.tree != nullptr && l.state == "ready";
      return api::LeaseBody{id,         l.state, manifest, ready ? l.tree->path() : std::string(),
                            l.progress, l.error};
    });
  }
};

// Its fields are guarded by the agent's state.
struct NodeAgent::HostMount {
  // Busy: somebody mounts or unmounts it right now; whoever wants it waits.
  enum class Phase { kFilling, kBusy, kMounted };
  std::string target;
  store::Scope scope;
  std::string manifest;
  std::stop_source stop;  // of the fill
  Phase phase = Phase::kFilling;
  std::unique_ptr<cache::TreeLease> tree;
};

struct NodeAgent::State {
  std::map<std::string, std::shared_ptr<Lease>> leases;
  std::map<std::string, std::shared_ptr<HostMount>> mounts;  // by target
  bool journal_busy = false;
};

NodeAgent::NodeAgent(NodeAgentDeps deps)
    : deps_(deps),
      state_(std::make_unique<Guarded<State>>()),
      fills_(std::make_unique<TaskGroup>(deps.fillers, Context(deps.clock, stop_.get_token()))) {}

NodeAgent::~NodeAgent() {
  stop_.request_stop();
  state_->With([](State& s) {
    for (auto& [id, lease] : s.leases) lease->stop.request_stop();
  });
  (void)fills_->Wait();
}

Result<std::unique_ptr<NodeAgent>> NodeAgent::Open(NodeAgentDeps deps) {
  std::unique_ptr<NodeAgent> agent(new NodeAgent(deps));
  BDN_TRY(os::RemoveTemporaries(deps.state, ""));
  BDN_TRY(agent->ReadJournal());
  return agent;
}

// One writer at a time: the journal is written outside the lock, from a snapshot taken inside.
Status NodeAgent::WriteJournal() {
  state_->Wait([](State& s) {
    if (s.journal_busy) return false;
    s.journal_busy = true;
    return true;
  });
  json::array leases;
  json::array mounts;
  state_->With([&](State& s) {
    for (const auto& [id, lease] : s.leases) {
      if (!lease->HoldsTree()) continue;
      leases.push_back(json::object{{"id", id},
                                    {"org", lease->scope.org},
                                    {"namespace", lease->scope.ns},
                                    {"manifest", lease->manifest},
                                    {"pid", lease->pid},
                                    {"start_time", lease->start_time}});
    }
    for (const auto& [target, mount] : s.mounts) {
      if (mount->phase == HostMount::Phase::kFilling) continue;
      mounts.push_back(json::object{{"target", target},
                                    {"org", mount->scope.org},
                                    {"namespace", mount->scope.ns},
                                    {"manifest", mount->manifest}});
    }
  });
  const std::string text = json::serialize(
      json::object{{"version", 1}, {"leases", std::move(leases)}, {"mounts", std::move(mounts)}});
  Status written = os::WriteFileDurably(deps_.state, kJournal, text, 0600);
  state_->Change([](State& s) { s.journal_busy = false; });
  return written;
}

Status NodeAgent::ReadJournal() {
  auto text = os::ReadFile(deps_.state, kJournal, kJournalBytesMax);
  if (!text) {
    if (text.error().code() == Code::kNotFound) return {};
    return std::move(text).error();
  }
  boost::system::error_code failed;
  const json::value root = json::parse(*text, failed);
  // Starting with an empty one would let the trees of running models be evicted.
  if (failed || !root.is_object()) {
    return Error(Code::kCorrupt,
                 "the agent's journal " + deps_.state.HostPath(kJournal) + " is damaged")
        .WithHint("when no model runs on this node, remove the file and start the agent again");
  }
  if (const auto* rows = root.as_object().if_contains("leases"); rows && rows->is_array()) {
    for (const auto& row : rows->as_array()) {
      if (row.is_object()) TakeLeaseAgain(row.as_object());
    }
  }
  BDN_ASSIGN(const auto mounted, deps_.mounter.List());
  if (const auto* rows = root.as_object().if_contains("mounts"); rows && rows->is_array()) {
    for (const auto& row : rows->as_array()) {
      if (row.is_object()) TakeMountAgain(row.as_object(), mounted);
    }
  }
  return WriteJournal();
}

Result<std::unique_ptr<cache::TreeLease>> NodeAgent::TakeTree(const store::Scope& scope,
                                                              const std::string& manifest) {
  BDN_ASSIGN(const auto digest, crypto::ParseDigest(manifest));
  const Context ctx(deps_.clock, stop_.get_token());
  return deps_.cache.Acquire(ctx, scope, digest, [](const cache::FillProgress&) {});
}

bool NodeAgent::IsCached(const std::string& manifest) {
  const auto trees = deps_.cache.List();
  return trees && std::any_of(trees->begin(), trees->end(), [&](const auto& tree) {
           return tree.manifest.ToString() == manifest;
         });
}

void NodeAgent::TakeLeaseAgain(const json::object& row) {
  auto lease = std::make_shared<Lease>();
  lease->id = Text(row, "id");
  lease->scope = {Text(row, "org"), Text(row, "namespace")};
  lease->manifest = Text(row, "manifest");
  lease->pid = Number(row, "pid");
  lease->start_time = static_cast<std::uint64_t>(Number(row, "start_time"));
  const std::uint64_t started = deps_.processes.StartTime(lease->pid);
  const bool runs = started != 0 && started == lease->start_time;
  // A process that it left behind may have the tree mounted; what is not here is not mounted.
  if (!runs && !IsCached(lease->manifest)) return;
  auto tree = TakeTree(lease->scope, lease->manifest);
  if (!runs && (!tree || !deps_.processes.IsMountedAnywhere((*tree)->path()))) return;
  if (!tree) {
    log::Warn("a running process's tree could not be leased again",
              {{"pid", std::to_string(lease->pid)}, {"error", tree.error().message()}});
    return;
  }
  lease->live.With([&](Lease::Live& l) {
    l.state = "ready";
    l.progress.phase = "ready";
    l.tree = *std::move(tree);
  });
  state_->With([&](State& s) { s.leases[lease->id] = lease; });
}

void NodeAgent::TakeMountAgain(const json::object& row,
                               const std::vector<mount::MountInfo>& mounted) {
  auto mount = std::make_shared<HostMount>();
  mount->target = Text(row, "target");
  mount->scope = {Text(row, "org"), Text(row, "namespace")};
  mount->manifest = Text(row, "manifest");
  mount->phase = HostMount::Phase::kMounted;
  const auto digest = crypto::ParseDigest(mount->manifest);
  // Else the host was restarted, somebody unmounted it, or what is there now is not ours.
  const bool stands =
      digest && std::any_of(mounted.begin(), mounted.end(), [&](const auto& m) {
        return m.target == mount->target && m.root.find(digest->hex()) != std::string::npos;
      });
  if (!stands) return;
  auto tree = TakeTree(mount->scope, mount->manifest);
  if (tree) {
    mount->tree = *std::move(tree);
  } else {
    log::Warn("the tree of a mount could not be leased again",
              {{"target", mount->target}, {"error", tree.error().message()}});
  }
  state_->With([&](State& s) { s.mounts[mount->target] = mount; });
}

Result<api::LeaseBody> NodeAgent::StartLease(const api::LeaseRequest& request) {
  BDN_TRY(crypto::ParseDigest(request.manifest));
  BDN_TRY(store::CheckScope({request.org, request.ns}));
  auto lease = std::make_shared<Lease>();
  lease->id = "lease_" + os::RandomName();
  lease->scope = {request.org, request.ns};
  lease->manifest = request.manifest;
  lease->pid = request.pid;
  lease->start_time = deps_.processes.StartTime(request.pid);
  if (request.pid <= 0 || lease->start_time == 0) {
    return Error(Code::kInvalidArgument,
                 fmt::format("no process {} runs on this node to hold the lease", request.pid));
  }
  const bool added = state_->With([&](State& s) {
    if (s.leases.size() >= kLeasesMax) return false;
    s.leases[lease->id] = lease;
    return true;
  });
  if (!added) return Error(Code::kResourceExhausted, "too many leases");
  fills_->Run([this, lease](const Context&) -> Status {
    Fill(lease);
    return {};
  });
  return lease->Body();
}

void NodeAgent::Fill(const std::shared_ptr<Lease>& lease) {
  const Context ctx = Context(deps_.clock, stop_.get_token()).WithStop(lease->stop.get_token());
  auto tree = [&]() -> Result<std::unique_ptr<cache::TreeLease>> {
    BDN_ASSIGN(const auto digest, crypto::ParseDigest(lease->manifest));
    return deps_.cache.Acquire(ctx, lease->scope, digest, [&](const cache::FillProgress& p) {
      lease->live.With([&](Lease::Live& l) { l.progress = ToBody(p); });
    });
  }();
  Status journaled;
  if (tree) {
    lease->live.With([&](Lease::Live& l) { l.tree = *std::move(tree); });
    journaled = WriteJournal();  // before it is promised
  } else {
    journaled = std::move(tree).error();
  }
  lease->live.With([&](Lease::Live& l) {
    if (journaled) {
      l.state = "ready";
      l.progress.phase = "ready";
      return;
    }
    l.state = "failed";
    l.progress.phase = "failed";
    l.error = api::ToErrorBody(journaled.error());
    l.tree.reset();
  });
}

Result<api::LeaseBody> NodeAgent::GetLease(const std::string& id) {
  const auto lease = state_->With([&](State& s) -> std::shared_ptr<Lease> {
    const auto it = s.leases.find(id);
    return it == s.leases.end() ? nullptr : it->second;
  });
  if (!lease) return Error(Code::kNotFound, "no lease " + id + " on this node");
  return lease->Body();
}

Status NodeAgent::DropLease(const std::string& id) {
  const auto lease = state_->With([&](State& s) -> std::shared_ptr<Lease> {
    const auto node = s.leases.extract(id);
    return node.empty() ? nullptr : node.mapped();
  });
  if (!lease) return {};
  lease->stop.request_stop();
  return WriteJournal();
}

void NodeAgent::ReapLeases() {
  const auto leases = state_->With([](State& s) { return s.leases; });
  for (const auto& [id, lease] : leases) {
    if (deps_.processes.StartTime(lease->pid) == lease->start_time) continue;
    const std::string path = lease->Body().path;
    if (!path.empty() && deps_.processes.IsMountedAnywhere(path)) continue;
    log::Info("a process ended without giving its lease back", {{"lease", id}});
    if (auto dropped = DropLease(id); !dropped) {
      log::Warn("journal not written", {{"error", dropped.error().message()}});
    }
  }
}

Result<api::NodeMountBody> NodeAgent::Mount(
    const Context& ctx,
    const store::Scope& scope,
    const std::string& manifest,
    const std::string& target,
    const std::function<void(const api::ProgressBody&)>& progress) {
  BDN_TRY(CheckMountTarget(target));
  BDN_ASSIGN(const auto digest, crypto::ParseDigest(manifest));
  BDN_TRY(store::CheckScope(scope));
  auto mount = std::make_shared<HostMount>();
  mount->target = target;
  mount->scope = scope;
  mount->manifest = manifest;
  // The name is taken first, so that two calls cannot mount over each other.
  const bool fresh =
      state_->With([&](State& s) { return s.mounts.try_emplace(target, mount).second; });
  if (!fresh) {
    return Error(Code::kAlreadyExists, "bdn has mounted something at " + target + " already")
        .WithHint("`bdn unmount " + target + "` first");
  }
  const Status done = [&]() -> Status {
    const Context fill_ctx = ctx.WithStop(mount->stop.get_token());
    BDN_ASSIGN(auto tree, deps_.cache.Acquire(fill_ctx, scope, digest,
                                              [&](const auto& p) { progress(ToBody(p)); }));
    const std::string path = tree->path();
    const bool wanted = state_->With([&](State& s) {
      const auto it = s.mounts.find(target);
      if (it == s.mounts.end() || it->second != mount) return false;
      mount->tree = std::move(tree);
      mount->phase = HostMount::Phase::kBusy;
      return true;
    });
    if (!wanted) return Error(Code::kCancelled, target + " was unmounted before it was ready");
    BDN_TRY(WriteJournal());
    return deps_.mounter.BindReadOnly(path, target);
  }();
  bool forget = false;
  state_->Change([&](State& s) {
    if (done) {
      mount->phase = HostMount::Phase::kMounted;
      return;
    }
    forget = mount->phase == HostMount::Phase::kBusy;
    const auto it = s.mounts.find(target);
    if (it != s.mounts.end() && it->second == mount) s.mounts.erase(it);
  });
  if (!done) {
    // A journal that still names it is put right by the next start: nothing stands there.
    if (forget) (void)WriteJournal();
    return done.error();
  }
  api::NodeMountBody body;
  body.id = target;
  body.target = target;
  body.org = scope.org;
  body.ns = scope.ns;
  body.manifest = manifest;
  body.state = "ready";
  body.progress.phase = "ready";
  return body;
}

Status NodeAgent::Unmount(const std::string& target, bool lazy) {
  enum class Found { kNothing, kFilling, kMounted } found = Found::kNothing;
  std::shared_ptr<HostMount> mount;
  state_->Wait([&](State& s) {
    found = Found::kNothing;
    const auto it = s.mounts.find(target);
    if (it == s.mounts.end()) return true;
    mount = it->second;
    if (mount->phase == HostMount::Phase::kBusy) return false;
    found = mount->phase == HostMount::Phase::kMounted ? Found::kMounted : Found::kFilling;
    if (found == Found::kFilling) {
      s.mounts.erase(it);  // Mount sees that it is not wanted any more
    } else {
      mount->phase = HostMount::Phase::kBusy;
    }
    return true;
  });
  if (found == Found::kNothing) {
    return Error(Code::kNotFound, "bdn has mounted nothing at " + target)
        .WithHint("`bdn mount --list` shows what is mounted");
  }
  if (found == Found::kFilling) {
    mount->stop.request_stop();
    return {};
  }
  auto unmounted = deps_.mounter.Unmount(target, lazy);
  // Gone already is what was asked for.
  const bool gone = unmounted || unmounted.error().code() == Code::kNotFound;
  state_->Change([&](State& s) {
    mount->phase = HostMount::Phase::kMounted;
    if (gone) s.mounts.erase(target);
  });
  if (!gone) return unmounted;
  return WriteJournal();
}

std::vector<api::NodeMountBody> NodeAgent::ListMounts() {
  return state_->With([](State& s) {
    std::vector<api::NodeMountBody> bodies;
    for (const auto& [target, mount] : s.mounts) {
      api::NodeMountBody body;
      body.id = target;
      body.target = target;
      body.org = mount->scope.org;
      body.ns = mount->scope.ns;
      body.manifest = mount->manifest;
      const bool ready = mount->phase == HostMount::Phase::kMounted;
      body.state = ready ? "ready" : "filling";
      body.progress.phase = body.state;
      bodies.push_back(std::move(body));
    }
    return bodies;
  });
}

}  // namespace bdn::agent
