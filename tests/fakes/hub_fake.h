#pragma once
// The project's own stand-in for the Hugging Face Hub: enough of its HTTP API for real clients to
// list and download, on one port, and a storage host (CDN) behind signed addresses on another. What
// it does and where it differs from the Hub: README.md.
//
//   auto hub = HubFake::Start({.tokens = {{"hf_reader"}}});
//   (*hub)->AddRepository({.id = "owner/name"});
//   (*hub)->Commit("models", "owner/name", {.files = {{"config.json", MakeContent("{}")}}});
//   (*hub)->faults().Add({.kind = FaultKind::kReset, .server = "cdn", .after_bytes = 1 << 20});
//   … HF_ENDPOINT = (*hub)->url() …
//   (*hub)->log().entries();
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "base/result.h"
#include "fakes/delivery.h"
#include "fakes/fault_plan.h"
#include "fakes/hub_store.h"
#include "fakes/traffic_log.h"
#include "net/server.h"

namespace bdn::fakes {

struct HubToken {
  std::string token;
  // Private and gated repositories that it opens; "*" for all.
  std::vector<std::string> repositories = {"*"};
};

struct HubFakeOptions {
  std::string listen = "127.0.0.1:0";
  std::string cdn_listen = "127.0.0.1:0";
  std::optional<net::TlsOptions> tls = std::nullopt;  // of both
  // What the Link of a listing names in place of url(), as "https://huggingface.co".
  std::string links_name = {};
  std::size_t page_entries = 1000;
  LfsRule lfs = {};
  // Without any, every token is as good as none. A token that is not here is 401 everywhere.
  std::vector<HubToken> tokens = {};
  Duration signed_url_life = std::chrono::hours(1);
  // Requests per window before 429; the Hub's are 500 and 3000 without a token.
  std::uint64_t api_quota = 1'000'000;
  std::uint64_t resolver_quota = 1'000'000;
  Duration window = std::chrono::minutes(5);
  // A larger object is refused with 400 unless a range is asked for; 0: never.
  std::uint64_t cdn_whole_bytes_max = 50'000'000'000;
  std::uint64_t bytes_per_second = 0;  // per connection; 0: as fast as it goes
  std::size_t workers = 64;
  const Clock* clock = &RealClock();  // for expiry, windows and rates
};

struct HubCommit {
  std::map<std::string, ContentPtr> files = {};
  std::vector<std::string> removed = {};
  std::string branch = "main";
  bool replace = false;  // the commit holds `files` alone
};

// Thread-safe.
class HubFake {
 public:
  static Result<std::unique_ptr<HubFake>> Start(HubFakeOptions options);
  ~HubFake();

  std::string url() const { return hub_->base_url(); }
  std::string cdn_url() const { return cdn_->base_url(); }

  Status AddRepository(HubRepository repository);
  // Returns the SHA.
  Result<std::string> Commit(std::string_view kind, std::string_view id, HubCommit commit);
  // The tree is exactly what lies below `directory`.
  Result<std::string> CommitDirectory(std::string_view kind,
                                      std::string_view id,
                                      const std::string& directory,
                                      const std::string& branch = "main");
  Status SetRef(std::string_view kind,
                std::string_view id,
                const std::string& ref,
                const std::string& sha);
  Status Rename(std::string_view kind, std::string_view id, const std::string& new_id);
  // Changes private, gated, disabled.
  Status Change(std::string_view kind,
                std::string_view id,
                const std::function<void(HubRepository&)>& change);

  TrafficLog& log() { return log_; }
  FaultPlan& faults() { return faults_; }
  void SetRate(std::uint64_t bytes_per_second) { rate_ = bytes_per_second; }
  // Every signed address made so far gets 403 from now on.
  void ExpireUrls();
  // Runs before each request is answered, on a thread of the server; one at most, set before any
  // request.
  void OnRequest(std::function<void(const LogEntry&)> hook) { hook_ = std::move(hook); }
  // Closes listeners and cuts what is under way.
  void Stop();

 private:
  // What a path of the Hub names.
  struct Target {
    bool api = false;
    std::string kind;
    std::string id;
    std::string verb;               // "", "revision", "tree", "paths-info", "resolve", "raw", …
    std::vector<std::string> rest;  // behind the verb, as on the wire
    std::string raw_rest;           // "/" and verb and rest, as on the wire; empty for none
  };
  struct Window {
    MonoTime started{};
    std::uint64_t used = 0;
  };
  enum class Access : std::uint8_t { kMetadata, kContent };

  explicit HubFake(HubFakeOptions options);
  static std::optional<Target> ParseTarget(std::string_view path);

  Status Serve(bool cdn, net::ServerRequest& request, net::ServerResponse& response);
  Answer AnswerHub(net::ServerRequest& request);
  Answer AnswerCdn(net::ServerRequest& request);
  // Changes the answer as the fault demands; what concerns the body is left to Deliver.
  void ApplyToAnswer(const Fault& fault,
                     bool cdn,
                     const net::ServerRequest& request,
                     Answer* answer);
  // Counts the request; adds RateLimit fields, and makes it a 429 when the window is used up.
  void CountRequest(const net::ServerRequest& request, Answer* answer);

  // hub_api.cc. With the store locked.
  Answer AnswerRepository(const HubStore& store,
                          const Target& target,
                          net::ServerRequest& request,
                          const std::string& body);
  std::optional<Answer> Deny(const HubRepository* repository,
                             const net::ServerRequest& request,
                             Access access) const;
  Answer Info(const HubRepository& repository, const std::string& sha) const;
  Answer Tree(const HubRepository& repository,
              const std::string& sha,
              const Target& target,
              const net::ServerRequest& request) const;
  Answer PathsInfo(const HubRepository& repository,
                   const std::string& sha,
                   const std::string& body) const;
  Answer ResolveFile(const HubRepository& repository,
                     const std::string& sha,
                     const Target& target,
                     const net::ServerRequest& request);
  std::string SignedUrl(const HubFile& file);
  std::string Signature(std::string_view path, std::string_view expires, std::string_view serial);

  // hub_control.cc: /_fake/…
  Status Control(net::ServerRequest& request, net::ServerResponse& response);
  Result<std::string> ControlCommit(net::ServerRequest& request);
  Status ControlRepository(net::ServerRequest& request);

  const HubFakeOptions options_;
  Guarded<HubStore> store_;
  TrafficLog log_;
  FaultPlan faults_;
  std::atomic<std::uint64_t> rate_;
  std::atomic<std::uint64_t> next_serial_{1};
  std::atomic<std::uint64_t> expired_below_{0};  // serials of signed addresses
  Guarded<std::map<std::string, Window>> windows_;
  std::function<void(const LogEntry&)> hook_;
  std::unique_ptr<net::Server> hub_;
  std::unique_ptr<net::Server> cdn_;
};

}  // namespace bdn::fakes
