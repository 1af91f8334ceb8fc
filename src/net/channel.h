#pragma once
// Blocking I/O over a Stream, bounded by a RateGuard, and the buffer of bytes that were read ahead.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/rate_guard.h"
#include "net/socket.h"
#include "os/fs.h"

namespace bdn::net {

// Bytes that arrived and were not used yet: of a head, of a body, or of the next request.
class InputBuffer {
 public:
  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  void Consume(std::size_t bytes);
  // Room for at least `bytes` more; what was there stays.
  std::span<std::byte> Room(std::size_t bytes);
  void Filled(std::size_t bytes) { end_ += bytes; }
  // Gives the memory back when empty: thousands of idle connections should cost little.
  void ReleaseIfEmpty();

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Errors: kUnavailable (the peer is gone), kTimeout (slower than the guard allows).
class Channel {
 public:
  Channel(Stream& stream, const Clock& clock, std::atomic<std::uint64_t>& bytes_sent)
      : stream_(stream), clock_(clock), bytes_sent_(bytes_sent) {}

  Status Write(std::string_view bytes, bool more, RateGuard& guard);
  // All of [offset, offset + size) of the file; kCorrupt when the file is shorter.
  Status SendFile(const os::File& file, std::uint64_t offset, std::uint64_t size, RateGuard& guard);
  // At least one byte into `buffer`, at most `bytes_max`; 0 at the end of the peer's output.
  Result<std::size_t> Fill(InputBuffer& buffer, std::size_t bytes_max, RateGuard& guard);

 private:
  Status WaitFor(IoOutcome::Kind kind, RateGuard& guard);
  Status SendByKernel(int file, std::uint64_t offset, std::uint64_t size, RateGuard& guard);
  Status SendByCopy(const os::File& file,
                    std::uint64_t offset,
                    std::uint64_t size,
                    RateGuard& guard);

  Stream& stream_;
  const Clock& clock_;
  std::atomic<std::uint64_t>& bytes_sent_;
};

}  // namespace bdn::net
