#pragma once
// How Google gives access tokens: for the key of a service account (a signed assertion), and for a
// token of our own issuer (Workload Identity Federation: exchange, then impersonation). One attempt
// of each call; caching, renewal and retries are source/google_tokens.h.
//
// Source: RFC 7523 and developers.google.com/identity/protocols/oauth2/service-account; RFC 8693
// and cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token;
// cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/result.h"
#include "crypto/signature.h"
#include "net/http.h"

namespace bdn::cloud {

inline constexpr std::size_t kGoogleTokenBytesMax = 16 * 1024;  // Google's own limit is 12 KiB

// The key file of a service account.
struct GcpServiceAccountKey {
  std::string client_email;
  std::string private_key_id;
  std::string token_uri;  // of Google, or the operator's own
  crypto::PrivateKey private_key;
};

// A secret for gs:// sources: checked when it is set, and when it is used. `own_token_uri` is
// accepted beside Google's addresses.
// Errors: kInvalidArgument, kUnsupported (another universe); the message names the member, says
// what
//         to do and never has a part of the key.
Result<GcpServiceAccountKey> ParseGcpSecret(std::string_view json,
                                            std::string_view own_token_uri = {});

// A provider of a workload identity pool.
struct GcpProvider {
  // "projects/123/locations/global/workloadIdentityPools/POOL/providers/PROVIDER"
  std::string resource;
  // What the exchange calls it.
  std::string audience() const { return "//iam.googleapis.com/" + resource; }
  // The audience that a provider expects in subject tokens when no other is allowed.
  std::string token_audience() const { return "https://iam.googleapis.com/" + resource; }
};
// With or without "//iam.googleapis.com/" or "https://iam.googleapis.com/" in front.
// kInvalidArgument for anything else, and for a project's id in place of its number.
Result<GcpProvider> ParseGcpProvider(std::string_view text);
// kInvalidArgument for what is no e-mail address of a service account: it becomes part of a URL.
Status CheckGcpServiceAccount(std::string_view email);

struct GoogleEndpoints {
  std::string oauth_token = "https://oauth2.googleapis.com/token";
  std::string sts_token = "https://sts.googleapis.com/v1/token";
  std::string iam = "https://iamcredentials.googleapis.com";
};
// All three at one other address, with the same paths. Empty: Google.
GoogleEndpoints GoogleEndpointsAt(std::string_view base);

// A bearer secret.
struct GoogleToken {
  std::string value;
  Duration life{0};  // from now
};

// The three calls. Errors: kUnauthenticated, kPermissionDenied, kNotFound, kInvalidArgument (each
// with what to do), kRateLimited, kUnavailable, and what the transport returns.

// urn:ietf:params:oauth:grant-type:jwt-bearer, for reading Cloud Storage. A clock that Google finds
// wrong is put right once by the Date of its answer. `token_url`: where to ask; the assertion is
// made for the key's own token_uri.
Result<GoogleToken> RequestKeyToken(const Context& ctx,
                                    net::Transport& transport,
                                    const std::string& token_url,
                                    const GcpServiceAccountKey& key);

// What another token of our issuer could change about a refused exchange.
enum class ExchangeHelp : std::uint8_t {
  kNone,
  kFreshToken,     // the token was too old
  kOtherAudience,  // the provider expects another one
};
// urn:ietf:params:oauth:grant-type:token-exchange. `*help` belongs to the error.
Result<GoogleToken> ExchangeToken(const Context& ctx,
                                  net::Transport& transport,
                                  const GoogleEndpoints& endpoints,
                                  const GcpProvider& provider,
                                  const std::string& subject_token,
                                  ExchangeHelp* help);

// generateAccessToken, for reading Cloud Storage, for an hour. kUnauthenticated: `federated` is not
// taken any more.
Result<GoogleToken> ImpersonateServiceAccount(const Context& ctx,
                                              net::Transport& transport,
                                              const GoogleEndpoints& endpoints,
                                              const std::string& email,
                                              const std::string& federated);

}  // namespace bdn::cloud
