#include "source/source_factory.h"

#include <fmt/format.h>

#include "source/https.h"
#include "source/hugging_face.h"
#include "source/s3.h"

namespace bdn::source {

Result<std::unique_ptr<Source>> MakeSource(const model::SourceUri& uri,
                                           const SourceCredentials& credentials,
                                           const SourceEnvironment& environment) {
  switch (uri.scheme) {
    case model::Scheme::kHf:
      return MakeHuggingFaceSource(uri, environment.transport, environment.limiters,
                                   {.endpoint = environment.hf_endpoint,
                                    .secret = credentials.secret,
                                    .retry = environment.retry,
                                    .random = environment.random});
    case model::Scheme::kCw:
    case model::Scheme::kR2:
    case model::Scheme::kS3:
      return MakeS3Source(
          uri, environment.transport, environment.limiters,
          {.endpoint = uri.scheme == model::Scheme::kS3 ? environment.s3_endpoint : "",
           .secret = credentials.secret,
           .retry = environment.retry,
           .random = environment.random});
    case model::Scheme::kHttps:
      return MakeHttpsSource(
          uri, environment.transport, environment.limiters,
          {.secret = credentials.secret, .retry = environment.retry, .random = environment.random});
    case model::Scheme::kAzure:
    case model::Scheme::kBt:
    case model::Scheme::kGs:
      break;
  }
  return Error(
      Code::kUnsupported,
      fmt::format("This version cannot read {}:// sources. It reads: hf://owner/name@rev, "
                  "hf://datasets/owner/name@rev, hf://spaces/owner/name@rev, s3://bucket/path, "
                  "r2://account.bucket/path, cw://bucket/path and https://host/file",
                  model::SchemeName(uri.scheme)));
}

}  // namespace bdn::source
