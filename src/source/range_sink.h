#pragma once
// Takes the answer to one ranged GET of a file at a pin: only what is exactly the range of exactly
// that version goes on to the caller. For providers that name versions by ETags; internal to
// src/source.
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "net/http.h"
#include "source/source.h"

namespace bdn::source {

// "W/"…"" without quotes and mark of weakness.
std::string PlainETag(std::string_view value);

// kInvalidArgument unless the range lies in the file.
Status CheckRange(const RemoteFile& file, net::ByteRange range);

class PinnedRangeSink final : public net::ResponseSink {
 public:
  // [pos, end) of `file` is wanted; *pos follows what the caller has got. An answer with the
  // whole file is taken when the whole file is wanted.
  PinnedRangeSink(const RemoteFile& file,
                  const ByteSink& sink,
                  std::uint64_t* pos,
                  std::uint64_t end,
                  std::string host);

  Status OnHead(const net::ResponseHead& head) override;
  Status Write(std::span<const std::byte> bytes) override;

  // How the attempt ended, given what the transport said; nothing when all bytes came.
  // `*final` is set when trying again cannot help: the caller's own error.
  Status Finish(const Status& transfer, bool* final) const;

 private:
  Error Bad(const std::string& how) const;
  Status CheckHead(const net::ResponseHead& head);

  const RemoteFile& file_;
  const ByteSink& sink_;
  std::uint64_t* const pos_;
  const std::uint64_t end_;
  const std::string host_;
  std::optional<Error> problem_;
  std::optional<Error> sink_error_;
};

}  // namespace bdn::source
