#include "net/curl_transfer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "net/text.h"

namespace bdn::net {
namespace {

using std::chrono::milliseconds;

// libcurl hands the body over in pieces of 16 KiB; sinks that write to disk or hash want more.
constexpr std::size_t kBodyBufferBytes = 256 * 1024;
constexpr long kReceiveBufferBytes = 256 * 1024;
constexpr std::size_t kHeadBytesMax = 256 * 1024;
// How long a poll may sleep when no limit is nearer. Cancellation does not wait for it; a clock
// that is not the machine's is looked at this often.
constexpr milliseconds kPollMax{1000};
// A lane serves one request at a time, so a second connection is only ever one to an older host.
constexpr long kConnectionsPerLane = 2;

// curl_easy_setopt is variadic: an int where it reads a long would be undefined behaviour.
template <class T>
void Set(CURL* easy, CURLoption option, T value) {
  static_assert(std::is_same_v<T, long> || std::is_same_v<T, curl_off_t> || std::is_pointer_v<T>);
  const CURLcode code = (curl_easy_setopt)(easy, option, value);
  BDN_CHECK(code == CURLE_OK);
}

long Milliseconds(Duration duration) {
  const auto ms = std::chrono::ceil<milliseconds>(duration).count();
  return static_cast<long>(std::clamp<std::int64_t>(ms, 1, 24 * 3600 * 1000));
}

std::string Seconds(Duration duration) {
  const auto ms = std::chrono::ceil<milliseconds>(duration).count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

bool IsCertificateError(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
         code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_INVALIDCERTSTATUS ||
         code == CURLE_SSL_PINNEDPUBKEYNOTMATCH;
}

// The codes whose error text is made of host names, ports and system messages only. Other texts may
// quote the response.
bool HasHarmlessText(CURLcode code) {
  return IsCertificateError(code) || code == CURLE_COULDNT_RESOLVE_HOST ||
         code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_COULDNT_CONNECT ||
         code == CURLE_SSL_CONNECT_ERROR || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
         code == CURLE_PARTIAL_FILE || code == CURLE_GOT_NOTHING;
}

}  // namespace

CurlLane::CurlLane() : multi(curl_multi_init()), easy(curl_easy_init()), buffer(kBodyBufferBytes) {
  BDN_CHECK(multi != nullptr && easy != nullptr);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kConnectionsPerLane);
}

CurlLane::~CurlLane() {
  curl_easy_cleanup(easy);
  curl_multi_cleanup(multi);
}

CurlTransfer::CurlTransfer(const CurlTransportOptions& options,
                           bool use_proxy,
                           const Context& ctx,
                           const HttpRequest& request,
                           ResponseSink& sink,
                           CurlLane& lane)
    : options_(options),
      use_proxy_(use_proxy),
      ctx_(ctx),
      request_(request),
      sink_(sink),
      lane_(lane),
      last_progress_(ctx.clock().Monotonic()) {}

CurlTransfer::~CurlTransfer() {
  // The handle outlives us in the pool and must not point here.
  curl_easy_reset(lane_.easy);
  curl_slist_free_all(header_list_);
}

Status CurlTransfer::Run() {
  curl_easy_reset(lane_.easy);
  SetConnectionOptions();
  SetRequestOptions();
  return Outcome(Drive());
}

void CurlTransfer::SetConnectionOptions() {
  CURL* easy = lane_.easy;
  Set(easy, CURLOPT_NOSIGNAL, 1L);
  Set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  Set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  Set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  Set(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
  Set(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  // Refused while a buffer of the last transfer is still there; that one has the right size
  // already.
  (void)(curl_easy_setopt)(easy, CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  Set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  Set(easy, CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(request_.limits.connect_timeout));
  // A resolver thread that hangs is left to end alone instead of being joined, so that cancellation
  // does not wait for a name server.
  Set(easy, CURLOPT_QUICK_EXIT, 1L);
  // Empty and not unset: unset means the environment.
  Set(easy, CURLOPT_PROXY, use_proxy_ ? options_.proxy.c_str() : "");
  Set(easy, CURLOPT_NOPROXY, "");
  Set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);

  Set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  Set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  Set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) {
    Set(easy, CURLOPT_SSL_CTX_FUNCTION, &AddAuthorities);
    Set(easy, CURLOPT_SSL_CTX_DATA, static_cast<void*>(this));
  }
  Set(easy, CURLOPT_OPENSOCKETFUNCTION, &OpenSocket);
  Set(easy, CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  Set(easy, CURLOPT_PREREQFUNCTION, &BeforeRequest);
  Set(easy, CURLOPT_PREREQDATA, static_cast<void*>(this));
  Set(easy, CURLOPT_HEADERFUNCTION, &HandleHeader);
  Set(easy, CURLOPT_HEADERDATA, static_cast<void*>(this));
  Set(easy, CURLOPT_WRITEFUNCTION, &HandleBody);
  Set(easy, CURLOPT_WRITEDATA, static_cast<void*>(this));
  Set(easy, CURLOPT_XFERINFOFUNCTION, &OnProgress);
  Set(easy, CURLOPT_XFERINFODATA, static_cast<void*>(this));
  Set(easy, CURLOPT_NOPROGRESS, 0L);
  Set(easy, CURLOPT_ERRORBUFFER, static_cast<char*>(error_text_));
}

void CurlTransfer::SetRequestOptions() {
  CURL* easy = lane_.easy;
  Set(easy, CURLOPT_URL, request_.url.ToString().c_str());  // libcurl copies
  Set(easy, CURLOPT_PATH_AS_IS, 1L);
  const bool bodiless = request_.method == "GET" || request_.method == "DELETE" ||
                        request_.method == "OPTIONS" || request_.method == "HEAD";
  const bool sends_body = !request_.body.empty() || !bodiless;
  if (sends_body) {
    Set(easy, CURLOPT_POST, 1L);
    Set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    Set(easy, CURLOPT_POSTFIELDS, request_.body.c_str());  // not copied; request_ outlives us
  } else if (request_.method == "HEAD") {
    Set(easy, CURLOPT_NOBODY, 1L);
  } else {
    Set(easy, CURLOPT_HTTPGET, 1L);
  }
  if (request_.method != "HEAD") Set(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  SetHeaders(sends_body);
}

void CurlTransfer::SetHeaders(bool sends_body) {
  for (const auto& [name, value] : request_.headers.fields()) {
    // libcurl's spelling of a header that is there and empty is "Name;".
    AddHeader(TrimBlanks(value).empty() ? name + ";" : name + ": " + value);
  }
  // "Name:" removes what libcurl would add by itself.
  if (sends_body && !request_.headers.Has("Expect")) AddHeader("Expect:");
  if (sends_body && !request_.headers.Has("Content-Type")) AddHeader("Content-Type:");
  if (header_list_ != nullptr) Set(lane_.easy, CURLOPT_HTTPHEADER, header_list_);
  Set(lane_.easy, CURLOPT_USERAGENT, options_.user_agent.c_str());
}

void CurlTransfer::AddHeader(const std::string& line) {
  curl_slist* longer = curl_slist_append(header_list_, line.c_str());
  BDN_CHECK(longer != nullptr);
  header_list_ = longer;
}

CURLcode CurlTransfer::Drive() {
  CURLcode code = CURLE_OK;
  const CURLMcode added = curl_multi_add_handle(lane_.multi, lane_.easy);
  BDN_CHECK(added == CURLM_OK);
  {
    const std::stop_callback wake(ctx_.stop(), [multi = lane_.multi] { curl_multi_wakeup(multi); });
    for (;;) {
      int running = 0;
      if (curl_multi_perform(lane_.multi, &running) != CURLM_OK) {
        code = CURLE_FAILED_INIT;
        break;
      }
      if (!failure_) Keep(Flush());
      if (running == 0) {
        int left = 0;
        while (const CURLMsg* message = curl_multi_info_read(lane_.multi, &left)) {
          if (message->msg == CURLMSG_DONE) code = message->data.result;
        }
        break;
      }
      if (failure_ || !Keep(CheckLimits())) break;
      curl_multi_poll(lane_.multi, nullptr, 0, PollMilliseconds(), nullptr);
    }
  }
  curl_multi_remove_handle(lane_.multi, lane_.easy);
  return code;
}

Status CurlTransfer::CheckLimits() {
  if (Status alive = ctx_.Check(); !alive) {
    return std::move(alive).error().Context(DescribeRequest(request_));
  }
  if (started_ && ctx_.clock().Monotonic() - last_progress_ >= request_.limits.stall_timeout) {
    return Error(Code::kTimeout, DescribeRequest(request_) + ": no byte for " +
                                     Seconds(request_.limits.stall_timeout));
  }
  return {};
}

int CurlTransfer::PollMilliseconds() const {
  Duration wait = kPollMax;
  if (const auto left = ctx_.remaining()) wait = std::min(wait, *left);
  if (started_) {
    const Duration idle = ctx_.clock().Monotonic() - last_progress_;
    wait = std::min(wait, request_.limits.stall_timeout - idle);
  }
  return static_cast<int>(Milliseconds(wait));
}

bool CurlTransfer::Keep(Status status) {
  if (status) return true;
  if (!failure_) failure_ = std::move(status).error();
  return false;
}

Status CurlTransfer::Flush() {
  if (buffered_ == 0) return {};
  const std::size_t size = std::exchange(buffered_, 0);
  BDN_TRY(sink_.Write(std::span(lane_.buffer).first(size)));
  last_progress_ = ctx_.clock().Monotonic();  // the time in the sink is not the server's
  // While bytes keep coming libcurl may not return to Drive for long.
  return CheckLimits();
}

std::size_t CurlTransfer::HandleBody(char* data, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  const std::size_t total = size * count;
  std::size_t taken = 0;
  transfer.last_progress_ = transfer.ctx_.clock().Monotonic();
  while (taken < total) {
    auto& buffer = transfer.lane_.buffer;
    const std::size_t piece = std::min(total - taken, buffer.size() - transfer.buffered_);
    std::memcpy(buffer.data() + transfer.buffered_, data + taken, piece);
    transfer.buffered_ += piece;
    taken += piece;
    if (transfer.buffered_ == buffer.size() && !transfer.Keep(transfer.Flush())) return 0;
  }
  return total;
}

std::size_t CurlTransfer::HandleHeader(char* data,
                                       std::size_t size,
                                       std::size_t count,
                                       void* self) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  const std::size_t total = size * count;
  transfer.last_progress_ = transfer.ctx_.clock().Monotonic();
  return transfer.Keep(transfer.OnHeaderLine(std::string_view(data, total))) ? total : 0;
}

// libcurl passes every line of every head (100 and 103 included) and, after the body, the trailers.
Status CurlTransfer::OnHeaderLine(std::string_view line) {
  head_bytes_ += line.size();
  if (head_bytes_ > kHeadBytesMax) {
    return Error(Code::kUnavailable, DescribeRequest(request_) +
                                         ": the response head is larger than " +
                                         std::to_string(kHeadBytesMax) + " bytes");
  }
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (head_state_ == HeadState::kDelivered) return {};
  if (head_state_ == HeadState::kStatusLine) {
    const auto blank = line.find(' ');
    const auto digits = blank == std::string_view::npos ? line : line.substr(blank + 1, 3);
    head_ = {.status = static_cast<int>(ParseDecimal(digits).value_or(0))};
    head_state_ = HeadState::kFields;
    return {};
  }
  if (line.empty()) return DeliverHead();
  const auto& fields = head_.headers.fields();
  if (line.front() == ' ' || line.front() == '\t') {  // a folded line, RFC 9112 §5.2
    if (fields.empty()) return {};
    auto [name, value] = fields.back();
    Headers unfolded;
    for (std::size_t i = 0; i + 1 < fields.size(); ++i) {
      unfolded.Add(fields[i].first, fields[i].second);
    }
    unfolded.Add(std::move(name), value + " " + std::string(TrimBlanks(line)));
    head_.headers = std::move(unfolded);
    return {};
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) return {};
  head_.headers.Add(std::string(line.substr(0, colon)),
                    std::string(TrimBlanks(line.substr(colon + 1))));
  return {};
}

Status CurlTransfer::DeliverHead() {
  if (head_.status >= 100 && head_.status < 200 && head_.status != 101) {
    head_state_ = HeadState::kStatusLine;  // interim; the final head follows (RFC 9110 §15.2)
    return {};
  }
  // Two lengths are two opinions on where the body ends (RFC 9112 §6.3).
  const auto length = head_.headers.Get("Content-Length");
  for (const auto& [name, value] : head_.headers.fields()) {
    if (EqualsIgnoreCase(name, "Content-Length") && value != *length) {
      return Error(Code::kUnavailable,
                   DescribeRequest(request_) + ": the response has two different Content-Lengths");
    }
  }
  head_state_ = HeadState::kDelivered;
  BDN_TRY(sink_.OnHead(head_));
  last_progress_ = ctx_.clock().Monotonic();
  return {};
}

curl_socket_t CurlTransfer::OpenSocket(void* self, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = nullptr;
  if (address->family == AF_INET) {
    bytes = &reinterpret_cast<const sockaddr_in*>(&address->addr)->sin_addr;
  } else if (address->family == AF_INET6) {
    bytes = &reinterpret_cast<const sockaddr_in6*>(&address->addr)->sin6_addr;
  }
  if (bytes == nullptr || inet_ntop(address->family, bytes, text.data(), text.size()) == nullptr) {
    return CURL_SOCKET_BAD;
  }
  // With a proxy every socket goes to it, and the operator named it.
  if (!transfer.use_proxy_) {
    Status allowed = transfer.options_.addresses.Check(transfer.request_.url.host, text.data());
    if (!allowed) {
      transfer.denied_ = std::move(allowed).error();
      return CURL_SOCKET_BAD;
    }
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int CurlTransfer::BeforeRequest(void* self, char*, char*, int, int) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  transfer.started_ = true;
  transfer.last_progress_ = transfer.ctx_.clock().Monotonic();
  return CURL_PREREQFUNC_OK;
}

int CurlTransfer::OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t uploaded) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  if (uploaded != transfer.uploaded_) {
    transfer.uploaded_ = uploaded;
    transfer.last_progress_ = transfer.ctx_.clock().Monotonic();
  }
  return 0;
}

CURLcode CurlTransfer::AddAuthorities(CURL*, void* ssl_ctx, void* self) {
  const auto& options = static_cast<CurlTransfer*>(self)->options_;
  const int ok = SSL_CTX_load_verify_locations(static_cast<SSL_CTX*>(ssl_ctx),
                                               options.ca_file.c_str(), nullptr);
  return ok == 1 ? CURLE_OK : CURLE_SSL_CACERT_BADFILE;
}

Status CurlTransfer::Outcome(CURLcode code) {
  if (failure_) return *std::move(failure_);
  const std::string what = DescribeRequest(request_) + ": ";
  if (code == CURLE_OK) {
    if (head_state_ == HeadState::kDelivered) return {};
    return Error(Code::kUnavailable, what + "the connection ended inside the response head");
  }
  if (denied_ && code == CURLE_COULDNT_CONNECT) {
    return (*std::move(denied_)).Context(DescribeRequest(request_));
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return Error(Code::kTimeout,
                 what + "no connection within " + Seconds(request_.limits.connect_timeout));
  }
  const bool quote = HasHarmlessText(code) && error_text_[0] != '\0';
  const std::string why = quote ? error_text_ : curl_easy_strerror(code);
  if (code == CURLE_SSL_CACERT_BADFILE) {
    return Error(Code::kPermissionDenied,
                 what + "the certificate authorities in " + options_.ca_file + " cannot be read");
  }
  if (IsCertificateError(code)) {
    return Error(Code::kPermissionDenied, what + "the server's certificate does not verify: " + why)
        .WithHint("Name the server's certificate authority in the CA file if it is a private one.");
  }
  return Error(Code::kUnavailable, what + why);
}

}  // namespace bdn::net
