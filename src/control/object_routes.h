#pragma once
#include "net/server.h"
#include "store/object_store.h"

namespace bdn::control {

// The object surface of the origin: GET, HEAD and PUT of /bdn/<org>/<ns>/objects/b3/aa/bb/<hex>.
// GET serves the bytes as stored (sendfile), with their content type and the digest as entity tag.
// PUT takes uncompressed bytes whose type names the kind and stores them once they match the name.
void AddObjectRoutes(net::Router& router, store::ObjectStore& objects);

}  // namespace bdn::control
