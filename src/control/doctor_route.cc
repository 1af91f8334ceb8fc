#include "control/doctor_route.h"

#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "codec/json.h"
#include "model/config.h"
#include "source/doctor.h"

namespace bdn::control {
namespace {

constexpr std::uint64_t kDoctorBodyBytesMax = 64 * 1024;

// By the rules of config.yaml: JSON is YAML.
Result<model::WeightsSource> WeightsOf(const boost::json::value& body) {
  if (!body.is_object()) return Error(Code::kInvalidArgument, "the body must be a JSON object");
  boost::json::object item{{"mount_location", "/doctor"}};
  for (const auto& [name, value] : body.get_object()) {
    if (name == "source" || name == "auth") item[name] = value;
  }
  const boost::json::object config{{"weights", boost::json::array{std::move(item)}}};
  const model::ConfigReport report = model::ParseConfig(codec::SerializeJson(config));
  if (report.config) return report.config->weights.at(0);
  std::string text;
  for (const auto& finding : report.errors) {
    text += (text.empty() ? "" : "; ") + finding.loc + ": " + finding.message;
  }
  return Error(Code::kInvalidArgument, text);
}

Status Answer(const DoctorRouteDeps& deps,
              net::ServerRequest& request,
              net::ServerResponse& response) {
  BDN_ASSIGN(const std::string body, request.Body(kDoctorBodyBytesMax));
  BDN_ASSIGN(const auto json, codec::ParseJson(body));
  BDN_ASSIGN(const model::WeightsSource weights, WeightsOf(json));
  source::SourceCredentials credentials{.secret = std::nullopt, .auth = weights.auth};
  if (const std::string& name = weights.auth.auth_secret_name; !name.empty()) {
    auto value = deps.vault.Get(deps.org, name);
    if (!value && value.error().code() == Code::kNotFound) {
      return Error(Code::kNotFound, "secret '" + name + "' is not set")
          .WithHint("set it with `bdn secret set " + name + "`");
    }
    BDN_ASSIGN(credentials.secret, std::move(value));
  }
  if (deps.identity) credentials.identity = deps.identity();
  source::RecordingTransport recorder(deps.upstream);
  source::SourceEnvironment environment = deps.environment(recorder);
  environment.retry.backoff.attempts_max = 2;  // a person waits
  const source::DoctorReport report = source::Diagnose(
      request.context().WithTimeout(kDoctorMax), weights.uri, credentials, environment, recorder);
  return response.Send(200, {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}},
                       ToJson(report));
}

}  // namespace

void AddDoctorRoute(net::Router& router, const DoctorRouteDeps& deps) {
  router.Add("POST", "/v1/doctor", [&deps](net::ServerRequest& rq, net::ServerResponse& rs) {
    return Answer(deps, rq, rs);
  });
}

}  // namespace bdn::control
