#pragma once
// Decompression of gzip streams (RFC 1952) piece by piece, by zlib.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/result.h"

namespace bdn::codec {

// One stream: members one after the other, each with its own check. Memory is the decoder's window
// (32 KiB) and one piece of output, whatever the input claims. Not thread-safe.
class Gunzip {
 public:
  using Sink = std::function<Status(std::span<const std::byte>)>;

  // More than `bytes_max` of content is kResourceExhausted before any of it is passed on.
  explicit Gunzip(std::uint64_t bytes_max);
  ~Gunzip();
  Gunzip(Gunzip&&) noexcept;
  Gunzip& operator=(Gunzip&&) noexcept;

  // Passes on what `bytes` decompress to. kCorrupt for what is no gzip; what `sink` returned.
  Status Update(std::span<const std::byte> bytes, const Sink& sink);
  // After the last byte. kCorrupt when the stream is not complete.
  Status Finish() const;
  // Content so far.
  std::uint64_t size() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bdn::codec
