#include "source/https_sinks.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "cloud/hugging_face_hub.h"
#include "source/https.h"

namespace bdn::source {
namespace {

constexpr std::size_t kHttpsErrorBytesMax = 2048;

std::string HttpsShown(std::string_view text) {
  return cloud::Printable(text, 300);
}

}  // namespace

std::string HttpsValidator(const net::Headers& headers) {
  // An empty tag tells nothing apart.
  if (const auto etag = headers.Get("ETag"); etag && *etag != "\"\"" && *etag != "W/\"\"") {
    if (!etag->empty()) return std::string(*etag);
  }
  if (const auto date = headers.Get("Last-Modified"); date && ParseHttpDate(*date)) {
    return std::string(kHttpsDateMark) + std::string(*date);
  }
  return {};
}

std::string HttpsEncoding(const net::Headers& headers) {
  const auto value = headers.Get("Content-Encoding");
  if (!value || value->empty() || *value == "identity") return {};
  return std::string(*value);
}

std::optional<std::uint64_t> HttpsContentLength(const net::Headers& headers) {
  const auto text = headers.Get("Content-Length");
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const char* end = text->data() + text->size();
  const auto [rest, bad] = std::from_chars(text->data(), end, value);
  if (bad != std::errc() || rest != end) return std::nullopt;
  return value;
}

// ---- the probe ----------------------------------------------------------------------------------

Status HttpsProbeSink::OnHead(const net::ResponseHead& answer) {
  head = answer;
  return {};
}

Status HttpsProbeSink::Write(std::span<const std::byte> piece) {
  if (good() && count_) {
    if (piece.size() > kHttpsCountedBytesMax - bytes) {
      problem = Error(Code::kUnsupported,
                      fmt::format("the server does not say how large the file is, or which version "
                                  "of it, and it has more than {} bytes",
                                  kHttpsCountedBytesMax))
                    .WithHint("publish it where answers have a Content-Length and an ETag");
      return *problem;
    }
    bytes += piece.size();
    hasher.Update(piece);
    return {};
  }
  bytes += piece.size();
  text.append(reinterpret_cast<const char*>(piece.data()),
              std::min(piece.size(), kHttpsErrorBytesMax - text.size()));
  if (bytes <= kHttpsErrorBytesMax) return {};
  cut = true;
  return Error(Code::kCancelled, "the rest of this answer is not wanted");
}

// ---- a range ------------------------------------------------------------------------------------

Error HttpsRangeSink::Bad(const std::string& how) const {
  return Error(Code::kUnavailable, fmt::format("{}: {} {}", HttpsShown(file_.path), host_, how));
}

Error HttpsRangeSink::Changed(const std::string& how) const {
  return Error(Code::kFailedPrecondition,
               fmt::format("source changed: {} at {} {}", HttpsShown(file_.path), host_, how));
}

Status HttpsRangeSink::CheckWhole(const net::ResponseHead& answer) {
  const auto length = HttpsContentLength(answer.headers);
  if (length && *length != file_.size) {
    return Changed(fmt::format("has {} bytes now and had {}", *length, file_.size));
  }
  if (file_.size >= kHttpsStreamBytesMin && (*pos_ > 0 || end_ < file_.size)) {
    without_ranges_ = true;
    return Bad("does not send ranges");
  }
  whole_ = true;
  skip_ = *pos_;
  return {};
}

Status HttpsRangeSink::Check(const net::ResponseHead& answer) {
  const std::string now = HttpsValidator(answer.headers);
  // A file that was pinned by its hash is checked by its hash.
  if (!file_.etag.starts_with(kHttpsHashMark) && now != file_.etag) {
    // Servers behind one name that do not agree look like this too; so does a page of errors.
    if (now.empty()) return Bad("sent neither the ETag nor the date that it sent before");
    return Changed("has another ETag or date than when it was listed");
  }
  if (const auto encoding = HttpsEncoding(answer.headers); !encoding.empty()) {
    return Bad(fmt::format("compressed the answer ({}) though it was asked not to",
                           cloud::Printable(encoding, 40)));
  }
  if (answer.status == 200) return CheckWhole(answer);
  if (answer.status != 206) return Bad(fmt::format("answered HTTP {} to a GET", answer.status));
  const auto span = answer.headers.Get("Content-Range");
  const auto got = span ? net::ParseContentRange(*span) : std::nullopt;
  if (!got) return Bad("sent a range without saying which");
  if (got->total != file_.size) {
    return Changed(fmt::format("has {} bytes now and had {}", got->total, file_.size));
  }
  if (got->range != net::ByteRange{*pos_, end_}) {
    return Bad(
        fmt::format("sent '{}' for bytes={}-{}", cloud::Printable(*span, 100), *pos_, end_ - 1));
  }
  return {};
}

Status HttpsRangeSink::OnHead(const net::ResponseHead& answer) {
  head = answer;
  if (refused()) return {};
  auto status = Check(answer);
  if (!status) problem_ = status.error();
  return status;
}

Status HttpsRangeSink::Write(std::span<const std::byte> bytes) {
  if (refused()) {
    text.append(reinterpret_cast<const char*>(bytes.data()),
                std::min(bytes.size(), kHttpsErrorBytesMax - text.size()));
    if (text.size() < kHttpsErrorBytesMax) return {};
    return Error(Code::kCancelled, "the rest of this answer is not wanted");
  }
  const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), skip_));
  skip_ -= skipped;
  bytes = bytes.subspan(skipped);
  const std::uint64_t wanted = end_ - *pos_;
  const bool more = bytes.size() > wanted;
  if (more && (!whole_ || end_ == file_.size)) {
    problem_ = whole_ ? Changed("has more bytes than when it was listed")
                      : Bad("sent more bytes than were asked for");
    return *problem_;
  }
  if (more) bytes = bytes.first(static_cast<std::size_t>(wanted));
  if (!bytes.empty()) {
    if (auto status = sink_(bytes); !status) {
      sink_error_ = status.error();
      return status;
    }
    *pos_ += bytes.size();
  }
  if (!more) return {};
  done_ = true;
  return Error(Code::kCancelled, "the rest of this answer is not wanted");
}

Status HttpsRangeSink::Finish(const Status& transfer, bool* final) const {
  *final = sink_error_.has_value();
  if (sink_error_) return *sink_error_;
  if (problem_) return *problem_;
  if (done_) return {};
  if (!transfer) return transfer;
  if (!head) return Bad("did not answer");
  if (*pos_ < end_) return Bad("ended the body early");
  return {};
}

}  // namespace bdn::source
