#include "net/channel.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>

namespace bdn::net {
namespace {

constexpr std::uint64_t kStepBytes = 2 * 1024 * 1024;
constexpr std::uint64_t kReadAheadBytes = 8 * 1024 * 1024;
// Larger buffers fall out of the second-level cache and the copy slows down.
constexpr std::size_t kCopyBytes = 128 * 1024;

// Whether the byte at `offset` is in the page cache. On a file system that cannot tell: yes, so
// that nothing more is done.
bool IsCached(int file, std::uint64_t offset) {
  char byte = 0;
  const iovec where{&byte, 1};
  return preadv2(file, &where, 1, static_cast<off_t>(offset), RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

// Asks the disk for the bytes that the next steps will send, while this step is still going out.
class ReadAhead {
 public:
  ReadAhead(int file, std::uint64_t begin, std::uint64_t end)
      : file_(file), asked_(begin), end_(end) {}
  void Before(std::uint64_t offset) {
    const std::uint64_t wanted = std::min(offset + kStepBytes, end_);
    if (wanted <= asked_ && asked_ != offset) return;
    const std::uint64_t from = std::max(asked_, offset);
    if (from >= end_) return;
    asked_ = std::max(asked_, wanted);
    if (IsCached(file_, from) && IsCached(file_, wanted - 1)) return;
    const std::uint64_t until = std::min(from + kReadAheadBytes, end_);
    posix_fadvise(file_, static_cast<off_t>(from), static_cast<off_t>(until - from),
                  POSIX_FADV_WILLNEED);
    asked_ = until;
  }

 private:
  int file_;
  std::uint64_t asked_;
  std::uint64_t end_;
};

Error PeerGone() {
  return Error(Code::kUnavailable, "the client closed the connection");
}

Error FileTooShort() {
  return Error(Code::kCorrupt, "a file is shorter than the size that was announced for it");
}

}  // namespace

void InputBuffer::Consume(std::size_t bytes) {
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

std::span<std::byte> InputBuffer::Room(std::size_t bytes) {
  if (capacity_ - end_ < bytes) {
    const std::size_t used = end_ - begin_;
    if (capacity_ - used >= bytes) {
      std::memmove(data_.get(), data_.get() + begin_, used);
    } else {
      const std::size_t capacity = used + std::max(bytes, used);
      auto grown = std::make_unique_for_overwrite<char[]>(capacity);
      if (used > 0) std::memcpy(grown.get(), data_.get() + begin_, used);
      data_ = std::move(grown);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = used;
  }
  return std::as_writable_bytes(std::span(data_.get() + end_, bytes));
}

void InputBuffer::ReleaseIfEmpty() {
  if (!empty()) return;
  data_.reset();
  capacity_ = begin_ = end_ = 0;
}

Status Channel::WaitFor(IoOutcome::Kind kind, RateGuard& guard) {
  const bool reading = kind == IoOutcome::Kind::kWantRead;
  pollfd entry{stream_.fd(), static_cast<short>(reading ? POLLIN : POLLOUT), 0};
  const auto patience = std::chrono::ceil<std::chrono::milliseconds>(guard.patience());
  const MonoTime before = clock_.Monotonic();
  const int ready = poll(&entry, 1, static_cast<int>(patience.count()));
  Duration waited = clock_.Monotonic() - before;
  if (ready == 0) waited = std::max(waited, guard.patience());
  const bool fast_enough =
      guard.OnWaited(waited, [&] { return reading ? 0 : UnackedBytes(stream_.fd()); });
  if (fast_enough) return {};
  return Error(Code::kTimeout, "the client is slower than the minimum rate");
}

Status Channel::Write(std::string_view bytes, bool more, RateGuard& guard) {
  while (!bytes.empty()) {
    const IoOutcome did = stream_.Write(bytes, more);
    switch (did.kind) {
      case IoOutcome::Kind::kBytes:
        bytes.remove_prefix(did.bytes);
        guard.OnBytes(did.bytes);
        bytes_sent_.fetch_add(did.bytes, std::memory_order_relaxed);
        break;
      case IoOutcome::Kind::kWantRead:
      case IoOutcome::Kind::kWantWrite:
        BDN_TRY(WaitFor(did.kind, guard));
        break;
      case IoOutcome::Kind::kEnd:
      case IoOutcome::Kind::kFailed:
        return PeerGone();
    }
  }
  return {};
}

Status Channel::SendFile(const os::File& file,
                         std::uint64_t offset,
                         std::uint64_t size,
                         RateGuard& guard) {
  if (file.fd() >= 0 && stream_.can_send_file()) {
    return SendByKernel(file.fd(), offset, size, guard);
  }
  return SendByCopy(file, offset, size, guard);
}

Status Channel::SendByKernel(int file, std::uint64_t offset, std::uint64_t size, RateGuard& guard) {
  const std::uint64_t end = offset + size;
  ReadAhead ahead(file, offset, end);
  while (offset < end) {
    if (size > kStepBytes) ahead.Before(offset);
    const auto step = static_cast<std::size_t>(std::min(kStepBytes, end - offset));
    const IoOutcome did = stream_.SendFile(file, offset, step);
    switch (did.kind) {
      case IoOutcome::Kind::kBytes:
        offset += did.bytes;
        guard.OnBytes(did.bytes);
        bytes_sent_.fetch_add(did.bytes, std::memory_order_relaxed);
        break;
      case IoOutcome::Kind::kWantRead:
      case IoOutcome::Kind::kWantWrite:
        BDN_TRY(WaitFor(did.kind, guard));
        break;
      case IoOutcome::Kind::kEnd:
        return FileTooShort();
      case IoOutcome::Kind::kFailed:
        return PeerGone();
    }
  }
  return {};
}

Status Channel::SendByCopy(const os::File& file,
                           std::uint64_t offset,
                           std::uint64_t size,
                           RateGuard& guard) {
  const auto buffer_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(size, kCopyBytes));
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
  while (size > 0) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(size, buffer_bytes));
    BDN_ASSIGN(const std::size_t got, file.ReadAt(offset, std::span(buffer.get(), want)));
    if (got == 0) return FileTooShort();
    size -= got;
    offset += got;
    const std::string_view bytes(reinterpret_cast<const char*>(buffer.get()), got);
    BDN_TRY(Write(bytes, size > 0, guard));
  }
  return {};
}

Result<std::size_t> Channel::Fill(InputBuffer& buffer, std::size_t bytes_max, RateGuard& guard) {
  while (true) {
    const IoOutcome did = stream_.Read(buffer.Room(bytes_max));
    switch (did.kind) {
      case IoOutcome::Kind::kBytes:
        buffer.Filled(did.bytes);
        guard.OnBytes(did.bytes);
        return did.bytes;
      case IoOutcome::Kind::kWantRead:
      case IoOutcome::Kind::kWantWrite:
        BDN_TRY(WaitFor(did.kind, guard));
        break;
      case IoOutcome::Kind::kEnd:
        return std::size_t{0};
      case IoOutcome::Kind::kFailed:
        return PeerGone();
    }
  }
}

}  // namespace bdn::net
