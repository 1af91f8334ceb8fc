#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "agent/node_agent.h"

namespace bdn::agent {
namespace {

// proc_pid_stat(5): field 22 is the start time. The name in field 2 may hold blanks and
// parentheses, so fields are counted from the last ')'.
class ProcFs final : public Processes {
 public:
  std::uint64_t StartTime(std::int64_t pid) const override {
    if (pid <= 0) return 0;
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(file, line)) return 0;
    const std::size_t close = line.rfind(')');
    if (close == std::string::npos) return 0;
    std::istringstream rest(line.substr(close + 1));
    std::string word;
    constexpr int kStartTimeAfterName = 20;
    for (int i = 0; i < kStartTimeAfterName; ++i) {
      if (!(rest >> word)) return 0;
      if (i == 0 && word == "Z") return 0;  // ended, waiting to be collected
    }
    return std::strtoull(word.c_str(), nullptr, 10);
  }

  // proc_pid_mountinfo(5): field 4 is the mounted directory's path within its own file system, so
  // an absolute path of ours ends with it. A directory that was removed would have "//deleted"
  // behind.
  bool IsMountedAnywhere(const std::string& path) const override {
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", failed)) {
      const std::string pid = entry.path().filename().string();
      if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
      std::ifstream file("/proc/" + pid + "/mountinfo");
      for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        std::string id, parent, device, root;
        if (!(fields >> id >> parent >> device >> root)) continue;
        const bool tree = root.find("/trees/") != std::string::npos;
        if (tree && path.ends_with(root)) return true;
      }
    }
    return false;
  }
};

}  // namespace

const Processes& SystemProcesses() {
  static const ProcFs processes;
  return processes;
}

}  // namespace bdn::agent
