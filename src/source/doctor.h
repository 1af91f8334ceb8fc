#pragma once
// Tries everything that a mirror of a source will do, call by call, and says what is missing: the
// address, the credential, the right to list, the right to read, ranges. The calls are those of the
// Source itself; what the steps say is read off its traffic.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/guarded.h"
#include "base/result.h"
#include "model/source_uri.h"
#include "net/http.h"
#include "source/source_factory.h"

namespace bdn::source {

enum class StepState : std::uint8_t { kOk, kFailed, kSkipped };
std::string_view StepStateName(StepState state);  // "ok", "failed", "skipped"

struct DoctorStep {
  std::string name;  // "credentials", "address", …; see docs/operations.md
  StepState state = StepState::kSkipped;
  std::string detail;  // what was found, or why it failed, or why it was not tried
  std::string fix;     // of a failed step: the permission that is missing and what to do
};

struct DoctorReport {
  std::string source;
  std::vector<DoctorStep> steps;  // always all of them, in order
  std::vector<std::string> warnings;
  bool ok() const;  // no step failed
};

// One request and what came of it; no credentials, no bodies.
struct RecordedExchange {
  std::string host;
  bool tls = false;
  int status = 0;                // 0: no answer
  std::optional<Duration> skew;  // the server's clock minus ours
  std::optional<Error> error;    // why there is no answer
};

// Hands everything on to `inner`, which outlives it, and remembers it. Thread-safe.
class RecordingTransport final : public net::Transport {
 public:
  explicit RecordingTransport(net::Transport& inner) : inner_(inner) {}
  Status Fetch(const Context& ctx,
               const net::HttpRequest& request,
               net::ResponseSink& sink) override;
  std::vector<RecordedExchange> exchanges() const {
    return exchanges_.With([](const std::vector<RecordedExchange>& all) { return all; });
  }

 private:
  struct Watch;
  net::Transport& inner_;
  Guarded<std::vector<RecordedExchange>> exchanges_;
};

// Never fails: what goes wrong is in the steps. Reads one byte of one file, twice. `recorder` is
// environment.transport, and new. `environment.retry` should be short: a person waits.
DoctorReport Diagnose(const Context& ctx,
                      const model::SourceUri& uri,
                      const SourceCredentials& credentials,
                      const SourceEnvironment& environment,
                      const RecordingTransport& recorder);

// {"source","ok","steps":[{"name","state","detail","fix"}],"warnings":[…]}
std::string ToJson(const DoctorReport& report);
// kInvalidArgument names the place.
Result<DoctorReport> DoctorReportFromJson(std::string_view json);

}  // namespace bdn::source
