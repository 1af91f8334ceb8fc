#pragma once
// docs/openapi.json, to hold routes and answers against.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bdn::api::testing {

// "METHOD /path" of every operation with that tag, sorted.
std::vector<std::string> DocumentedRoutes(std::string_view tag);
// The same form and order for Router::Routes(): "{name...}" becomes "{name}".
std::vector<std::string> SortedRoutes(std::vector<std::string> routes);
// What is wrong with a JSON answer of an operation ("GET /v1/deployments/{id}"), one sentence each:
// properties that the document does not name, required ones that are missing, other JSON types.
// Also when the document has no such operation, status or JSON body.
std::vector<std::string> Deviations(std::string_view operation, int status, std::string_view json);

}  // namespace bdn::api::testing
