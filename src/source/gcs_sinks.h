#pragma once
// What takes the answers of Google Cloud Storage to downloads. Internal to gcs*.cc.
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "codec/gzip.h"
#include "crypto/hash.h"
#include "net/http.h"
#include "source/range_sink.h"
#include "source/source.h"

namespace bdn::source {

bool IsGzipEncoded(const net::Headers& headers);

// A range of what is stored, of exactly the pinned generation.
class GcsRangeSink final : public net::ResponseSink {
 public:
  // As PinnedRangeSink, which it stands in front of.
  GcsRangeSink(const RemoteFile& file,
               const ByteSink& sink,
               std::uint64_t* pos,
               std::uint64_t end,
               std::string host)
      : file_(file), host_(host), range_(file, sink, pos, end, std::move(host)) {}

  Status OnHead(const net::ResponseHead& answer) override;
  Status Write(std::span<const std::byte> bytes) override { return range_.Write(bytes); }
  Status Finish(const Status& transfer, bool* final) const;
  // Somebody compressed the answer on the way: it is to be asked for without gzip.
  bool compressed() const { return compressed_; }

 private:
  const RemoteFile& file_;
  const std::string host_;
  PinnedRangeSink range_;
  std::optional<Error> problem_;
  bool compressed_ = false;
};

// [*pos, end) of what a stored gzip stream holds, read from the stream's beginning.
class GcsGunzipSink final : public net::ResponseSink {
 public:
  GcsGunzipSink(const RemoteFile& file,
                const ByteSink& sink,
                std::uint64_t* pos,
                std::uint64_t end,
                std::string host);

  Status OnHead(const net::ResponseHead& answer) override;
  Status Write(std::span<const std::byte> bytes) override;
  Status Finish(const Status& transfer, bool* final) const;

 private:
  Status Deliver(std::span<const std::byte> content);
  Error Bad(const std::string& how) const;

  const RemoteFile& file_;
  const ByteSink& sink_;
  std::uint64_t* const pos_;
  const std::uint64_t end_;
  const std::string host_;
  codec::Gunzip gunzip_;
  std::uint64_t skip_;  // content in front of *pos
  bool done_ = false;
  std::optional<Error> problem_;
  std::optional<Error> sink_error_;
};

// Reads a stored gzip stream to its end: its own hashes, and size and SHA-256 of its content.
class GcsMeasureSink final : public net::ResponseSink {
 public:
  explicit GcsMeasureSink(std::string generation);

  Status OnHead(const net::ResponseHead& answer) override;
  Status Write(std::span<const std::byte> bytes) override;

  struct Measure {
    std::uint64_t stored_size = 0;
    std::string md5;
    std::string crc32c;
    std::uint64_t size = 0;
    std::string sha256;
    // The content is no gzip, or larger than allowed: what is stored was read all the same.
    std::optional<Error> damage;
  };
  Measure Finish();

 private:
  const std::string generation_;
  crypto::Hasher md5_{crypto::HashKind::kMd5};
  crypto::Hasher crc32c_{crypto::HashKind::kCrc32c};
  crypto::Hasher sha256_{crypto::HashKind::kSha256};
  codec::Gunzip gunzip_;
  std::uint64_t stored_size_ = 0;
  std::optional<Error> damage_;
};

}  // namespace bdn::source
