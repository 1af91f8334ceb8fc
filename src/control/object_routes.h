#pragma once
#include <string>

#include "net/server.h"
#include "store/object_store.h"

namespace bdn::control {

// The object surface of the origin: GET, HEAD and PUT of /bdn/<org>/<ns>/objects/b3/aa/bb/<hex>.
// GET serves the bytes as stored (sendfile), with their content type and the digest as entity tag.
// PUT takes uncompressed bytes whose type names the kind and stores them once they match the name.
// Other organisations than `org` are kPermissionDenied.
void AddObjectRoutes(net::Router& router, store::ObjectStore& objects, const std::string& org);

}  // namespace bdn::control
