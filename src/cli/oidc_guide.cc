#include "cli/oidc_guide.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

namespace bdn::cli {
namespace {

namespace json = boost::json;

// AWS names a provider by its URL without the scheme.
std::string NameOf(const api::OidcBody& oidc) {
  const std::size_t mark = oidc.issuer.find("://");
  return mark == std::string::npos ? oidc.issuer : oidc.issuer.substr(mark + 3);
}

// For people: two blanks a level, short collections on one line.
void Pretty(std::string& out, const json::value& value, int depth) {
  constexpr std::size_t kOneLine = 60;
  const std::string flat = json::serialize(value);
  if (!value.is_structured() || flat.size() <= kOneLine) {
    out += flat;
    return;
  }
  const std::string inner(static_cast<std::size_t>(depth + 1) * 2, ' ');
  const std::string outer(static_cast<std::size_t>(depth) * 2, ' ');
  bool first = true;
  const auto next = [&] {
    out += first ? "\n" : ",\n";
    out += inner;
    first = false;
  };
  out += value.is_array() ? "[" : "{";
  if (value.is_array()) {
    for (const auto& item : value.get_array()) {
      next();
      Pretty(out, item, depth + 1);
    }
  } else {
    for (const auto& [key, item] : value.get_object()) {
      next();
      out += json::serialize(json::value(key)) + ": ";
      Pretty(out, item, depth + 1);
    }
  }
  out += "\n" + outer + (value.is_array() ? "]" : "}");
}

std::string SubjectStart(const api::OidcBody& oidc) {
  return fmt::format("v=1:org={}:team={}:", oidc.org, oidc.team);
}

}  // namespace

std::string SubjectPattern(const api::OidcBody& oidc) {
  return fmt::format("{}model={}:deployment=*:environment=*:type=model_build", SubjectStart(oidc),
                     oidc.model);
}

json::object AwsTrustPolicy(const api::OidcBody& oidc) {
  const std::string name = NameOf(oidc);
  const json::object statement{
      {"Effect", "Allow"},
      {"Principal", json::object{{"Federated", "arn:aws:iam::ACCOUNT:oidc-provider/" + name}}},
      {"Action", "sts:AssumeRoleWithWebIdentity"},
      {"Condition",
       json::object{{"StringEquals", json::object{{name + ":aud", oidc.audience}}},
                    {"StringLike", json::object{{name + ":sub", SubjectPattern(oidc)}}}}}};
  return {{"Version", "2012-10-17"}, {"Statement", json::array{statement}}};
}

std::string AwsProviderCommand(const api::OidcBody& oidc) {
  return fmt::format("aws iam create-open-id-connect-provider --url {} --client-id-list {}",
                     oidc.issuer, oidc.audience);
}

std::string GcpCondition(const api::OidcBody& oidc) {
  return fmt::format("assertion.sub.startsWith('{}') && assertion.type == 'model_build'",
                     SubjectStart(oidc));
}

std::string GcpCommands(const api::OidcBody& oidc) {
  return fmt::format(
      "gcloud iam workload-identity-pools create bdn --project=PROJECT --location=global\n"
      "\n"
      "gcloud iam workload-identity-pools providers create-oidc bdn --project=PROJECT \\\n"
      "  --location=global --workload-identity-pool=bdn \\\n"
      "  --issuer-uri={} --allowed-audiences={} \\\n"
      "  --attribute-mapping=google.subject=assertion.sub,attribute.model=assertion.model,"
      "attribute.type=assertion.type \\\n"
      "  --attribute-condition=\"{}\"\n"
      "\n"
      "gcloud iam service-accounts add-iam-policy-binding SERVICE_ACCOUNT --project=PROJECT \\\n"
      "  --role=roles/iam.workloadIdentityUser \\\n"
      "  --member=principalSet://iam.googleapis.com/projects/PROJECT_NUMBER/locations/global/"
      "workloadIdentityPools/bdn/attribute.model/{}\n",
      oidc.issuer, oidc.audience, GcpCondition(oidc), oidc.model);
}

std::string OidcGuide(const api::OidcBody& oidc) {
  std::string policy;
  Pretty(policy, AwsTrustPolicy(oidc), 0);
  return fmt::format(
      "Amazon Web Services\n\n"
      "1. Once an account, tell IAM of the issuer:\n\n"
      "{}\n\n"
      "2. The role's trust policy, trust.json. Write the account's 12 digits for ACCOUNT. The\n"
      "   condition on :sub is what keeps others out who use this issuer.\n\n"
      "{}\n\n"
      "aws iam create-role --role-name bdn-weights --assume-role-policy-document "
      "file://trust.json\n\n"
      "   Give the role s3:ListBucket on the bucket and s3:GetObject on what is below the path.\n\n"
      "3. In config.yaml:\n\n"
      "    auth:\n"
      "      auth_method: AWS_OIDC\n"
      "      aws_oidc_role_arn: arn:aws:iam::ACCOUNT:role/bdn-weights\n"
      "      aws_oidc_region: us-east-1\n\n"
      "Google Cloud\n\n"
      "1. Once a project, tell it of the issuer, and let the model's mirrors be a service account\n"
      "   that has roles/storage.objectViewer on the bucket:\n\n"
      "{}\n"
      "2. In config.yaml:\n\n"
      "    auth:\n"
      "      auth_method: GCP_OIDC\n"
      "      gcp_oidc_service_account: SERVICE_ACCOUNT\n"
      "      gcp_oidc_workload_id_provider: projects/PROJECT_NUMBER/locations/global/"
      "workloadIdentityPools/bdn/providers/bdn\n",
      AwsProviderCommand(oidc), policy, GcpCommands(oidc));
}

}  // namespace bdn::cli
