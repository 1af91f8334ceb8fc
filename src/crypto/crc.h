#pragma once
// Cyclic redundancy checks that object stores publish: CRC-32 (ISO-HDLC), CRC-32C (Castagnoli; S3
// and Google Cloud Storage) and CRC-64/NVME (S3's default). They find damage, not malice.
//
// The inputs of a run of 64 bytes are folded by carry-less multiplication where the processor has
// it, and by tables of eight where not; crc.cc says how.
// Source: RFC 3720 appendix B.4 for CRC-32C, the NVM Command Set specification 1.0 section 5.2.1
// for CRC-64/NVME, "Catalogue of parametrised CRC algorithms" (reveng) for the parameters.
#include <cstddef>
#include <cstdint>
#include <span>

namespace bdn::crypto {

enum class CrcKind : std::uint8_t { kCrc32, kCrc32c, kCrc64Nvme };

// Incremental; Update any number of times. Not thread-safe; one per stream.
class Crc {
 public:
  explicit Crc(CrcKind kind);
  void Update(std::span<const std::byte> bytes);
  // The check of all bytes so far, in the low 32 or 64 bits; more bytes may follow.
  std::uint64_t value() const;
  // Bytes of the check: 4 or 8.
  std::size_t size() const;

 private:
  CrcKind kind_;
  std::uint64_t state_;  // the register, before its bits are inverted
};

// Whether runs are folded by carry-less multiplication. Tests and benches switch it off;
// switching it on has no effect on a processor without it.
bool CrcFolds();
void SetCrcFolds(bool folds);

}  // namespace bdn::crypto
