#pragma once
// A Hub in memory behind MemoryTransport: one repository with commits, paged listings, the four
// redirect shapes, a storage host on another port that refuses credentials, and addresses that
// end. A hook sees every request first and may answer it instead: that is where faults go in.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "net/http.h"
#include "net/testing/memory_transport.h"

namespace bdn::source::testing {

struct MemoryHubOptions {
  std::string endpoint = "https://huggingface.co";
  std::string storage = "https://huggingface.co:8443";  // the same host, another port
  std::string kind = "models";
  std::string id = "owner/name";
  std::size_t page_entries = 1000;
  std::string links_name = "https://huggingface.co";  // the host that Link headers name
  std::string token = {};                             // not empty: every call to the Hub needs it
  std::chrono::seconds address_life{3600};
  bool small_files_redirect = true;  // 307 to /api/resolve-cache/, else served at once
};

// Thread-safe; the hook must be too when calls are concurrent.
class MemoryHub {
 public:
  using Hook = std::function<std::optional<Result<net::HttpResponse>>(const net::HttpRequest&)>;

  explicit MemoryHub(const Clock& clock, MemoryHubOptions options = {});

  // Each call is a commit on main.
  void Publish(const std::string& path, const std::string& content);
  void PublishLfs(const std::string& path, const std::string& content);
  void Remove(const std::string& path);
  std::string head() const;  // main's commit

  void SetHook(Hook hook) { hook_ = std::move(hook); }
  // The regular answer, for hooks that change it.
  net::HttpResponse Answer(const net::HttpRequest& request);
  bool IsStorage(const net::HttpRequest& request) const;

  net::testing::MemoryTransport& transport() { return transport_; }
  // How many requests had `part` in their URL.
  std::size_t CountOf(std::string_view part) const;
  // Whether the token ever went anywhere but to the endpoint.
  bool token_leaked() const;

 private:
  struct File {
    std::string content;
    bool lfs = false;
  };
  using Tree = std::map<std::string, File>;
  struct State {
    std::map<std::string, Tree> commits;
    std::string head;
    Tree tree;
    int serial = 0;
  };
  void Commit(const std::function<void(Tree&)>& change);
  net::HttpResponse Info(const State& state, std::string_view revision) const;
  net::HttpResponse List(const State& state, std::string_view sha, const net::Url& url) const;
  net::HttpResponse ResolveFile(State& state,
                                const net::HttpRequest& request,
                                std::string_view sha,
                                const std::string& path) const;
  net::HttpResponse Storage(const State& state, const net::HttpRequest& request) const;

  const Clock& clock_;
  const MemoryHubOptions options_;
  const net::Url endpoint_;
  const net::Url storage_;
  Guarded<State> state_;
  Hook hook_;
  net::testing::MemoryTransport transport_;
};

// `content`, or the part of it that Range asks for, as 200, 206 or 416.
net::HttpResponse ServeContent(const net::HttpRequest& request, const std::string& content);
std::string GitBlobId(std::string_view content);

}  // namespace bdn::source::testing
