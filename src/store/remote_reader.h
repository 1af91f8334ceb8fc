#pragma once
// The tier above, over HTTP: reads objects of another bdn server's object surface under a grant.
#include <functional>
#include <memory>
#include <string>

#include "net/http.h"
#include "store/object_store.h"

namespace bdn::store {

// Gives the bearer token to read `scope` with: a grant or an API key. `refresh` asks for a new one
// because the last was refused.
using TokenSource =
    std::function<Result<std::string>(const Context&, const Scope& scope, bool refresh)>;

struct RemoteReaderOptions {
  std::string base_url;  // "http://127.0.0.1:7070"
  int attempts_max = 5;  // per object, while no byte arrives
};

// Resumes an object where a connection broke, by Range and If-Match; retries what is worth it;
// checks kind, length and digest. Thread-safe.
std::unique_ptr<ObjectReader> MakeRemoteReader(net::Transport& transport,
                                               TokenSource token,
                                               std::function<double()> random_unit,
                                               RemoteReaderOptions options);

}  // namespace bdn::store
