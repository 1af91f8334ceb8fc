#include "base/executor.h"

#include <atomic>
#include <optional>
#include <utility>

#include <pthread.h>

namespace bdn {

namespace {
constexpr std::size_t kTicketsMax = 64;
}

void NameThisThread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

ThreadPool::ThreadPool(Options options) : options_(std::move(options)) {
  threads_.reserve(options_.threads);
  for (std::size_t i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

ThreadPool::~ThreadPool() {
  state_.Change([](State& s) { s.closed = true; });
  threads_.clear();
}

void ThreadPool::Post(Task task) {
  state_.Wait([&](State& s) {
    if (s.queue.size() >= options_.queue_max) return false;
    s.queue.push_back(std::move(task));
    return true;
  });
  state_.Change([](State&) {});
}

void ThreadPool::Run() {
  NameThisThread(options_.name);
  for (;;) {
    std::optional<Task> task;
    state_.Wait([&](State& s) {
      if (s.queue.empty()) return s.closed;
      task = std::move(s.queue.front());
      s.queue.pop_front();
      return true;
    });
    if (!task) return;
    state_.Change([](State&) {});
    (*task)();
  }
}

// Tasks wait here, not in the executor: the executor holds only a few tickets that say "run tasks
// of this group", so that the thread in Wait() can run them too, and a group of very many tasks
// never fills the executor's queue (a worker that posts to a full queue would wait for itself).
struct TaskGroup::Shared {
  struct State {
    std::deque<Work> waiting;
    std::size_t running = 0;
    std::size_t tickets = 0;  // posted to the executor and not yet ended
    std::optional<Error> first_error;
  };
  explicit Shared(const Context& parent) : context(parent.WithStop(stop.get_token())) {}
  std::stop_source stop;
  Context context;
  Guarded<State> state;

  // Runs one task if there is one.
  bool RunOne() {
    std::optional<Work> work;
    state.With([&](State& s) {
      if (s.waiting.empty()) return;
      work = std::move(s.waiting.front());
      s.waiting.pop_front();
      s.running += 1;
    });
    if (!work) return false;
    Status status = context.Check();
    if (status) status = (*work)(context);
    work.reset();  // what the task captured dies before the group is seen as done
    bool failed = false;
    state.Change([&](State& s) {
      s.running -= 1;
      if (!status && !s.first_error) {
        s.first_error = std::move(status).error();
        failed = true;
      }
    });
    if (failed) stop.request_stop();
    return true;
  }
};

TaskGroup::TaskGroup(Executor& executor, const Context& ctx)
    : executor_(executor), shared_(std::make_shared<Shared>(ctx)) {}

TaskGroup::~TaskGroup() {
  (void)Wait();
}

void TaskGroup::Run(Work work) {
  const bool post = shared_->state.With([&](Shared::State& s) {
    s.waiting.push_back(std::move(work));
    if (s.tickets >= kTicketsMax) return false;
    s.tickets += 1;
    return true;
  });
  if (!post) return;
  executor_.Post([shared = shared_] {
    while (shared->RunOne()) {
    }
    shared->state.With([](Shared::State& s) { s.tickets -= 1; });
    // What came in between the last look and giving the ticket back.
    while (shared->RunOne()) {
    }
  });
}

Status TaskGroup::Wait() {
  while (shared_->RunOne()) {
  }
  shared_->state.Wait([](Shared::State& s) { return s.running == 0 && s.waiting.empty(); });
  return shared_->state.With([](Shared::State& s) -> Status {
    if (s.first_error) return *s.first_error;
    return {};
  });
}

}  // namespace bdn
