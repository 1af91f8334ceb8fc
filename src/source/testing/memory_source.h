#pragma once
// A source that lives in memory and remembers what was asked of it. Like an object store and unlike
// a git host it keeps no history: what changed after the pin is "source changed".
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "source/source.h"

namespace bdn::source::testing {

// Thread-safe.
class MemorySource final : public Source {
 public:
  struct File {
    std::string content;
    ContentHash hash_kind = ContentHash::kNone;
    std::string hash;
    std::string etag;  // empty: Publish makes one that changes with every call
    std::string version;
    bool hash_by_describe = false;  // the listing does not tell the hash, Describe does
  };
  struct ReadCall {
    std::string path;
    net::ByteRange range;
  };

  explicit MemorySource(std::string identity = "memory://source", std::size_t piece_bytes = 4096)
      : identity_(std::move(identity)), piece_bytes_(piece_bytes) {}

  // --- the publisher's side ---
  // Adds or replaces a file; the pin of the source changes ("rev-<n>").
  void Publish(std::string path, std::string content);
  void Publish(std::string path, File file);
  void Remove(const std::string& path);
  // Changes bytes without changing etag or pin: a lying source.
  void Damage(const std::string& path, std::uint64_t offset);
  // Flips the byte at `offset` in the next `times` reads that cover it.
  void FlipByte(const std::string& path, std::uint64_t offset, int times);
  // Runs at the start of every Read, on the reading thread, without a lock held; its error is what
  // Read returns.
  void OnRead(std::function<Status(const Context&, const ReadCall&)> hook);
  void Warn(std::string warning);

  // --- what was asked ---
  std::vector<ReadCall> reads() const;
  std::uint64_t bytes_served() const;  // handed to sinks
  int resolves() const;
  int lists() const;
  int describes() const;
  int concurrent_reads_max() const;
  void ForgetCalls();

  // --- Source ---
  Result<Pin> Resolve(const Context& ctx) override;
  Result<std::vector<RemoteFile>> List(const Context& ctx, const Pin& pin) override;
  Result<RemoteFile> Describe(const Context& ctx, const Pin& pin, const RemoteFile& file) override;
  Status Read(const Context& ctx,
              const Pin& pin,
              const RemoteFile& file,
              net::ByteRange range,
              const ByteSink& sink) override;

 private:
  struct Flip {
    std::string path;
    std::uint64_t offset = 0;
    int times = 0;
  };
  struct State {
    std::map<std::string, File> files;
    std::uint64_t revision = 0;
    std::vector<Flip> flips;
    std::vector<std::string> warnings;
    std::function<Status(const Context&, const ReadCall&)> hook;
    std::vector<ReadCall> reads;
    std::uint64_t bytes_served = 0;
    int resolves = 0;
    int lists = 0;
    int describes = 0;
    int reading = 0;
    int reading_max = 0;
  };
  Result<std::string> BytesOf(const Pin& pin, const RemoteFile& file, net::ByteRange range);
  Status Deliver(const Context& ctx, const std::string& bytes, const ByteSink& sink);

  const std::string identity_;
  const std::size_t piece_bytes_;
  Guarded<State> state_;
};

}  // namespace bdn::source::testing
