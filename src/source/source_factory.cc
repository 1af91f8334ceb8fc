#include "source/source_factory.h"

#include <fmt/format.h>

#include "source/hugging_face.h"

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
    case model::Scheme::kAzure:
    case model::Scheme::kBt:
    case model::Scheme::kCw:
    case model::Scheme::kGs:
    case model::Scheme::kHttps:
    case model::Scheme::kR2:
    case model::Scheme::kS3:
      break;
  }
  return Error(Code::kUnsupported,
               fmt::format("This version cannot read {}:// sources. It reads: hf://owner/name@rev, "
                           "hf://datasets/owner/name@rev and hf://spaces/owner/name@rev",
                           model::SchemeName(uri.scheme)));
}

}  // namespace bdn::source
