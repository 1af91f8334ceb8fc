#pragma once
// Publishers' hashes and message authentication, by OpenSSL's EVP interface; checks by
// crypto/crc.h.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bdn::crypto {

enum class HashKind : std::uint8_t { kSha256, kSha1, kMd5, kCrc32, kCrc32c, kCrc64Nvme };

// Incremental; not thread-safe.
class Hasher {
 public:
  explicit Hasher(HashKind kind);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view text);
  // Lower-case hex, the most significant digit first, also of a CRC. Ends the stream: no Update
  // after it.
  std::string FinishHex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view bytes);
std::string Sha256(std::string_view bytes);                              // 32 raw bytes
std::string HmacSha256(std::string_view key, std::string_view message);  // 32 raw bytes
// Compares in constant time.
bool EqualConstantTime(std::string_view a, std::string_view b);
// `count` bytes from the system's random source.
std::string RandomBytes(std::size_t count);

}  // namespace bdn::crypto
