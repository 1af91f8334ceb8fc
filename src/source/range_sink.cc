#include "source/range_sink.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cloud/hugging_face_hub.h"

namespace bdn::source {

std::string PlainETag(std::string_view value) {
  return cloud::NormalizeETag(value);
}

Status CheckRange(const RemoteFile& file, net::ByteRange range) {
  if (range.begin <= range.end && range.end <= file.size) return {};
  return Error(Code::kInvalidArgument,
               fmt::format("{}: the range [{}, {}) does not lie in its {} bytes", file.path,
                           range.begin, range.end, file.size));
}

PinnedRangeSink::PinnedRangeSink(const RemoteFile& file,
                                 const ByteSink& sink,
                                 std::uint64_t* pos,
                                 std::uint64_t end,
                                 std::string host)
    : file_(file), sink_(sink), pos_(pos), end_(end), host_(std::move(host)) {}

Error PinnedRangeSink::Bad(const std::string& how) const {
  return Error(Code::kUnavailable,
               fmt::format("{}: {} {}", cloud::Printable(file_.path, 300), host_, how));
}

Status PinnedRangeSink::CheckHead(const net::ResponseHead& head) {
  const auto etag = head.headers.Get("ETag");
  if (etag && !file_.etag.empty() && PlainETag(*etag) != file_.etag) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("source changed: {} has another ETag than was listed",
                             cloud::Printable(file_.path, 300)));
  }
  if (head.status == 200) {
    if (*pos_ == 0 && end_ == file_.size) return {};
    return Bad(
        fmt::format("ignored the range and sent the whole file for bytes={}-{}", *pos_, end_ - 1));
  }
  if (head.status != 206) return Bad(fmt::format("answered HTTP {} to a GET", head.status));
  const auto text = head.headers.Get("Content-Range");
  const auto got = text ? net::ParseContentRange(*text) : std::nullopt;
  if (!got) return Bad("sent a range without saying which");
  if (got->total != file_.size) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("source changed: {} has {} bytes now and had {} when it was listed",
                             cloud::Printable(file_.path, 300), got->total, file_.size));
  }
  if (got->range != net::ByteRange{*pos_, end_}) {
    return Bad(
        fmt::format("sent '{}' for bytes={}-{}", cloud::Printable(*text, 100), *pos_, end_ - 1));
  }
  return {};
}

Status PinnedRangeSink::OnHead(const net::ResponseHead& head) {
  auto status = CheckHead(head);
  if (!status) problem_ = status.error();
  return status;
}

Status PinnedRangeSink::Write(std::span<const std::byte> bytes) {
  if (bytes.size() > end_ - *pos_) {
    problem_ = Bad("sent more bytes than were asked for");
    return *problem_;
  }
  if (auto status = sink_(bytes); !status) {
    sink_error_ = status.error();
    return status;
  }
  *pos_ += bytes.size();
  return {};
}

Status PinnedRangeSink::Finish(const Status& transfer, bool* final) const {
  *final = sink_error_.has_value();
  if (sink_error_) return *sink_error_;
  if (problem_) return *problem_;
  if (!transfer) return transfer;
  if (*pos_ < end_) return Bad("ended the body early");
  return {};
}

}  // namespace bdn::source
