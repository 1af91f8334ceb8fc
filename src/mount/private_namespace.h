#pragma once
// A mount namespace for one command, in which model trees appear read-only at their mount locations
// while the host's file tree stays as it is. How it is done: mount/namespace_plan.h.
//
//   BDN_ASSIGN(NamespacePlan plan, PlanNamespaceHere(trees));
//   options.in_child = [&]() noexcept { return EnterNamespace(plan); };
//   BDN_ASSIGN(os::Child child, os::Spawn(std::move(options)));
#include <memory>
#include <span>

#include "base/result.h"
#include "mount/namespace_plan.h"
#include "os/process.h"

namespace bdn::mount {

// The machine's file tree as this process sees it.
std::unique_ptr<HostView> MakeHostView();

// PlanNamespace for this process: its user, its working directory, this machine.
Result<NamespacePlan> PlanNamespaceHere(std::span<const TreeMount> trees);

// Moves the calling process, which must have one thread, into a new private mount namespace and
// carries the plan out. Only system calls; the plan is changed in its `fd` fields alone. On failure
// the process is half-way and must exit. The trees' own directories must be readable by the caller.
//
// With CAP_SYS_ADMIN only the mount namespace is new. Without, a user namespace comes with it, in
// which the caller keeps its uid and gid and setgroups is denied; after the exec a caller that is
// not root has no capability in it, and root none to change mounts (CAP_SYS_ADMIN is taken out of
// the bounding set). Mounts of the host that come later are not seen inside.
os::ChildFailure EnterNamespace(NamespacePlan& plan) noexcept;

// The first part of EnterNamespace: an empty plan's effect, without a change of directory.
os::ChildFailure MakePrivateNamespace(const NamespacePlan& plan, bool& new_user) noexcept;

}  // namespace bdn::mount
