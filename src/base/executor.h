#pragma once
// Where work runs. Product code takes an Executor; main() makes ThreadPools, tests pass an
// InlineExecutor or a StepExecutor (base/testing/step_executor.h).
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"

namespace bdn {

using Task = std::move_only_function<void()>;

class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `task` at some time, perhaps before Post returns, perhaps on another thread.
  virtual void Post(Task task) = 0;
};

class InlineExecutor final : public Executor {
 public:
  void Post(Task task) override { task(); }
};

// A fixed number of named threads and one queue. Post blocks while the queue is full. The
// destructor runs what is queued, then joins.
class ThreadPool final : public Executor {
 public:
  struct Options {
    std::string name;  // shown by ps and gdb, cut to 15 characters
    std::size_t threads = 4;
    std::size_t queue_max = 4096;
  };
  explicit ThreadPool(Options options);
  ~ThreadPool() override;
  void Post(Task task) override;

 private:
  struct State {
    std::deque<Task> queue;
    bool closed = false;
  };
  void Run();

  const Options options_;
  Guarded<State> state_;
  std::vector<std::jthread> threads_;
};

// A set of tasks that all end before Wait() returns. The first error cancels the context of the
// others and is what Wait() returns. The waiting thread runs tasks that no worker has taken yet, so
// groups may nest on one pool without a deadlock. A worker that takes up a group runs its tasks
// until none waits.
class TaskGroup {
 public:
  using Work = std::move_only_function<Status(const Context&)>;
  TaskGroup(Executor& executor, const Context& ctx);
  ~TaskGroup();  // waits
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  void Run(Work work);
  Status Wait();

 private:
  struct Shared;
  Executor& executor_;
  std::shared_ptr<Shared> shared_;
};

// Names the calling thread for ps, gdb and logs; cut to 15 characters.
void NameThisThread(const std::string& name);

}  // namespace bdn
