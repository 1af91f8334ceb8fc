// The stand-in's own interface below /_fake/, for tests in other processes.
#include <utility>

#include <boost/json/object.hpp>

#include "codec/json.h"
#include "fakes/hub_fake.h"

namespace bdn::fakes {
namespace {

constexpr std::uint64_t kBodyBytesMax = 16u << 20;
const net::Headers kJson{{"Content-Type", "application/json"}};

Result<boost::json::value> JsonBody(net::ServerRequest& request) {
  BDN_ASSIGN(const std::string body, request.Body(kBodyBytesMax));
  return codec::ParseJson(body);
}

}  // namespace

Result<std::string> HubFake::ControlCommit(net::ServerRequest& request) {
  BDN_ASSIGN(const auto json, JsonBody(request));
  const codec::JsonView root(json);
  BDN_ASSIGN(const auto kind, root.StringOr("kind", "models"));
  BDN_ASSIGN(const auto id, root.String("repo"));
  BDN_ASSIGN(const auto branch, root.StringOr("branch", "main"));
  BDN_ASSIGN(const auto directory, root.StringOr("dir", ""));
  if (!directory.empty()) return CommitDirectory(kind, id, directory, branch);
  HubCommit commit{.branch = branch};
  BDN_ASSIGN(commit.removed, root.StringsOr("removed"));
  BDN_ASSIGN(const auto files, root.Find("files"));
  if (files && files->value().is_object()) {
    for (const auto& member : files->value().get_object()) {
      BDN_ASSIGN(auto text, files->String(member.key()));
      commit.files[std::string(member.key())] = MakeContent(std::move(text));
    }
  }
  return Commit(kind, id, std::move(commit));
}

Status HubFake::ControlRepository(net::ServerRequest& request) {
  BDN_ASSIGN(const auto json, JsonBody(request));
  const codec::JsonView root(json);
  BDN_ASSIGN(const auto kind, root.StringOr("kind", "models"));
  BDN_ASSIGN(const auto id, root.String("repo"));
  const bool exists =
      store_.With([&](const HubStore& store) { return store.Find(kind, id) != nullptr; });
  if (!exists) BDN_TRY(AddRepository({.kind = kind, .id = id}));
  BDN_ASSIGN(const auto is_private, root.Find("private"));
  BDN_ASSIGN(const auto gated, root.Find("gated"));
  BDN_ASSIGN(const auto disabled, root.Find("disabled"));
  BDN_TRY(Change(kind, id, [&](HubRepository& repository) {
    if (is_private) repository.is_private = is_private->AsBool().value_or(false);
    if (gated) repository.gated = gated->AsBool().value_or(false);
    if (disabled) repository.disabled = disabled->AsBool().value_or(false);
  }));
  BDN_ASSIGN(const auto ref, root.StringOr("ref", ""));
  if (!ref.empty()) {
    BDN_ASSIGN(const auto commit, root.String("commit"));
    BDN_TRY(SetRef(kind, id, ref, commit));
  }
  BDN_ASSIGN(const auto rename_to, root.StringOr("rename_to", ""));
  if (!rename_to.empty()) return Rename(kind, id, rename_to);
  return {};
}

Status HubFake::Control(net::ServerRequest& request, net::ServerResponse& response) {
  const std::string call =
      std::string(request.method()) + " " + std::string(request.path().substr(7));
  if (call == "GET log") return response.Send(200, kJson, log_.ToJson());
  if (call == "DELETE log") {
    log_.Clear();
    return response.Send(204, {}, {});
  }
  if (call == "POST faults") {
    BDN_ASSIGN(const auto json, JsonBody(request));
    BDN_ASSIGN(auto fault, ParseFault(json));
    faults_.Add(std::move(fault));
    return response.Send(204, {}, {});
  }
  if (call == "DELETE faults") {
    faults_.Clear();
    return response.Send(204, {}, {});
  }
  if (call == "POST commit") {
    BDN_ASSIGN(const std::string sha, ControlCommit(request));
    return response.Send(200, kJson, codec::SerializeJson(boost::json::object{{"sha", sha}}));
  }
  if (call == "POST repository") {
    BDN_TRY(ControlRepository(request));
    return response.Send(204, {}, {});
  }
  if (call == "POST throttle") {
    BDN_ASSIGN(const auto json, JsonBody(request));
    BDN_ASSIGN(const auto rate, codec::JsonView(json).Uint("bytes_per_second"));
    SetRate(rate);
    return response.Send(204, {}, {});
  }
  if (call == "POST expire") {
    ExpireUrls();
    return response.Send(204, {}, {});
  }
  return Error(Code::kNotFound, "there is no " + call + " below /_fake/; see README.md");
}

}  // namespace bdn::fakes
