#pragma once
// Secrets at rest: sealed with a master key that lies in a file of its own, so that a copy of the
// metadata database tells nothing. Values are opaque bytes: nothing is trimmed, nothing is logged.
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "os/fs.h"
#include "store/metadata.h"

namespace bdn::store {

inline constexpr std::size_t kSecretBytesMax = 64u << 10;
inline constexpr std::size_t kSecretNameBytesMax = 256;

struct SecretInfo {
  std::string name;  // as the user wrote it
  WallTime updated_at;
};

// Thread-safe. Names are compared by SecretKey.
class SecretVault {
 public:
  // `master_key` has crypto::kMasterKeyBytes bytes. The rest is borrowed for the vault's life.
  SecretVault(Metadata& metadata, const Clock& clock, std::string master_key);

  // kInvalidArgument: no letter or digit in the name, or name or value empty or too long.
  Status Set(const std::string& org, const std::string& name, std::string_view value);
  // kNotFound; kCorrupt when the row was altered or sealed with another master key.
  Result<std::string> Get(const std::string& org, const std::string& name);
  Result<std::vector<SecretInfo>> List(const std::string& org);
  Status Delete(const std::string& org, const std::string& name);

  // Seals what rests elsewhere in the metadata, with the same key; `name` is bound to it. Unseal is
  // kCorrupt for another name or another master key.
  std::string Seal(std::string_view name, std::string_view value) const;
  Result<std::string> Unseal(std::string_view name, std::string_view sealed) const;

 private:
  Metadata& metadata_;
  const Clock& clock_;
  const std::string master_key_;
};

// Reads the master key at `path`: 64 hex digits, perhaps a newline. Where there is no file it is
// made from the system's random source, durably, readable by its owner only; of two processes that
// do so at once both get the same key.
// Errors: kFailedPrecondition when others may read the file, kCorrupt when it holds something else.
Result<std::string> LoadOrCreateMasterKey(os::Fs& fs, const std::string& path);

}  // namespace bdn::store
