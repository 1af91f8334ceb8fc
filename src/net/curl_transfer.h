#pragma once
// One request on one libcurl handle. Private to src/net.
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <curl/curl.h>

#include "net/curl_transport.h"
#include "net/http.h"

namespace bdn::net {

// A handle pair that keeps its connections between transfers. One thread at a time.
struct CurlLane {
  CurlLane();
  ~CurlLane();
  CurlLane(const CurlLane&) = delete;
  CurlLane& operator=(const CurlLane&) = delete;

  CURLM* multi;
  CURL* easy;
  std::string origin;             // of the last transfer: whose connection lies in the cache
  std::vector<std::byte> buffer;  // body bytes on their way to the sink, kBodyBufferBytes
};

// Runs on the caller's thread: curl_multi_perform and curl_multi_poll in turn. A stop request wakes
// the poll by curl_multi_wakeup.
class CurlTransfer {
 public:
  CurlTransfer(const CurlTransportOptions& options,
               bool use_proxy,
               const Context& ctx,
               const HttpRequest& request,
               ResponseSink& sink,
               CurlLane& lane);
  ~CurlTransfer();
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  Status Run();

 private:
  void SetConnectionOptions();
  void SetRequestOptions();
  void SetHeaders(bool sends_body);
  void AddHeader(const std::string& line);

  CURLcode Drive();
  Status CheckLimits();
  int PollMilliseconds() const;
  Status Flush();
  Status OnHeaderLine(std::string_view line);
  Status DeliverHead();
  Status Outcome(CURLcode code);
  // Keeps the first error and returns false.
  bool Keep(Status status);

  static std::size_t HandleHeader(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t HandleBody(char* data, std::size_t size, std::size_t count, void* self);
  static curl_socket_t OpenSocket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int BeforeRequest(void* self, char*, char*, int, int);
  static int OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t uploaded);
  static CURLcode AddAuthorities(CURL*, void* ssl_ctx, void* self);

  const CurlTransportOptions& options_;
  const bool use_proxy_;
  const Context& ctx_;
  const HttpRequest& request_;
  ResponseSink& sink_;
  CurlLane& lane_;

  curl_slist* header_list_ = nullptr;
  char error_text_[CURL_ERROR_SIZE] = {};
  enum class HeadState { kStatusLine, kFields, kDelivered } head_state_ = HeadState::kStatusLine;
  ResponseHead head_;
  std::size_t head_bytes_ = 0;  // of all heads, so that endless 1xx answers end too
  std::size_t buffered_ = 0;
  curl_off_t uploaded_ = 0;
  bool started_ = false;  // connected; from here the stall timeout counts
  MonoTime last_progress_;
  std::optional<Error> failure_;  // the sink's, a limit's or our own
  std::optional<Error> denied_;   // the address guard's
};

}  // namespace bdn::net
