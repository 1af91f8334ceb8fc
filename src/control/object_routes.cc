#include "control/object_routes.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "model/manifest.h"
#include "net/text.h"

namespace bdn::control {
namespace {

using net::ServerRequest;
using net::ServerResponse;

constexpr std::string_view kPattern = "/bdn/{org}/{namespace}/objects/b3/{aa}/{bb}/{hex}";
// Chunks are at most this long when they come in over HTTP; manifests and chunkmaps are smaller.
constexpr std::uint64_t kObjectBytesMax = 512ull << 20;
// How many bytes show that a chunk could be read as a typed object (formats/directory-store.md).
constexpr std::string_view kTypedBegin = "\x50\x2a\x4d\x18";

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

// Goes to the store while it arrives: an upload holds one piece in memory, whatever its size. The
// rare chunk that may not rest as it is comes as a whole.
class ChunkUpload {
 public:
  ChunkUpload(const Context& ctx,
              store::ObjectStore& objects,
              const ObjectName& name,
              std::uint64_t expected_bytes)
      : ctx_(ctx), objects_(objects), name_(name), expected_bytes_(expected_bytes) {}

  Status Take(std::span<const std::byte> piece) {
    if (piece.size() > kObjectBytesMax - bytes_) return TooLarge();
    bytes_ += piece.size();
    if (writer_) return writer_->Write(piece);
    held_.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    if (whole_ || held_.size() < kTypedBegin.size()) return {};
    whole_ = held_.starts_with(kTypedBegin);
    if (whole_) return {};
    BDN_ASSIGN(writer_, objects_.StartChunk(ctx_, name_.scope, expected_bytes_));
    whole_ = writer_ == nullptr;
    if (whole_) return {};
    const std::string begin = std::exchange(held_, {});
    return writer_->Write(std::as_bytes(std::span(begin)));
  }

  Result<bool> Finish() {
    if (writer_) return writer_->Commit(ctx_, name_.digest);
    return objects_.Put(ctx_, name_.scope, store::ObjectKind::kChunk, name_.digest,
                        std::as_bytes(std::span(held_)));
  }

  static Error TooLarge() {
    return Error(Code::kResourceExhausted,
                 fmt::format("an object has at most {} bytes", kObjectBytesMax));
  }

 private:
  const Context& ctx_;
  store::ObjectStore& objects_;
  const ObjectName& name_;
  const std::uint64_t expected_bytes_;
  std::uint64_t bytes_ = 0;
  std::unique_ptr<store::ChunkWriter> writer_;
  std::string held_;    // what has come and no writer has yet
  bool whole_ = false;  // there will be no writer
};

Result<bool> TakeChunk(store::ObjectStore& objects, const ObjectName& name, ServerRequest& rq) {
  const auto length = rq.headers().Get("Content-Length");
  const std::uint64_t expected = length ? net::ParseDecimal(*length).value_or(0) : 0;
  if (expected > kObjectBytesMax) {
    auto refused = rq.Body(kObjectBytesMax);  // answers 413 without reading it
    return refused ? ChunkUpload::TooLarge() : std::move(refused).error();
  }
  ChunkUpload upload(rq.context(), objects, name, expected);
  BDN_TRY(rq.ReadBody([&](std::span<const std::byte> piece) { return upload.Take(piece); }));
  return upload.Finish();
}

// What a manifest or a chunkmap names must be in its own namespace before it is: otherwise whoever
// knows a digest could show himself the bytes of another namespace that a node has cached.
Status CheckChildren(const Context& ctx,
                     store::ObjectStore& objects,
                     const store::Scope& scope,
                     store::ObjectKind kind,
                     std::string_view body) {
  std::vector<crypto::Digest> children;
  if (kind == store::ObjectKind::kManifest) {
    BDN_ASSIGN(const model::Manifest manifest, model::ParseManifest(body));
    for (const auto& entry : manifest.entries) {
      if (entry.digest) children.push_back(*entry.digest);
    }
  } else {
    BDN_ASSIGN(const model::Chunkmap map, model::ParseChunkmap(body));
    for (const auto& chunk : map.chunks) children.push_back(chunk.digest);
  }
  BDN_ASSIGN(const auto missing, objects.TouchAll(ctx, scope, children));
  if (!missing) return {};
  return Error(Code::kFailedPrecondition,
               fmt::format("the {} names {}, which namespace '{}' does not have",
                           kind == store::ObjectKind::kManifest ? "manifest" : "chunkmap",
                           missing->ToString(), scope.ns))
      .WithHint("upload chunks first, then chunkmaps, then the manifest");
}

Result<bool> TakeTyped(store::ObjectStore& objects,
                       const ObjectName& name,
                       store::ObjectKind kind,
                       ServerRequest& rq) {
  BDN_ASSIGN(const std::string body, rq.Body(model::kManifestBytesMax));
  if (auto checked = CheckChildren(rq.context(), objects, name.scope, kind, body); !checked) {
    Error error = std::move(checked).error();
    if (error.code() == Code::kCorrupt) return std::move(error).WithCode(Code::kInvalidArgument);
    return error;
  }
  return objects.Put(rq.context(), name.scope, kind, name.digest, std::as_bytes(std::span(body)));
}

Status TakeObject(store::ObjectStore& objects,
                  const std::string& org,
                  ServerRequest& rq,
                  ServerResponse& rs) {
  BDN_ASSIGN(const ObjectName name, NameOf(rq, org));
  BDN_ASSIGN(const auto type,
             store::ParseContentType(rq.headers().Get("Content-Type").value_or("")));
  if (type.zstd) return Error(Code::kUnsupported, "send the uncompressed bytes");
  auto stored = type.kind == store::ObjectKind::kChunk ? TakeChunk(objects, name, rq)
                                                       : TakeTyped(objects, name, type.kind, rq);
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
