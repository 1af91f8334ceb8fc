// bdn doctor without a source: what this machine needs to run models and does not have.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/doctor_report.h"

namespace bdn::cli {
namespace {

using source::DoctorStep;
using source::StepState;

// open_tree, move_mount and mount_setattr are all there from this version on.
constexpr int kKernelMajorMin = 5;
constexpr int kKernelMinorMin = 12;
constexpr std::uint64_t kDiskFreeBytesMin = 1ull << 30;  // what the node cache always leaves free

DoctorStep Failed(std::string name, const Error& error, std::string fix) {
  if (!error.hint().empty()) fix = fix.empty() ? error.hint() : fix + ". " + error.hint();
  return {std::move(name), StepState::kFailed, error.message(), std::move(fix)};
}

DoctorStep LookAtKernel() {
  utsname name{};
  if (::uname(&name) != 0) return {"kernel", StepState::kFailed, std::strerror(errno), ""};
  const std::string_view release = name.release;
  int major = 0;
  int minor = 0;
  const char* end = release.data() + release.size();
  const auto first = std::from_chars(release.data(), end, major);
  if (first.ptr != end) std::from_chars(first.ptr + 1, end, minor);
  const std::string detail = fmt::format("Linux {}", release);
  if (major > kKernelMajorMin || (major == kKernelMajorMin && minor >= kKernelMinorMin)) {
    return {"kernel", StepState::kOk, detail, ""};
  }
  return {"kernel", StepState::kFailed, detail,
          fmt::format("mounts need Linux {}.{} or newer", kKernelMajorMin, kKernelMinorMin)};
}

// In a child, as `bdn run` does it: a mount namespace, in a user namespace where that is needed.
// Only calls that are safe between fork and exec. 0, 1 (with a user namespace) or an errno + 2.
DoctorStep LookAtNamespaces() {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool root = ::unshare(CLONE_NEWNS) == 0;
    const bool made = root || ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    // AppArmor may allow the namespace and forbid mounts in it.
    if (made && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) {
      ::_exit(root ? 0 : 1);
    }
    ::_exit(2 + std::min(errno, 200));
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
    return {"namespaces", StepState::kFailed, "no process could be started to try it", ""};
  }
  const int code = WEXITSTATUS(status);
  if (code == 0) return {"namespaces", StepState::kOk, "mounts for one process, as root", ""};
  if (code == 1) {
    return {"namespaces", StepState::kOk,
            "mounts for one process, by a user namespace; bdn mount needs root", ""};
  }
  return {"namespaces", StepState::kFailed,
          fmt::format("no mount namespace: {}", std::strerror(code - 2)),
          "allow user namespaces (sysctl user.max_user_namespaces, "
          "kernel.apparmor_restrict_unprivileged_userns, or the container's seccomp profile), or "
          "run as root"};
}

DoctorStep LookAtDisk(const App& app) {
  const std::string directory = DefaultDataDir(app.env);
  struct statvfs info {};
  std::string path = directory;
  // The directory is made at the first start: its disk is that of the nearest one that is there.
  while (::statvfs(path.c_str(), &info) != 0) {
    const std::size_t slash = path.rfind('/');
    if (slash == 0 || slash == std::string::npos) {
      return {"disk", StepState::kSkipped, "nothing is known of the disk of " + directory, ""};
    }
    path.resize(slash);
  }
  const std::uint64_t bytes = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  const std::string detail =
      fmt::format("{} free for {}", FormatBytes(static_cast<double>(bytes)), directory);
  if (bytes >= kDiskFreeBytesMin) return {"disk", StepState::kOk, detail, ""};
  return {"disk", StepState::kFailed, detail, "make room, or name another directory with --data"};
}

void LookAtServices(const App& app, source::DoctorReport& report) {
  auto connection = Connect(app);
  if (!connection) {
    report.steps.push_back(Failed("control", connection.error(), ""));
    for (const char* name : {"key", "node"}) {
      report.steps.push_back({name, StepState::kSkipped, "no control plane is known", ""});
    }
    return;
  }
  const auto call = [&](api::RestClient& client, const char* path) {
    return client.Call(app.ctx, "GET", path);
  };
  const auto ready = call(*connection->control, "/readyz");
  if (!ready) {
    report.steps.push_back(
        Failed("control", ready.error(), "is `bdn up` or `bdn control` running?"));
    report.steps.push_back({"key", StepState::kSkipped, "a step before it failed", ""});
  } else {
    report.steps.push_back(
        {"control", StepState::kOk, connection->file.url + " answers and is ready", ""});
    const auto keys = call(*connection->control, "/v1/secrets");
    report.steps.push_back(keys ? DoctorStep{"key", StepState::kOk, "the API key is accepted", ""}
                                : Failed("key", keys.error(), ""));
  }
  const auto node = call(*connection->node, "/v1/node/cache");
  report.steps.push_back(
      node ? DoctorStep{"node", StepState::kOk, connection->file.node_url + " answers", ""}
           : Failed("node", node.error(), "is `bdn up` or `bdn agent` running on this machine?"));
}

}  // namespace

ExitCode DoctorMachine(App& app) {
  source::DoctorReport report{.source = "this machine"};
  report.steps = {LookAtKernel(), LookAtNamespaces(), LookAtDisk(app)};
  LookAtServices(app, report);
  return ShowDoctorReport(app, report);
}

}  // namespace bdn::cli
