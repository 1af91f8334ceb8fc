#include "source/source_factory.h"

#include <fmt/format.h>

#include "source/aws_role.h"
#include "source/azure.h"
#include "source/gcs.h"
#include "source/https.h"
#include "source/hugging_face.h"
#include "source/s3.h"
#include "source/training_store.h"

namespace bdn::source {
namespace {

// s3://, r2:// and cw://: keys of a secret, or of a role for s3://.
Result<std::unique_ptr<Source>> MakeBucket(const model::SourceUri& uri,
                                           const SourceCredentials& credentials,
                                           const SourceEnvironment& environment) {
  const bool amazon = uri.scheme == model::Scheme::kS3;
  const std::string& other =
      uri.scheme == model::Scheme::kR2 ? environment.r2_endpoint : environment.cw_endpoint;
  S3SourceOptions options{.endpoint = amazon ? environment.s3_endpoint : other,
                          .secret = credentials.secret,
                          .retry = environment.retry,
                          .random = environment.random};
  const model::WeightsAuth& auth = credentials.auth;
  if (auth.method == model::AuthMethod::kGcpOidc ||
      (auth.method == model::AuthMethod::kAwsOidc && !amazon)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("this auth_method does not fit {}:// sources: AWS_OIDC is for s3://, "
                             "GCP_OIDC for gs://",
                             model::SchemeName(uri.scheme)));
  }
  if (auth.method == model::AuthMethod::kAwsOidc) {
    if (credentials.identity == nullptr) return NoIssuer();
    options.role_name = auth.aws_oidc_role_arn;
    options.role_region = auth.aws_oidc_region;
    BDN_ASSIGN(options.role,
               MakeAwsRole(environment.transport, *credentials.identity,
                           {.arn = auth.aws_oidc_role_arn,
                            .region = auth.aws_oidc_region,
                            .endpoint = environment.sts_endpoint},
                           {.retry = environment.retry, .random = environment.random}));
  }
  return MakeS3Source(uri, environment.transport, environment.limiters, std::move(options));
}

}  // namespace

Error NoIssuer() {
  return Error(Code::kFailedPrecondition,
               "AWS_OIDC and GCP_OIDC need an OIDC issuer, and none is set up")
      .WithHint(
          "start the control plane with --oidc-issuer https://… or BDN_OIDC_ISSUER, the public "
          "address at which AWS and Google find its keys; docs/oidc.md says what they need");
}

Result<std::unique_ptr<Source>> MakeSource(const model::SourceUri& uri,
                                           const SourceCredentials& credentials,
                                           const SourceEnvironment& environment) {
  switch (uri.scheme) {
    case model::Scheme::kBt:
      if (environment.bt_endpoint.empty()) {
        return Error(Code::kInvalidArgument, "no training store is named for bt:// sources")
            .WithHint("set BDN_BT_ENDPOINT; a control plane without it has its own");
      }
      return MakeTrainingStoreSource(uri, environment.transport, environment.limiters,
                                     {.base_url = environment.bt_endpoint,
                                      .key = credentials.secret.value_or(environment.bt_key),
                                      .retry = environment.retry,
                                      .random = environment.random});
    case model::Scheme::kHf:
      return MakeHuggingFaceSource(uri, environment.transport, environment.limiters,
                                   {.endpoint = environment.hf_endpoint,
                                    .secret = credentials.secret,
                                    .retry = environment.retry,
                                    .random = environment.random});
    case model::Scheme::kCw:
    case model::Scheme::kR2:
    case model::Scheme::kS3:
      return MakeBucket(uri, credentials, environment);
    case model::Scheme::kGs:
      return MakeGcsSource(uri, environment.transport, environment.limiters,
                           {.endpoint = environment.google_endpoint,
                            .secret = credentials.secret,
                            .auth = credentials.auth,
                            .identity = credentials.identity,
                            .retry = environment.retry,
                            .random = environment.random});
    case model::Scheme::kHttps:
      return MakeHttpsSource(
          uri, environment.transport, environment.limiters,
          {.secret = credentials.secret, .retry = environment.retry, .random = environment.random});
    case model::Scheme::kAzure:
      return MakeAzureSource(uri, environment.transport, environment.limiters,
                             {.endpoint = environment.azure_endpoint,
                              .authority = environment.azure_authority,
                              .secret = credentials.secret,
                              .identity = credentials.identity,
                              .retry = environment.retry,
                              .random = environment.random});
  }
  return Error(Code::kInternal, "a scheme without a source");
}

}  // namespace bdn::source
