// `bdn checkpoint push --watch`: the loop around mirror::TreeWatch.
#include <algorithm>

#include <fmt/format.h>

#include "cli/app.h"
#include "cli/checkpoint_push.h"
#include "mirror/tree_watch.h"
#include "os/real_fs.h"

namespace bdn::cli {
namespace {

constexpr Duration kPollMax = std::chrono::seconds(2);
constexpr Duration kPollMin = std::chrono::milliseconds(50);
constexpr Duration kUnreachableWait = std::chrono::seconds(5);

class Watcher {
 public:
  Watcher(App& app, const CheckpointOptions& options, const Connection& connection)
      : app_(app),
        options_(options),
        connection_(connection),
        pusher_(app, connection, options),
        dir_(AbsolutePath(options.dir)) {}

  Status Run() {
    BDN_TRY(pusher_.Open());
    BDN_TRY(AwaitDirectory());
    BDN_ASSIGN(const auto root, os::OpenRealFs(dir_));
    mirror::TreeWatchOptions rules{.quiet = quiet()};
    if (!options_.complete_marker.empty()) rules.markers = {options_.complete_marker};
    mirror::TreeWatch watch(*root, rules);
    BDN_TRY(SettleKnown(watch));
    app_.terminal.Err(
        fmt::format("watching {} for checkpoints of bt://{}@{}; stop it with Ctrl-C\n", dir_,
                    options_.project, options_.job));
    for (;;) {
      BDN_ASSIGN(const auto found, watch.Look(app_.ctx.clock().Monotonic()));
      for (const auto& one : found) BDN_TRY(PushOne(watch, one.name));
      BDN_TRY(app_.ctx.Sleep(poll()));
    }
  }

 private:
  Duration quiet() const {
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(options_.quiet_seconds));
  }
  Duration poll() const { return std::clamp(quiet() / 4, kPollMin, kPollMax); }

  // The training may not have made it yet.
  Status AwaitDirectory() {
    bool told = false;
    for (;;) {
      const auto root = os::OpenRealFs(dir_);
      if (root || root.error().code() != Code::kNotFound) {
        return root ? Status() : Status(root.error());
      }
      if (!std::exchange(told, true)) app_.terminal.Err("waiting for " + dir_ + "\n");
      BDN_TRY(app_.ctx.Sleep(poll()));
    }
  }

  // What an earlier watcher completed need not be read again.
  Status SettleKnown(mirror::TreeWatch& watch) {
    BDN_ASSIGN(const std::string body,
               connection_.control->Call(app_.ctx, "GET", pusher_.job_path() + "/checkpoints"));
    BDN_ASSIGN(const auto checkpoints, api::CheckpointsFromJson(body));
    for (const auto& c : checkpoints) {
      if (api::IsComplete(c)) watch.Settle(c.name);
    }
    return {};
  }

  // Errors: those after which watching makes no sense.
  Status PushOne(mirror::TreeWatch& watch, const std::string& name) {
    const std::string dir = dir_ + "/" + name;
    auto pushed = pusher_.Push(dir, name);
    if (pushed) {
      watch.Settle(name);
      PrintPushed(app_, options_, *pushed);
      return {};
    }
    const Error& error = pushed.error();
    switch (error.code()) {
      case Code::kCancelled:
      case Code::kUnauthenticated:
      case Code::kPermissionDenied:
        return error;
      case Code::kAlreadyExists:
      case Code::kInvalidArgument:
      case Code::kUnsupported:
        app_.terminal.ShowWarning(name + " is not pushed: " + error.message());
        watch.Settle(name);
        return {};
      case Code::kNotFound:
      case Code::kFailedPrecondition:
        // It is written again, or was removed to make room: its time begins anew.
        if (!os::OpenRealFs(dir)) {
          app_.terminal.ShowWarning(name + " was removed before it was pushed");
          (void)connection_.control->Call(app_.ctx, "DELETE",
                                          CheckpointPath(pusher_.job_path(), name));
        }
        watch.StartOver(name);
        return {};
      default:
        app_.terminal.ShowWarning(error.message() + "; trying again");
        return app_.ctx.Sleep(kUnreachableWait);
    }
  }

  App& app_;
  const CheckpointOptions& options_;
  const Connection& connection_;
  CheckpointPusher pusher_;
  const std::string dir_;
};

}  // namespace

ExitCode WatchCheckpoints(App& app, const CheckpointOptions& options) {
  if (!options.name.empty()) {
    return Error(Code::kInvalidArgument,
                 "--name and --watch exclude each other: a watched checkpoint has the name of its "
                 "directory");
  }
  BDN_ASSIGN(const Connection connection, Connect(app));
  Watcher watcher(app, options, connection);
  const Status ended = watcher.Run();
  if (!ended && ended.error().code() != Code::kCancelled) return ended.error();
  app.terminal.Err("stopped; run it again to go on where it was\n");
  return 0;
}

}  // namespace bdn::cli
