#include "source/gcs_sinks.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cloud/hugging_face_hub.h"
#include "source/gcs.h"

namespace bdn::source {
namespace {

// Another generation than the one that was asked for; nullopt also when the answer names none.
std::optional<std::string> OtherGeneration(const net::Headers& headers,
                                           std::string_view generation) {
  const auto got = headers.Get("x-goog-generation");
  if (!got || *got == generation) return std::nullopt;
  return cloud::Printable(*got, 40);
}

Error GenerationChanged(std::string_view path, std::string_view host, std::string_view generation) {
  return Error(Code::kFailedPrecondition,
               fmt::format("source changed: {} at {} is generation {} now",
                           cloud::Printable(path, 300), host, generation));
}

}  // namespace

bool IsGzipEncoded(const net::Headers& headers) {
  const auto value = headers.Get("Content-Encoding");
  return value && (*value == "gzip" || *value == "x-gzip");
}

// ---- what is stored as it is --------------------------------------------------------------------

Status GcsRangeSink::OnHead(const net::ResponseHead& answer) {
  if (const auto other = OtherGeneration(answer.headers, file_.version)) {
    problem_ = GenerationChanged(file_.path, host_, *other);
    return *problem_;
  }
  if (IsGzipEncoded(answer.headers)) {
    compressed_ = true;
    problem_ = Error(Code::kUnavailable,
                     fmt::format("{}: {} compressed the answer, and the object is not stored so",
                                 cloud::Printable(file_.path, 300), host_));
    return *problem_;
  }
  // ETags of downloads are of another kind than those of listings: the generation is what counts.
  net::ResponseHead plain = answer;
  plain.headers.Remove("ETag");
  return range_.OnHead(plain);
}

Status GcsRangeSink::Finish(const Status& transfer, bool* final) const {
  *final = false;
  if (problem_) return *problem_;
  return range_.Finish(transfer, final);
}

// ---- what is stored compressed ------------------------------------------------------------------

GcsGunzipSink::GcsGunzipSink(const RemoteFile& file,
                             const ByteSink& sink,
                             std::uint64_t* pos,
                             std::uint64_t end,
                             std::string host)
    : file_(file),
      sink_(sink),
      pos_(pos),
      end_(end),
      host_(std::move(host)),
      gunzip_(file.size),
      skip_(*pos) {}

Error GcsGunzipSink::Bad(const std::string& how) const {
  return Error(Code::kUnavailable,
               fmt::format("{}: {} {}", cloud::Printable(file_.path, 300), host_, how));
}

Status GcsGunzipSink::OnHead(const net::ResponseHead& answer) {
  if (const auto other = OtherGeneration(answer.headers, file_.version)) {
    problem_ = GenerationChanged(file_.path, host_, *other);
  } else if (answer.status != 200 || !IsGzipEncoded(answer.headers)) {
    problem_ = Bad("did not send the object as it is stored");
  }
  if (problem_) return *problem_;
  return {};
}

Status GcsGunzipSink::Deliver(std::span<const std::byte> content) {
  const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(content.size(), skip_));
  skip_ -= skipped;
  content = content.subspan(skipped);
  const std::uint64_t wanted = end_ - *pos_;
  const bool last = content.size() >= wanted;
  if (last) content = content.first(static_cast<std::size_t>(wanted));
  if (!content.empty()) {
    if (auto status = sink_(content); !status) {
      sink_error_ = status.error();
      return status;
    }
    *pos_ += content.size();
  }
  if (!last) return {};
  done_ = true;
  return Error(Code::kCancelled, "the rest of this object is not wanted");
}

Status GcsGunzipSink::Write(std::span<const std::byte> bytes) {
  const Status status = gunzip_.Update(
      bytes, [this](std::span<const std::byte> content) { return Deliver(content); });
  if (!status && !done_ && !sink_error_) {
    // The generation is right, so the bytes were damaged on the way.
    problem_ = Bad("sent something else than the object: " + status.error().message());
  }
  return status;
}

Status GcsGunzipSink::Finish(const Status& transfer, bool* final) const {
  *final = sink_error_.has_value();
  if (sink_error_) return *sink_error_;
  if (done_) return {};
  if (problem_) return *problem_;
  if (!transfer) return transfer;
  return Bad("ended the body early");
}

// ---- the measure --------------------------------------------------------------------------------

GcsMeasureSink::GcsMeasureSink(std::string generation)
    : generation_(std::move(generation)), gunzip_(kGcsGunzipBytesMax) {}

Status GcsMeasureSink::OnHead(const net::ResponseHead& answer) {
  if (const auto other = OtherGeneration(answer.headers, generation_)) {
    return Error(Code::kFailedPrecondition, "source changed: it is generation " + *other + " now");
  }
  if (answer.status == 200 && IsGzipEncoded(answer.headers)) return {};
  return Error(Code::kUnavailable, "the object was not sent as it is stored");
}

Status GcsMeasureSink::Write(std::span<const std::byte> bytes) {
  stored_size_ += bytes.size();
  if (stored_size_ > kGcsGunzipBytesMax) {
    return Error(Code::kUnavailable, "more was sent than is stored");
  }
  md5_.Update(bytes);
  crc32c_.Update(bytes);
  if (damage_) return {};
  const Status status = gunzip_.Update(bytes, [this](std::span<const std::byte> content) {
    sha256_.Update(content);
    return Status();
  });
  // Is it damaged on the way, or stored so? The hashes tell, at the end.
  if (!status) damage_ = status.error();
  return {};
}

GcsMeasureSink::Measure GcsMeasureSink::Finish() {
  if (!damage_) {
    if (const Status status = gunzip_.Finish(); !status) damage_ = status.error();
  }
  return {.stored_size = stored_size_,
          .md5 = md5_.FinishHex(),
          .crc32c = crc32c_.FinishHex(),
          .size = gunzip_.size(),
          .sha256 = sha256_.FinishHex(),
          .damage = damage_};
}

}  // namespace bdn::source
