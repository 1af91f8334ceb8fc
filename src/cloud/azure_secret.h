#pragma once
// What a secret for azure:// may hold, and the clouds of Azure that it may name. docs/sources/
// azure.md lists the forms for users.
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace bdn::cloud {

// One of the separate clouds of Azure. Secrets name a cloud and never a host: hosts are ours.
struct AzureCloud {
  std::string_view suffix;     // of account.blob.SUFFIX
  std::string_view authority;  // where Entra ID hands out tokens
  std::string_view audience;   // of the tokens that it takes from us
};
const AzureCloud& AzurePublicCloud();

// An application of Entra ID that has a role on the storage account.
struct AzureIdentity {
  std::string tenant_id;
  std::string client_id;
  std::string client_secret = {};  // empty: workload identity federation with our own token
};

struct AzureSecret {
  // Exactly one of these three is set.
  std::string account_key;  // raw bytes
  std::string sas;          // a query without its '?', as it goes on the wire
  std::optional<AzureIdentity> identity;

  std::string account;  // that the secret says it is for; empty when it does not say
  const AzureCloud* cloud = &AzurePublicCloud();
};

// JSON with azure_account_key, azure_sas_token, or azure_tenant_id and azure_client_id (with
// azure_client_secret for a secret of the application), and perhaps azure_account_name and
// azure_endpoint_suffix; or as plain text an account key, a SAS token, a URL with a SAS token, or a
// connection string.
// Errors: kInvalidArgument, with the names that are right; never any part of the value.
Result<AzureSecret> ParseAzureSecret(std::string_view text);

// When a SAS token ends (se); nullopt when it does not say, as with a stored access policy.
std::optional<WallTime> AzureSasExpiry(std::string_view sas);

}  // namespace bdn::cloud
