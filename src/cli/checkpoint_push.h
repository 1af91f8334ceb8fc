#pragma once
// One push of a checkpoint directory, for `bdn checkpoint push` with and without --watch.
#include <memory>
#include <optional>
#include <string>

#include "api/training.h"
#include "base/executor.h"
#include "cli/app.h"
#include "mirror/tree_push.h"

namespace bdn::cli {

struct PushedCheckpoint {
  api::CheckpointBody checkpoint;
  mirror::PushProgress progress;
};

// The project and the job are made by Open where they are missing. Not thread-safe.
class CheckpointPusher {
 public:
  CheckpointPusher(const App& app, const Connection& connection, const CheckpointOptions& options);

  Status Open();
  // "/v1/training_projects/<project>/jobs/<job>", once it is open.
  const std::string& job_path() const { return job_path_; }

  // Uploads what the origin lacks of `dir` and completes the checkpoint `name`.
  // Errors: kFailedPrecondition when something below `dir` changed meanwhile, or the marker is not
  //         there: then nothing is visible. kAlreadyExists: complete with other content.
  Result<PushedCheckpoint> Push(const std::string& dir, const std::string& name);

 private:
  const App& app_;
  const Connection& connection_;
  const CheckpointOptions& options_;
  std::string job_path_;
  ThreadPool pool_;
};

std::string CheckpointPath(const std::string& job_path, const std::string& name);
void PrintPushed(const App& app, const CheckpointOptions& options, const PushedCheckpoint& pushed);
// Pushes what appears below options.dir until it is stopped.
ExitCode WatchCheckpoints(App& app, const CheckpointOptions& options);

}  // namespace bdn::cli
