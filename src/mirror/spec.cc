#include "mirror/spec.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <boost/json.hpp>

#include "codec/json.h"

namespace bdn::mirror {
namespace {

using codec::JsonView;

constexpr std::size_t kSpecBytesMax = 8u << 20;

struct MethodName {
  model::AuthMethod method;
  std::string_view name;
};
constexpr std::array<MethodName, 3> kMethodNames = {{
    {model::AuthMethod::kCustomSecret, "CUSTOM_SECRET"},
    {model::AuthMethod::kAwsOidc, "AWS_OIDC"},
    {model::AuthMethod::kGcpOidc, "GCP_OIDC"},
}};

void PutText(boost::json::object& object, std::string_view key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}

void PutPatterns(boost::json::object& object,
                 std::string_view key,
                 const std::optional<std::vector<std::string>>& patterns) {
  if (!patterns) return;
  boost::json::array array;
  for (const std::string& pattern : *patterns) array.emplace_back(pattern);
  object[key] = std::move(array);
}

Result<std::optional<std::vector<std::string>>> GetPatterns(const JsonView& view,
                                                            std::string_view key) {
  BDN_ASSIGN(const auto found, view.Find(key));
  if (!found) return std::optional<std::vector<std::string>>();
  BDN_ASSIGN(auto patterns, view.StringsOr(key));
  return std::optional<std::vector<std::string>>(std::move(patterns));
}

Status ReadAuth(const JsonView& view, model::WeightsAuth& auth) {
  BDN_ASSIGN(const std::string method, view.StringOr("auth_method", ""));
  if (!method.empty()) {
    bool known = false;
    for (const MethodName& row : kMethodNames) {
      if (row.name != method) continue;
      auth.method = row.method;
      known = true;
    }
    if (!known) return Error(Code::kCorrupt, "unknown auth_method \"" + method + "\"");
  }
  BDN_ASSIGN(auth.auth_secret_name, view.StringOr("auth_secret_name", ""));
  BDN_ASSIGN(auth.aws_oidc_role_arn, view.StringOr("aws_oidc_role_arn", ""));
  BDN_ASSIGN(auth.aws_oidc_region, view.StringOr("aws_oidc_region", ""));
  BDN_ASSIGN(auth.gcp_oidc_service_account, view.StringOr("gcp_oidc_service_account", ""));
  BDN_ASSIGN(auth.gcp_oidc_workload_id_provider,
             view.StringOr("gcp_oidc_workload_id_provider", ""));
  return {};
}

Result<model::WeightsSource> Read(const JsonView& view) {
  model::WeightsSource weights;
  BDN_ASSIGN(weights.source, view.String("source"));
  BDN_ASSIGN(weights.uri, model::ParseSourceUri(weights.source));
  BDN_ASSIGN(const auto auth, view.Find("auth"));
  if (auth) BDN_TRY(ReadAuth(*auth, weights.auth));
  BDN_ASSIGN(weights.allow_patterns, GetPatterns(view, "allow_patterns"));
  BDN_ASSIGN(weights.ignore_patterns, GetPatterns(view, "ignore_patterns"));
  return weights;
}

}  // namespace

std::string SpecToJson(const model::WeightsSource& weights, const AskedBy& asked_by) {
  boost::json::object spec;
  spec["source"] = weights.source;
  boost::json::object auth;
  for (const MethodName& row : kMethodNames) {
    if (row.method == weights.auth.method) auth["auth_method"] = row.name;
  }
  PutText(auth, "auth_secret_name", weights.auth.auth_secret_name);
  PutText(auth, "aws_oidc_role_arn", weights.auth.aws_oidc_role_arn);
  PutText(auth, "aws_oidc_region", weights.auth.aws_oidc_region);
  PutText(auth, "gcp_oidc_service_account", weights.auth.gcp_oidc_service_account);
  PutText(auth, "gcp_oidc_workload_id_provider", weights.auth.gcp_oidc_workload_id_provider);
  if (!auth.empty()) spec["auth"] = std::move(auth);
  PutPatterns(spec, "allow_patterns", weights.allow_patterns);
  PutPatterns(spec, "ignore_patterns", weights.ignore_patterns);
  boost::json::object by;
  PutText(by, "model", asked_by.model);
  PutText(by, "deployment", asked_by.deployment);
  if (!by.empty()) spec["asked_by"] = std::move(by);
  return codec::SerializeJson(spec);
}

AskedBy AskedByOf(std::string_view json) {
  AskedBy by;
  const auto parsed = codec::ParseJson(json, {.bytes_max = kSpecBytesMax, .depth_max = 8});
  if (!parsed) return by;
  const auto found = JsonView(*parsed).Find("asked_by");
  if (!found || !*found) return by;
  by.model = (*found)->StringOr("model", "").value_or("");
  by.deployment = (*found)->StringOr("deployment", "").value_or("");
  return by;
}

Result<model::WeightsSource> SpecFromJson(std::string_view json) {
  auto parsed = codec::ParseJson(json, {.bytes_max = kSpecBytesMax, .depth_max = 8});
  if (!parsed) {
    return std::move(parsed).error().WithCode(Code::kCorrupt).Context("stored mirror spec");
  }
  auto weights = Read(JsonView(*parsed));
  if (!weights) {
    return std::move(weights).error().WithCode(Code::kCorrupt).Context("stored mirror spec");
  }
  return *std::move(weights);
}

}  // namespace bdn::mirror
