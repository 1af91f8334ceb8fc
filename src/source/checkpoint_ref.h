#pragma once
// From a bt:// URI to one complete checkpoint. One set of rules for our own training store and for
// those of others: both give lists, this decides.
#include <string>
#include <vector>

#include "api/training.h"
#include "base/context.h"
#include "base/result.h"
#include "model/source_uri.h"

namespace bdn::source {

// What a training store can list. Lists are in the store's order, which decides only between
// entries of the same age: the later one is the newer one.
class CheckpointCatalogue {
 public:
  virtual ~CheckpointCatalogue() = default;
  virtual Result<std::vector<api::TrainingProjectBody>> Projects(const Context& ctx) = 0;
  virtual Result<std::vector<api::TrainingJobBody>> Jobs(const Context& ctx,
                                                         const std::string& project_id) = 0;
  virtual Result<std::vector<api::CheckpointBody>> Checkpoints(const Context& ctx,
                                                               const std::string& project_id,
                                                               const std::string& job_id) = 0;
  // The checkpoints of a loops run; `target` of each is "trainer" or "sampler".
  virtual Result<std::vector<api::CheckpointBody>> LoopsCheckpoints(const Context& ctx,
                                                                    const std::string& run_id) = 0;
};

// The rules:
//   project      by name, else by id;
//   job          as named, or `latest`: the newest job that has a complete checkpoint;
//   checkpoint   as named, or the newest complete one of that job;
//   loops        the run's checkpoint of that name and target (weights: trainer, sampler_weights:
//                sampler). A list that does not say whether a checkpoint is complete has complete
//                ones only: loops does not say it.
// Never one that is still SYNCING. The result has project and job ids filled in.
// Errors: kNotFound with what there is instead, and those of the catalogue.
Result<api::CheckpointBody> ResolveCheckpoint(const Context& ctx,
                                              CheckpointCatalogue& catalogue,
                                              const model::SourceUri& uri);

// "sampler_weights" → "sampler", "weights" → "trainer".
std::string_view LoopsTarget(std::string_view kind);

// What tells a checkpoint from every other one of its job, as a bt:// URI says it: a run may have
// weights/s1 and sampler_weights/s1. The name alone where the list gives no target.
std::string QualifiedName(const api::CheckpointBody& checkpoint);

}  // namespace bdn::source
