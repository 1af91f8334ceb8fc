#include "cli/source_lister.h"

#include <utility>

#include "cli/operator_network.h"

namespace bdn::cli {

namespace {

Result<SourceListing> ListingOf(const Context& ctx, source::Source& source) {
  BDN_ASSIGN(source::Pin pin, source.Resolve(ctx));
  BDN_ASSIGN(std::vector<source::RemoteFile> files, source.List(ctx, pin));
  return SourceListing{std::move(pin), std::move(files)};
}

}  // namespace

SourceLister::SourceLister(const Environment& env, Options options)
    : env_(env), options_(std::move(options)) {}

const Result<SourceListing>& SourceLister::List(const Context& ctx,
                                                const model::SourceUri& uri,
                                                const std::string& secret) {
  const std::string key = uri.Canonical();
  auto known = known_.find(key);
  if (known == known_.end()) known = known_.emplace(key, Ask(ctx, uri, secret)).first;
  return known->second;
}

Result<SourceListing> SourceLister::Ask(const Context& ctx,
                                        const model::SourceUri& uri,
                                        const std::string& secret) {
  if (uri.scheme == model::Scheme::kBt && env_.bt_endpoint.empty()) {
    // The training store is the control plane's own.
    BDN_ASSIGN(const ClientFile client, FindClient(env_, {}));
    const auto transport = MakeClientTransport(env_.ca_file);
    BDN_ASSIGN(const auto source,
               source::MakeSource(
                   uri, {.secret = client.api_key},
                   {.transport = *transport, .limiters = limiters_, .bt_endpoint = client.url}));
    return ListingOf(ctx, *source);
  }
  if (transport_ == nullptr) {
    BDN_ASSIGN(transport_, MakeSourceTransport(options_.allow_private, env_, env_.hf_endpoint));
  }
  source::SourceCredentials credentials;
  if (!secret.empty()) {
    credentials.secret = secret;
  } else if (uri.scheme == model::Scheme::kHf && !env_.hf_token.empty()) {
    credentials.secret = env_.hf_token;
  }
  source::SourceEnvironment environment = MakeSourceEnvironment(env_, *transport_, limiters_);
  if (!options_.patient) environment.retry.backoff.attempts_max = 2;
  BDN_ASSIGN(const auto source, source::MakeSource(uri, credentials, environment));
  return ListingOf(ctx, *source);
}

}  // namespace bdn::cli
