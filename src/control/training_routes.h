#pragma once
#include <string>

#include "control/training.h"
#include "net/server.h"

namespace bdn::control {

// The one path of the training store that needs no key: its query has a ticket
// (auth/file_ticket.h).
inline constexpr std::string_view kTrainingFilesPath = "/v1/training_files";

struct TrainingRoutesDeps {
  TrainingStore& training;
  store::ObjectStore& objects;
  const Clock& clock;
  std::string ticket_key;  // secret, at least 32 bytes, the same on every replica
  // What presigned URLs begin with, "https://bdn.example:7070"; empty: the scheme below and the
  // Host that the caller used.
  std::string public_url;
  bool tls = false;
};

// Adds /v1/training_…  and /v1/loops/…; the routes keep a copy of `deps`.
void AddTrainingRoutes(net::Router& router, const TrainingRoutesDeps& deps);

}  // namespace bdn::control
