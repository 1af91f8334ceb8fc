#include "control/object_routes.h"

#include <fmt/format.h>

namespace bdn::control {
namespace {

using net::ServerRequest;
using net::ServerResponse;

constexpr std::string_view kPattern = "/bdn/{org}/{namespace}/objects/b3/{aa}/{bb}/{hex}";
// Chunks are at most this long when they come in over HTTP; manifests are smaller.
constexpr std::uint64_t kObjectBytesMax = 512ull << 20;

struct ObjectName {
  store::Scope scope;
  crypto::Digest digest;
};

Result<ObjectName> NameOf(const ServerRequest& rq, const std::string& org) {
  BDN_ASSIGN(const crypto::Digest digest, crypto::ParseDigestHex(rq.param("hex")));
  const std::string hex = digest.hex();
  if (rq.param("aa") != hex.substr(0, 2) || rq.param("bb") != hex.substr(2, 2)) {
    return Error(Code::kInvalidArgument, "the path's folders do not match the digest");
  }
  const store::Scope scope{std::string(rq.param("org")), std::string(rq.param("namespace"))};
  BDN_TRY(store::CheckScope(scope));
  // A key of this organisation opens no other's objects, also where they rest in one store.
  if (scope.org != org) {
    return Error(Code::kPermissionDenied, "this control plane serves another organisation");
  }
  return ObjectName{scope, digest};
}

Status ServeObject(store::ObjectStore& objects,
                   const std::string& org,
                   ServerRequest& rq,
                   ServerResponse& rs) {
  BDN_ASSIGN(const ObjectName name, NameOf(rq, org));
  BDN_ASSIGN(const store::OpenObject object, objects.Open(rq.context(), name.scope, name.digest));
  return rs.SendFile({{"Cache-Control", "private, max-age=31536000, immutable"}},
                     {.file = object.file.get(),
                      .offset = object.offset,
                      .size = object.info.stored_bytes,
                      .etag = "\"" + name.digest.ToString() + "\"",
                      .content_type = store::ContentType(object.info.kind, object.info.zstd)});
}

Status TakeObject(store::ObjectStore& objects,
                  const std::string& org,
                  ServerRequest& rq,
                  ServerResponse& rs) {
  BDN_ASSIGN(const ObjectName name, NameOf(rq, org));
  BDN_ASSIGN(const auto type,
             store::ParseContentType(rq.headers().Get("Content-Type").value_or("")));
  if (type.zstd) return Error(Code::kUnsupported, "send the uncompressed bytes");
  BDN_ASSIGN(const std::string body, rq.Body(kObjectBytesMax));
  auto stored =
      objects.Put(rq.context(), name.scope, type.kind, name.digest, std::as_bytes(std::span(body)));
  if (!stored) {
    Error error = std::move(stored).error();
    // The bytes are the caller's, so a mismatch is the caller's.
    if (error.code() == Code::kCorrupt) return std::move(error).WithCode(Code::kInvalidArgument);
    return error;
  }
  return rs.Send(*stored ? 201 : 200, {}, "");
}

}  // namespace

void AddObjectRoutes(net::Router& router, store::ObjectStore& objects, const std::string& org) {
  router.Add("GET", kPattern, [&objects, org](ServerRequest& rq, ServerResponse& rs) {
    return ServeObject(objects, org, rq, rs);
  });
  router.Add("PUT", kPattern, [&objects, org](ServerRequest& rq, ServerResponse& rs) {
    return TakeObject(objects, org, rq, rs);
  });
}

}  // namespace bdn::control
