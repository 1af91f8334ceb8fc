#include "store/secrets.h"

#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "crypto/digest.h"
#include "crypto/hash.h"
#include "crypto/seal.h"

namespace bdn::store {
namespace {

// What the sealed value is bound to: it cannot be moved to another organisation or name.
std::string SealName(const std::string& org, const std::string& key) {
  return fmt::format("secret/{}/{}", org, key);
}

Result<std::string> KeyOf(const std::string& name) {
  std::string key = SecretKey(name);
  if (key.empty() || name.size() > kSecretNameBytesMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{:.80}\" is not the name of a secret: use letters and digits, at "
                             "most {} bytes",
                             name, kSecretNameBytesMax));
  }
  return key;
}

Result<std::string> ReadMasterKey(os::Fs& fs, const std::string& path) {
  BDN_ASSIGN(const os::FileInfo info, fs.Stat(path));
  if ((info.mode & 077) != 0) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("the master key {} can be read by others (mode {:04o})", path,
                             info.mode))
        .WithHint(
            "chmod 600 the file; if others have read it, make a new key and set the secrets "
            "again.");
  }
  BDN_ASSIGN(std::string text, os::ReadFile(fs, path, 4096));
  if (text.ends_with('\n')) text.pop_back();
  auto key = crypto::HexDecode(text);
  if (!key || key->size() != crypto::kMasterKeyBytes) {
    return Error(Code::kCorrupt, fmt::format("{} is not a master key: it must hold {} hex digits",
                                             path, 2 * crypto::kMasterKeyBytes))
        .WithHint("Restore the file from a backup; without it the secrets have to be set again.");
  }
  return *std::move(key);
}

// Makes the file, complete or not at all; success when another process was faster.
Status CreateMasterKey(os::Fs& fs, const std::string& path) {
  const std::string random = crypto::RandomBytes(crypto::kMasterKeyBytes);
  const std::string text =
      crypto::HexEncode({reinterpret_cast<const std::uint8_t*>(random.data()), random.size()}) +
      "\n";
  const std::string temporary = fmt::format("{}.tmp-{}", path, os::RandomName());
  const std::size_t slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? std::string() : path.substr(0, slash);
  BDN_TRY(os::MakeDirs(fs, dir, true));
  BDN_TRY(os::WriteFileDurably(fs, temporary, text, 0600));
  Status linked = fs.Link(temporary, path);
  if (linked || linked.error().code() == Code::kAlreadyExists) linked = fs.SyncDir(dir);
  const Status removed = fs.Remove(temporary);
  BDN_TRY(linked);
  return removed;
}

}  // namespace

SecretVault::SecretVault(Metadata& metadata, const Clock& clock, std::string master_key)
    : metadata_(metadata), clock_(clock), master_key_(std::move(master_key)) {
  BDN_CHECK(master_key_.size() == crypto::kMasterKeyBytes);
}

Status SecretVault::Set(const std::string& org, const std::string& name, std::string_view value) {
  BDN_ASSIGN(const std::string key, KeyOf(name));
  if (value.empty() || value.size() > kSecretBytesMax) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the value of secret \"{}\" has {} bytes; it may have 1 to {}", name,
                             value.size(), kSecretBytesMax));
  }
  return metadata_.PutSecret(org, {.name = name,
                                   .key = key,
                                   .sealed = crypto::Seal(master_key_, SealName(org, key), value),
                                   .updated_at = clock_.Now()});
}

Result<std::string> SecretVault::Get(const std::string& org, const std::string& name) {
  BDN_ASSIGN(const std::string key, KeyOf(name));
  BDN_ASSIGN(const SealedSecret secret, metadata_.GetSecret(org, key));
  auto value = crypto::Unseal(master_key_, SealName(org, key), secret.sealed);
  if (value) return value;
  return std::move(value)
      .error()
      .Context(fmt::format("secret \"{}\"", name))
      .WithHint(
          "The master key is not the one that sealed it. Restore that key, or set the secret "
          "again.");
}

Result<std::vector<SecretInfo>> SecretVault::List(const std::string& org) {
  BDN_ASSIGN(const std::vector<SealedSecret> secrets, metadata_.ListSecrets(org));
  std::vector<SecretInfo> infos;
  infos.reserve(secrets.size());
  for (const SealedSecret& secret : secrets) {
    infos.push_back({.name = secret.name, .updated_at = secret.updated_at});
  }
  return infos;
}

Status SecretVault::Delete(const std::string& org, const std::string& name) {
  BDN_ASSIGN(const std::string key, KeyOf(name));
  return metadata_.DeleteSecret(org, key);
}

std::string SecretVault::Seal(std::string_view name, std::string_view value) const {
  return crypto::Seal(master_key_, name, value);
}

Result<std::string> SecretVault::Unseal(std::string_view name, std::string_view sealed) const {
  return crypto::Unseal(master_key_, name, sealed);
}

Result<std::string> LoadOrCreateMasterKey(os::Fs& fs, const std::string& path) {
  auto key = ReadMasterKey(fs, path);
  if (key || key.error().code() != Code::kNotFound) return key;
  BDN_TRY(CreateMasterKey(fs, path));
  return ReadMasterKey(fs, path);
}

}  // namespace bdn::store
