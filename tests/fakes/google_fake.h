#pragma once
// The project's own stand-in for the parts of Google that gs:// sources need, all on one port:
// Cloud Storage's JSON API, the OAuth token endpoint, the Security Token Service and
// generateAccessToken. Signatures, audiences, lifetimes and rights are really checked. What it does
// and where it differs: README.md.
//
//   auto google = GoogleFake::Start({});
//   (*google)->AddBucket({.name = "weights"});
//   (*google)->Put("weights", "m/config.json", {.content = MakeContent("{}")});
//   const auto key = (*google)->AddServiceAccount("reader@p.iam.gserviceaccount.com");
//   … BDN_GOOGLE_ENDPOINT = (*google)->url() …
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "auth/jwt.h"
#include "base/clock.h"
#include "base/guarded.h"
#include "base/result.h"
#include "fakes/content.h"
#include "fakes/delivery.h"
#include "fakes/fault_plan.h"
#include "fakes/traffic_log.h"
#include "net/server.h"

namespace bdn::fakes {

struct GoogleFakeOptions {
  std::string listen = "127.0.0.1:0";
  std::optional<net::TlsOptions> tls = std::nullopt;
  std::size_t page_entries = 1000;  // of a listing, at most
  Duration token_life = std::chrono::hours(1);
  std::uint64_t bytes_per_second = 0;  // per connection; 0: as fast as it goes
  std::size_t workers = 64;
  std::string ca_file = {};  // for reading issuers by https
  const Clock* clock = &RealClock();
};

struct GoogleBucket {
  std::string name;
  bool requester_pays = false;
  std::set<std::string> readers = {};  // e-mail addresses; empty: every account that is known
};

struct GoogleObject {
  ContentPtr content = {};  // as it is stored
  std::string content_encoding = {};
  bool composed = false;  // has no MD5
};

// A provider of a workload identity pool.
struct GoogleProvider {
  std::string name;  // "projects/1/locations/global/workloadIdentityPools/POOL/providers/NAME"
  std::string issuer;
  // Where the issuer's discovery document is read; empty: below the issuer itself.
  std::string discovery_base = {};
  std::vector<std::string> audiences = {};  // allowed; empty: the provider's own name
  std::string subject_prefix = {};          // the attribute condition: subjects begin so
  bool disabled = false;
};

// Thread-safe.
class GoogleFake {
 public:
  static Result<std::unique_ptr<GoogleFake>> Start(GoogleFakeOptions options);
  ~GoogleFake();

  std::string url() const { return server_->base_url(); }

  void AddBucket(GoogleBucket bucket);
  // Returns the generation. kNotFound without such a bucket.
  Result<std::string> Put(const std::string& bucket, const std::string& name, GoogleObject object);
  Status PutDirectory(const std::string& bucket,
                      const std::string& prefix,
                      const std::string& directory);
  Status Remove(const std::string& bucket, const std::string& name);
  // Makes the account when it is not there, and a key for it. Returns the key file.
  std::string AddServiceAccount(const std::string& email);
  // The keys that the account has so far are not taken any more.
  void DeleteKeys(const std::string& email);
  void SetProvider(GoogleProvider provider);
  // roles/iam.workloadIdentityUser on the account, for all of a provider's pool.
  void Bind(const std::string& email, const std::string& provider);
  // No access token that was given so far is taken any more.
  void ExpireTokens();

  TrafficLog& log() { return log_; }
  FaultPlan& faults() { return faults_; }
  void SetRate(std::uint64_t bytes_per_second) { rate_ = bytes_per_second; }
  void Stop();

 private:
  struct Stored {
    GoogleObject object;
    std::uint64_t generation = 0;
    std::string md5;     // base64
    std::string crc32c;  // base64
    std::string updated;
  };
  struct Bucket {
    GoogleBucket about;
    std::map<std::string, std::shared_ptr<const Stored>> objects;
  };
  struct Account {
    std::vector<auth::Jwk> keys;
    std::set<std::string> principals;  // pools whose identities may become the account
  };
  struct Token {
    std::string email;     // of storage tokens
    std::string provider;  // of exchanged tokens
    WallTime expires{};
  };
  struct State {
    std::map<std::string, Bucket> buckets;
    std::map<std::string, Account> accounts;
    std::map<std::string, GoogleProvider> providers;
    std::map<std::string, Token> tokens;
    std::uint64_t puts = 0;
  };

  explicit GoogleFake(GoogleFakeOptions options);
  Status Serve(net::ServerRequest& request, net::ServerResponse& response);
  Answer AnswerTo(std::string_view part, net::ServerRequest& request);

  // google_storage.cc
  Answer AnswerStorage(net::ServerRequest& request);
  std::optional<Answer> DenyStorage(State& state,
                                    const net::ServerRequest& request,
                                    const Bucket* bucket,
                                    std::string_view right);
  Answer List(const Bucket& bucket, const net::ServerRequest& request) const;
  Answer Download(const Bucket& bucket,
                  const std::string& name,
                  const Stored& stored,
                  const net::ServerRequest& request) const;
  boost::json::object Describe(const std::string& bucket,
                               const std::string& name,
                               const Stored& stored) const;

  // google_tokens.cc
  Answer AnswerOauth(net::ServerRequest& request);
  Answer AnswerSts(net::ServerRequest& request);
  Answer AnswerIam(net::ServerRequest& request);
  Result<std::vector<auth::Jwk>> KeysOf(const GoogleProvider& provider);
  // nullopt: the token is good; else what is wrong with it.
  std::optional<Answer> CheckSubject(const GoogleProvider& provider, const std::string& token);
  std::string GiveToken(Token token);
  std::optional<Token> FindToken(const net::ServerRequest& request);

  // google_control.cc: /_fake/…
  Status Control(net::ServerRequest& request, net::ServerResponse& response);
  Result<std::string> ControlObjects(const boost::json::value& json);
  Result<std::string> ControlAccount(const boost::json::value& json);
  Status ControlProvider(const boost::json::value& json);
  Status ControlBucket(const boost::json::value& json);

  const GoogleFakeOptions options_;
  Guarded<State> state_;
  TrafficLog log_;
  FaultPlan faults_;
  std::atomic<std::uint64_t> rate_;
  std::unique_ptr<net::Transport> issuers_;
  std::unique_ptr<net::Server> server_;
};

}  // namespace bdn::fakes
