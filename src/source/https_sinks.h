#pragma once
// What takes the answers of a web server: the probe that learns about a file, and the range of a
// file at a pin. Internal to https*.cc.
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "crypto/hash.h"
#include "net/http.h"
#include "source/source.h"

namespace bdn::source {

// How a RemoteFile's etag spells what the server pinned it by: the ETag as it was sent ("…" or
// W/"…"), "last-modified " + date, or "sha256 " + hex when it sent neither.
inline constexpr std::string_view kHttpsDateMark = "last-modified ";
inline constexpr std::string_view kHttpsHashMark = "sha256 ";

// The ETag, else the date; empty when the answer has neither.
std::string HttpsValidator(const net::Headers& headers);
// The body's encoding when it is one that changes bytes ("gzip"); empty for none.
std::string HttpsEncoding(const net::Headers& headers);
std::optional<std::uint64_t> HttpsContentLength(const net::Headers& headers);

// Keeps the head and the beginning of an error's text; `count` also hashes the content.
class HttpsProbeSink final : public net::ResponseSink {
 public:
  explicit HttpsProbeSink(bool count) : count_(count) {}
  Status OnHead(const net::ResponseHead& answer) override;
  Status Write(std::span<const std::byte> bytes) override;

  bool good() const { return head && head->status >= 200 && head->status < 300; }
  std::optional<net::ResponseHead> head;
  std::uint64_t bytes = 0;
  std::string text;
  bool cut = false;  // ended by us: the rest was not wanted
  std::optional<Error> problem;
  crypto::Hasher hasher{crypto::HashKind::kSha256};

 private:
  const bool count_;
};

// Passes on exactly [*pos, end) of exactly the pinned content, from an answer with that range or
// from one with the whole file.
class HttpsRangeSink final : public net::ResponseSink {
 public:
  HttpsRangeSink(const RemoteFile& file,
                 const ByteSink& sink,
                 std::uint64_t* pos,
                 std::uint64_t end,
                 std::string host)
      : file_(file), sink_(sink), pos_(pos), end_(end), host_(std::move(host)) {}

  Status OnHead(const net::ResponseHead& answer) override;
  Status Write(std::span<const std::byte> bytes) override;
  // How the attempt ended; nothing when all bytes came. `*final`: the caller's own error, or one
  // that stays. An answer of 300 and more is not judged here: `head` and `text` have it.
  Status Finish(const Status& transfer, bool* final) const;

  bool refused() const { return head && head->status >= 300; }
  // The server sent the whole of a large file for a range: there is a better way to read it.
  bool without_ranges() const { return without_ranges_; }
  std::optional<net::ResponseHead> head;
  std::string text;  // the beginning of an error's body

 private:
  Status Check(const net::ResponseHead& answer);
  Status CheckWhole(const net::ResponseHead& answer);
  Error Bad(const std::string& how) const;
  Error Changed(const std::string& how) const;

  const RemoteFile& file_;
  const ByteSink& sink_;
  std::uint64_t* const pos_;
  const std::uint64_t end_;
  const std::string host_;
  std::uint64_t skip_ = 0;  // bytes of a whole body that lie in front
  bool whole_ = false;
  bool without_ranges_ = false;
  bool done_ = false;
  std::optional<Error> problem_;
  std::optional<Error> sink_error_;
};

}  // namespace bdn::source
