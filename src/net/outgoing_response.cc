#include "net/outgoing_response.h"

#include <array>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "net/request_head.h"
#include "net/text.h"

namespace bdn::net {
namespace {

// Bodies up to here travel in the same write as the head.
constexpr std::size_t kInlineBodyBytesMax = 16 * 1024;

std::string_view Reason(int status) {
  static constexpr std::array<std::pair<int, std::string_view>, 39> kReasons{{
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {207, "Multi-Status"},
      {300, "Multiple Choices"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {411, "Length Required"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
      {507, "Insufficient Storage"},
  }};
  for (const auto& [code, text] : kReasons) {
    if (code == status) return text;
  }
  return "";  // RFC 9112 §4: the phrase may be empty
}

bool HasNoBody(int status) {
  return status == 204 || status == 304;
}

void AppendField(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  head += value;
  head += "\r\n";
}

std::optional<std::uint64_t> LengthOf(const Headers& headers) {
  const auto text = headers.Get("Content-Length");
  return text ? ParseDecimal(*text) : std::nullopt;
}

}  // namespace

OutgoingResponse::OutgoingResponse(Wiring wiring) : wiring_(std::move(wiring)) {}

void OutgoingResponse::For(const ServerRequest& request, int minor_version, bool keep_alive) {
  request_ = &request;
  is_head_ = request.method() == "HEAD";
  minor_version_ = minor_version;
  keep_alive_ = keep_alive;
}

Status OutgoingResponse::Check() const {
  if (aborted_) return Error(Code::kCancelled, "the answer was aborted");
  if (status_ != 0) return Error(Code::kInternal, "a second answer to one request");
  return {};
}

Status OutgoingResponse::Track(Status status) {
  if (!status) broken_ = true;
  return status;
}

Status OutgoingResponse::WriteHead(int status,
                                   const Headers& headers,
                                   Framing framing,
                                   std::uint64_t length,
                                   std::string_view body,
                                   bool more) {
  std::string head;
  head.reserve(512 + body.size());
  head += "HTTP/1.1 ";
  head += std::to_string(status);
  head += ' ';
  head += Reason(status);
  head += "\r\n";
  bool has_date = false;
  for (const auto& [name, value] : headers.fields()) {
    if (!IsToken(name) || !IsFieldValue(value)) {
      return Error(Code::kInternal, "the answer's header field \"" + name + "\" is malformed");
    }
    // How the message is framed is decided here alone.
    if (EqualsIgnoreCase(name, "Content-Length") || EqualsIgnoreCase(name, "Transfer-Encoding")) {
      continue;
    }
    if (EqualsIgnoreCase(name, "Connection")) {
      if (ListHasToken(value, "close")) keep_alive_ = false;
      continue;
    }
    has_date = has_date || EqualsIgnoreCase(name, "Date");
    AppendField(head, name, value);
  }
  if (!has_date) AppendField(head, "Date", FormatHttpDate(wiring_.clock.Now()));
  if (framing == Framing::kLength) AppendField(head, "Content-Length", std::to_string(length));
  if (framing == Framing::kChunked) AppendField(head, "Transfer-Encoding", "chunked");
  if (framing == Framing::kUntilClose) keep_alive_ = false;
  if (wiring_.is_last()) keep_alive_ = false;
  if (!keep_alive_) AppendField(head, "Connection", "close");
  head += "\r\n";
  head += body;
  status_ = status;
  framing_ = framing;
  return Track(wiring_.channel.Write(head, more, wiring_.guard));
}

Status OutgoingResponse::Send(int status, Headers headers, std::string_view body) {
  BDN_TRY(Check());
  BDN_CHECK(status >= 200 && status <= 599);
  if (HasNoBody(status)) return WriteHead(status, headers, Framing::kNone, 0, {}, false);
  if (is_head_) {
    // A handler that knows the length without having the body says it in the field.
    const std::uint64_t length = body.empty() ? LengthOf(headers).value_or(0) : body.size();
    return WriteHead(status, headers, Framing::kLength, length, {}, false);
  }
  const bool in_one = body.size() <= kInlineBodyBytesMax;
  const std::string_view with_head = in_one ? body : std::string_view();
  BDN_TRY(WriteHead(status, headers, Framing::kLength, body.size(), with_head, !in_one));
  if (in_one) return {};
  return Track(wiring_.channel.Write(body, false, wiring_.guard));
}

Status OutgoingResponse::SendContent(Headers headers,
                                     const Body& body,
                                     const std::function<Status(ByteRange)>& send_range) {
  BDN_TRY(Check());
  static const Headers kNoHeaders;
  const Headers& asked = request_ != nullptr ? request_->headers() : kNoHeaders;
  const std::string_view method = request_ != nullptr ? request_->method() : "GET";
  const ContentPlan plan = PlanContent(method, asked, body.etag, body.size);
  if (!body.etag.empty()) headers.Set("ETag", body.etag);
  if (plan.status == 304) return Send(304, std::move(headers), {});
  if (plan.status == 412) {
    return SendError(*this, Error(Code::kFailedPrecondition, "the entity tag does not match"));
  }
  headers.Set("Accept-Ranges", "bytes");
  const std::string total = std::to_string(body.size);
  if (plan.status == 416) {
    headers.Set("Content-Range", "bytes */" + total);
    headers.Set("Content-Type", "application/json");
    const Error error(Code::kInvalidArgument, "the range lies behind the end: size is " + total);
    return Send(416, std::move(headers), ErrorJson(error));
  }
  if (plan.status == 206) {
    headers.Set("Content-Range", "bytes " + std::to_string(plan.range.begin) + "-" +
                                     std::to_string(plan.range.end - 1) + "/" + total);
  }
  if (!headers.Has("Content-Type")) headers.Set("Content-Type", body.content_type);
  const bool has_body = !is_head_ && plan.range.size() > 0;
  BDN_TRY(WriteHead(plan.status, headers, Framing::kLength, plan.range.size(), {}, has_body));
  if (!has_body) return {};
  return Track(send_range(plan.range));
}

Status OutgoingResponse::SendFile(Headers headers, const Body& body) {
  BDN_CHECK(body.file != nullptr);
  return SendContent(std::move(headers), body, [&](ByteRange range) {
    return wiring_.channel.SendFile(*body.file, body.offset + range.begin, range.size(),
                                    wiring_.guard);
  });
}

Status OutgoingResponse::SendBytes(Headers headers,
                                   std::string_view bytes,
                                   const Body& description) {
  Body body = description;
  body.offset = 0;
  body.size = bytes.size();
  return SendContent(std::move(headers), body, [&](ByteRange range) {
    return wiring_.channel.Write(bytes.substr(range.begin, range.size()), false, wiring_.guard);
  });
}

Status OutgoingResponse::Begin(int status, Headers headers) {
  BDN_TRY(Check());
  BDN_CHECK(status >= 200 && status <= 599 && !HasNoBody(status));
  const auto length = LengthOf(headers);
  Framing framing = minor_version_ == 0 ? Framing::kUntilClose : Framing::kChunked;
  if (length) framing = Framing::kLength;
  left_ = length.value_or(0);
  BDN_TRY(WriteHead(status, headers, framing, left_, {}, false));
  streaming_ = true;
  if (is_head_) left_ = 0;
  if (wiring_.on_stream) wiring_.on_stream();
  return {};
}

Status OutgoingResponse::Write(std::string_view bytes) {
  if (aborted_) return Error(Code::kCancelled, "the answer was aborted");
  if (broken_) return Error(Code::kUnavailable, "the client closed the connection");
  if (!streaming_) return Error(Code::kInternal, "Write without Begin");
  if (bytes.empty() || is_head_) return {};  // an empty chunk would end the body
  if (framing_ == Framing::kLength) {
    if (bytes.size() > left_) return Track(Error(Code::kInternal, "more than the Content-Length"));
    left_ -= bytes.size();
  }
  if (framing_ != Framing::kChunked) {
    return Track(wiring_.channel.Write(bytes, false, wiring_.guard));
  }
  std::array<char, 20> size_line{};
  char* end = std::to_chars(size_line.data(), size_line.data() + 16, bytes.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  const std::string_view size_text(size_line.data(),
                                   static_cast<std::size_t>(end - size_line.data()));
  if (bytes.size() <= kInlineBodyBytesMax) {
    std::string chunk;
    chunk.reserve(size_text.size() + bytes.size() + 2);
    chunk.append(size_text).append(bytes).append("\r\n");
    return Track(wiring_.channel.Write(chunk, false, wiring_.guard));
  }
  BDN_TRY(Track(wiring_.channel.Write(size_text, true, wiring_.guard)));
  BDN_TRY(Track(wiring_.channel.Write(bytes, true, wiring_.guard)));
  return Track(wiring_.channel.Write("\r\n", false, wiring_.guard));
}

void OutgoingResponse::Abort(bool reset) {
  aborted_ = true;
  reset_ = reset;
  broken_ = true;
}

bool OutgoingResponse::Finish() {
  if (broken_ || status_ == 0) return false;
  if (streaming_ && framing_ == Framing::kChunked && !is_head_) {
    if (!Track(wiring_.channel.Write("0\r\n\r\n", false, wiring_.guard))) return false;
  }
  // A stream that ended before its length was reached can only be told by closing.
  if (left_ > 0 && streaming_) {
    broken_ = true;
    return false;
  }
  return keep_alive_;
}

}  // namespace bdn::net
