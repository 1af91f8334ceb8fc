// A secret as a user pasted it: any bytes give Azure credentials that can be sent, or an error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cloud/azure_secret.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto secret = bdn::cloud::ParseAzureSecret(text);
  if (!secret) return 0;
  const int ways = (secret->account_key.empty() ? 0 : 1) + (secret->sas.empty() ? 0 : 1) +
                   (secret->identity ? 1 : 0);
  const bool sendable = std::all_of(secret->sas.begin(), secret->sas.end(),
                                    [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
  if (ways != 1 || !sendable) std::abort();
  (void)bdn::cloud::AzureSasExpiry(secret->sas);
  return 0;
}
