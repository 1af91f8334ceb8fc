#pragma once
// Runs posted tasks one by one, in the order that the test chooses, on the test's thread.
#include <deque>
#include <utility>

#include "base/executor.h"

namespace bdn::testing {

class StepExecutor final : public Executor {
 public:
  void Post(Task task) override {
    tasks_.With([&](auto& tasks) { tasks.push_back(std::move(task)); });
  }
  std::size_t pending() const {
    return tasks_.With([](const auto& tasks) { return tasks.size(); });
  }
  // Runs the task at `index`; false when there is none.
  bool RunAt(std::size_t index) {
    Task task = tasks_.With([&](auto& tasks) -> Task {
      if (index >= tasks.size()) return {};
      Task taken = std::move(tasks[index]);
      tasks.erase(tasks.begin() + static_cast<std::ptrdiff_t>(index));
      return taken;
    });
    if (!task) return false;
    task();
    return true;
  }
  void RunAll() {
    while (RunAt(0)) {
    }
  }

 private:
  Guarded<std::deque<Task>> tasks_;
};

}  // namespace bdn::testing
