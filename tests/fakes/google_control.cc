// The stand-in's own interface below /_fake/, for tests in other processes.
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "codec/json.h"
#include "fakes/google_fake.h"

namespace bdn::fakes {
namespace {

constexpr std::uint64_t kGoogleControlBytesMax = 64u << 20;
const net::Headers kGoogleJson{{"Content-Type", "application/json"}};

}  // namespace

Result<std::string> GoogleFake::ControlObjects(const boost::json::value& json) {
  const codec::JsonView root(json);
  BDN_ASSIGN(const auto bucket, root.String("bucket"));
  BDN_ASSIGN(const auto directory, root.StringOr("dir", ""));
  if (!directory.empty()) {
    BDN_ASSIGN(const auto prefix, root.StringOr("prefix", ""));
    BDN_TRY(PutDirectory(bucket, prefix, directory));
    return std::string("{}");
  }
  BDN_ASSIGN(const auto name, root.String("name"));
  BDN_ASSIGN(const bool remove, root.BoolOr("remove", false));
  if (remove) {
    BDN_TRY(Remove(bucket, name));
    return std::string("{}");
  }
  BDN_ASSIGN(std::string text, root.String("text"));
  BDN_ASSIGN(const bool compress, root.BoolOr("gzip", false));
  GoogleObject object;
  BDN_ASSIGN(object.composed, root.BoolOr("composed", false));
  BDN_ASSIGN(object.content_encoding, root.StringOr("content_encoding", compress ? "gzip" : ""));
  object.content = MakeContent(compress ? Gzip(text) : std::move(text));
  BDN_ASSIGN(const std::string generation, Put(bucket, name, std::move(object)));
  return codec::SerializeJson(boost::json::object{{"generation", generation}});
}

Result<std::string> GoogleFake::ControlAccount(const boost::json::value& json) {
  const codec::JsonView root(json);
  BDN_ASSIGN(const auto email, root.String("email"));
  BDN_ASSIGN(const bool delete_keys, root.BoolOr("delete_keys", false));
  if (delete_keys) {
    DeleteKeys(email);
    return std::string("{}");
  }
  std::string key = AddServiceAccount(email);
  BDN_ASSIGN(const auto bind, root.StringOr("bind", ""));
  if (!bind.empty()) Bind(email, bind);
  return key;
}

Status GoogleFake::ControlProvider(const boost::json::value& json) {
  const codec::JsonView root(json);
  GoogleProvider provider;
  BDN_ASSIGN(provider.name, root.String("name"));
  BDN_ASSIGN(provider.issuer, root.String("issuer"));
  BDN_ASSIGN(provider.discovery_base, root.StringOr("discovery_base", ""));
  BDN_ASSIGN(provider.audiences, root.StringsOr("audiences"));
  BDN_ASSIGN(provider.subject_prefix, root.StringOr("subject_prefix", ""));
  BDN_ASSIGN(provider.disabled, root.BoolOr("disabled", false));
  SetProvider(std::move(provider));
  return {};
}

Status GoogleFake::ControlBucket(const boost::json::value& json) {
  const codec::JsonView root(json);
  GoogleBucket bucket;
  BDN_ASSIGN(bucket.name, root.String("bucket"));
  BDN_ASSIGN(bucket.requester_pays, root.BoolOr("requester_pays", false));
  BDN_ASSIGN(const auto readers, root.StringsOr("readers"));
  bucket.readers.insert(readers.begin(), readers.end());
  AddBucket(std::move(bucket));
  return {};
}

Status GoogleFake::Control(net::ServerRequest& request, net::ServerResponse& response) {
  const std::string call =
      std::string(request.method()) + " " + std::string(request.path().substr(7));
  if (call == "GET log") return response.Send(200, kGoogleJson, log_.ToJson());
  if (call == "DELETE log") return log_.Clear(), response.Send(204, {}, {});
  if (call == "DELETE faults") return faults_.Clear(), response.Send(204, {}, {});
  if (call == "POST expire") return ExpireTokens(), response.Send(204, {}, {});
  if (request.method() != "POST") {
    return Error(Code::kNotFound, "there is no " + call + " below /_fake/; see README.md");
  }
  BDN_ASSIGN(const std::string body, request.Body(kGoogleControlBytesMax));
  BDN_ASSIGN(const auto json, codec::ParseJson(body));
  if (call == "POST objects") {
    BDN_ASSIGN(const std::string answer, ControlObjects(json));
    return response.Send(200, kGoogleJson, answer);
  }
  if (call == "POST account") {
    BDN_ASSIGN(const std::string key, ControlAccount(json));
    return response.Send(200, kGoogleJson, key);
  }
  if (call == "POST faults") {
    BDN_ASSIGN(auto fault, ParseFault(json));
    faults_.Add(std::move(fault));
  } else if (call == "POST provider") {
    BDN_TRY(ControlProvider(json));
  } else if (call == "POST bucket") {
    BDN_TRY(ControlBucket(json));
  } else if (call == "POST throttle") {
    BDN_ASSIGN(const auto rate, codec::JsonView(json).Uint("bytes_per_second"));
    SetRate(rate);
  } else {
    return Error(Code::kNotFound, "there is no " + call + " below /_fake/; see README.md");
  }
  return response.Send(204, {}, {});
}

}  // namespace bdn::fakes
