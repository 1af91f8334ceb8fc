// The planner of private mount namespaces, on a host made of the input: the first line is the mount
// location, each further one an entry, "/path" (a directory), "/path=target" (a symbolic link) or
// "/path!" (a file).
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "mount/namespace_plan.h"

namespace {

using bdn::mount::HostEntry;
using bdn::mount::HostKind;

class InputHost final : public bdn::mount::HostView {
 public:
  InputHost() { entries_["/"].kind = HostKind::kDirectory; }
  void Add(std::string_view line) {
    const std::size_t equals = line.find('=');
    HostEntry entry;
    if (equals != std::string_view::npos) {
      entry.kind = HostKind::kSymlink;
      entry.link_target = line.substr(equals + 1);
      line = line.substr(0, equals);
    } else if (line.ends_with('!')) {
      entry.kind = HostKind::kOther;
      line.remove_suffix(1);
    } else {
      entry.kind = HostKind::kDirectory;
    }
    if (line != "/") entries_[std::string(line)] = entry;
  }
  bdn::Result<HostEntry> Look(const std::string& path) const override {
    const auto found = entries_.find(path);
    return found == entries_.end() ? HostEntry() : found->second;
  }
  bdn::Result<std::vector<HostEntry>> List(const std::string&) const override {
    return std::vector<HostEntry>();
  }

 private:
  std::map<std::string, HostEntry> entries_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  InputHost host;
  std::string location;
  for (bool first = true; !text.empty(); first = false) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (first) {
      location = line;
    } else {
      host.Add(line);
    }
  }
  const std::vector<bdn::mount::TreeMount> trees = {{.tree = "/tree", .mount_location = location}};
  const auto plan = bdn::mount::PlanNamespace(trees, host, {});
  if (!plan) return 0;
  const std::string& target = plan->mounts.front().target;
  BDN_CHECK(target.size() > 1 && target.front() == '/' && target.back() != '/');
  const std::string walled = target + '/';
  for (const char* const never : {"/../", "/./", "//"}) {
    BDN_CHECK(walled.find(never) == std::string::npos);
  }
  for (const char* const system : {"/proc/", "/sys/", "/dev/"}) {
    BDN_CHECK(!walled.starts_with(system));
  }
  return 0;
}
