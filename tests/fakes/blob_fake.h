#pragma once
// The project's own stand-in for the Azure Blob service and for the token endpoint of Entra ID:
// enough of the REST API for real clients to list and read, on one port. README.md says what it
// does.
//
//   auto azure = BlobFake::Start({.containers = {{"acme", "models"}}});
//   (*azure)->Put("acme", "models", "w/a.bin", {.content = MakeContent("…")});
//   (*azure)->faults().Add({.kind = FaultKind::kReset, .method = "GET", .after_bytes = 1 << 20});
//   … AZURE_STORAGE_BLOB_ENDPOINT = (*azure)->url() …
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/jwt.h"
#include "base/clock.h"
#include "base/guarded.h"
#include "base/result.h"
#include "fakes/blob_auth.h"
#include "fakes/delivery.h"
#include "fakes/fault_plan.h"
#include "fakes/traffic_log.h"
#include "net/server.h"

namespace bdn::fakes {

// An application: "TENANT/CLIENT", its secret, and what its tokens may do.
struct BlobApplication {
  std::string id;
  std::string secret;
  std::string rights = "rl";
  // Its federated credential, compared as Entra ID does: exactly. Empty: none.
  std::string issuer = {};
  std::string subject = {};
};

struct BlobFakeOptions {
  std::string listen = "127.0.0.1:0";
  std::map<std::string, std::string, std::less<>> keys = {};  // raw bytes, by account
  std::vector<BlobApplication> applications = {};
  std::size_t page_blobs = 5000;
  Duration token_life = std::chrono::hours(1);
  std::size_t workers = 32;
  const Clock* clock = &RealClock();
};

struct FakeBlob {
  ContentPtr content = {};
  std::string etag = {};  // made by Put
  std::string md5 = {};   // base64; may be empty, as of blobs that were written in blocks
  std::string tier = "Hot";
  std::map<std::string, std::string> metadata = {};
};

// Thread-safe.
class BlobFake {
 public:
  static Result<std::unique_ptr<BlobFake>> Start(BlobFakeOptions options);
  ~BlobFake();

  std::string url() const { return server_->base_url(); }

  // Makes the container too. The ETag depends on the content alone.
  void Put(const std::string& account,
           const std::string& container,
           const std::string& name,
           FakeBlob blob);
  // Everything below `directory`; Content-MD5 on files of up to kInMemoryBytesMax bytes.
  Status PutDirectory(const std::string& account,
                      const std::string& container,
                      const std::string& directory);
  TrafficLog& log() { return log_; }
  FaultPlan& faults() { return faults_; }
  void Stop();

 private:
  using Container = std::map<std::string, FakeBlob>;
  struct State {
    std::map<std::string, Container> containers;  // "account/container"
    BlobAccounts accounts;
    std::map<std::string, WallTime> token_ends;
  };

  explicit BlobFake(BlobFakeOptions options);
  Status Serve(net::ServerRequest& request, net::ServerResponse& response);
  Answer AnswerCall(net::ServerRequest& request);
  // blob_tokens.cc
  Answer AnswerToken(net::ServerRequest& request);
  // What Entra ID says of a token that is not the application's; empty when it is.
  std::string CheckAssertion(const BlobApplication& application, const std::string& token);
  Result<std::vector<auth::Jwk>> KeysOf(const std::string& issuer);
  Answer AnswerBlob(const FakeBlob& blob, const net::ServerRequest& request) const;
  Answer AnswerList(const Container& container,
                    const std::string& name,
                    const net::ServerRequest& request) const;
  // blob_control.cc: /_fake/…
  Status Control(net::ServerRequest& request, net::ServerResponse& response);
  Status ControlPut(net::ServerRequest& request);

  const BlobFakeOptions options_;
  const std::unique_ptr<net::Transport> issuers_;
  Guarded<State> state_;
  TrafficLog log_;
  FaultPlan faults_;
  std::atomic<std::uint64_t> rate_{0};
  std::atomic<std::uint64_t> next_token_{1};
  std::unique_ptr<net::Server> server_;
};

}  // namespace bdn::fakes
