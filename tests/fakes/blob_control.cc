// The stand-in's own interface below /_fake/, for tests in other processes.
#include <utility>

#include "codec/json.h"
#include "fakes/blob_fake.h"

namespace bdn::fakes {
namespace {

constexpr std::uint64_t kControlBodyBytesMax = 16u << 20;

Result<boost::json::value> ControlBody(net::ServerRequest& request) {
  BDN_ASSIGN(const std::string body, request.Body(kControlBodyBytesMax));
  return codec::ParseJson(body);
}

}  // namespace

Status BlobFake::ControlPut(net::ServerRequest& request) {
  BDN_ASSIGN(const auto json, ControlBody(request));
  const codec::JsonView root(json);
  BDN_ASSIGN(const auto account, root.String("account"));
  BDN_ASSIGN(const auto container, root.String("container"));
  BDN_ASSIGN(const auto directory, root.StringOr("dir", ""));
  if (!directory.empty()) return PutDirectory(account, container, directory);
  BDN_ASSIGN(const auto name, root.String("name"));
  FakeBlob blob;
  BDN_ASSIGN(auto text, root.StringOr("text", ""));
  BDN_ASSIGN(blob.tier, root.StringOr("tier", "Hot"));
  BDN_ASSIGN(blob.md5, root.StringOr("md5", ""));
  BDN_ASSIGN(const auto folder, root.BoolOr("folder", false));
  if (folder) blob.metadata["hdi_isfolder"] = "true";
  blob.content = MakeContent(std::move(text));
  Put(account, container, name, std::move(blob));
  return {};
}

Status BlobFake::Control(net::ServerRequest& request, net::ServerResponse& response) {
  const std::string call =
      std::string(request.method()) + " " + std::string(request.path().substr(7));
  if (call == "GET log") {
    return response.Send(200, {{"Content-Type", "application/json"}}, log_.ToJson());
  }
  if (call == "DELETE log") {
    log_.Clear();
  } else if (call == "POST faults") {
    BDN_ASSIGN(const auto json, ControlBody(request));
    BDN_ASSIGN(auto fault, ParseFault(json));
    faults_.Add(std::move(fault));
  } else if (call == "DELETE faults") {
    faults_.Clear();
  } else if (call == "POST put") {
    BDN_TRY(ControlPut(request));
  } else {
    return Error(Code::kNotFound, "there is no " + call + " below /_fake/; see README.md");
  }
  return response.Send(204, {}, {});
}

}  // namespace bdn::fakes
