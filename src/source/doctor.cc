#include "source/doctor.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "codec/json.h"

namespace bdn::source {
namespace {

constexpr std::array<std::string_view, 10> kStepNames = {
    "credentials", "address", "connection", "tls",   "clock",
    "accepted",    "list",    "read",       "range", "changes"};
// Signatures and tokens are refused when clocks differ by more than 5 to 15 minutes.
constexpr std::chrono::minutes kSkewMax{4};
constexpr std::size_t kExchangesMax = 1000;
constexpr std::string_view kNoEtag = "bdn-doctor-other-version";

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string PathPattern(const model::SourceUri& uri) {
  return uri.path.empty() ? "*" : uri.path + "/*";
}

// The right that `list` or `read` needs, as the provider calls it.
std::string RightFor(const model::SourceUri& uri, bool list) {
  switch (uri.scheme) {
    case model::Scheme::kS3:
    case model::Scheme::kCw:
      return list ? fmt::format(
                        "s3:ListBucket on arn:aws:s3:::{}{}", uri.bucket,
                        uri.path.empty()
                            ? ""
                            : fmt::format(" (a condition on s3:prefix must allow '{}/')", uri.path))
                  : fmt::format("s3:GetObject on arn:aws:s3:::{}/{}", uri.bucket, PathPattern(uri));
    case model::Scheme::kR2:
      return fmt::format("an API token of R2 with Object Read for the bucket {}", uri.bucket);
    case model::Scheme::kGs:
      return fmt::format("storage.objects.{} on the bucket {} (roles/storage.objectViewer has it)",
                         list ? "list" : "get", uri.bucket);
    case model::Scheme::kAzure:
      return fmt::format(
          "the role Storage Blob Data Reader on the container {}, or a SAS token "
          "with {} in its sp (sp=rl)",
          uri.bucket, list ? "l" : "r");
    case model::Scheme::kHf:
      return fmt::format(
          "a token with read access to {}; of gated repositories its account must "
          "have accepted the licence at https://huggingface.co/{}",
          uri.repo_id(), uri.repo_id());
    case model::Scheme::kHttps:
      return "what the server asks for: a token or headers, in a secret";
    case model::Scheme::kBt:
      return "an API key of the control plane";
  }
  return "";
}

// What to do to have that right.
std::string Grant(const model::SourceUri& uri, bool list) {
  switch (uri.scheme) {
    case model::Scheme::kR2:
    case model::Scheme::kHf:
    case model::Scheme::kBt:
      return "use " + RightFor(uri, list);
    case model::Scheme::kHttps:
      return "give " + RightFor(uri, list);
    case model::Scheme::kS3:
    case model::Scheme::kCw:
    case model::Scheme::kGs:
    case model::Scheme::kAzure:
      break;
  }
  return "allow " + RightFor(uri, list);
}

class Doctor {
 public:
  Doctor(const Context& ctx,
         const model::SourceUri& uri,
         const SourceCredentials& credentials,
         const RecordingTransport& recorder)
      : ctx_(ctx), uri_(uri), credentials_(credentials), recorder_(recorder) {
    report_.source = uri.Canonical();
    for (const std::string_view name : kStepNames)
      report_.steps.push_back({.name = std::string(name)});
  }

  DoctorReport Run(const SourceEnvironment& environment) {
    auto made = MakeSource(uri_, credentials_, environment);
    if (!made) {
      Fail("credentials", made.error(), "");
      SkipRest("the credentials cannot be used");
      return std::move(report_);
    }
    Ok("credentials", DescribeCredentials());
    source_ = *std::move(made);
    if (LookAtSource()) ReadOne();
    SkipRest("a step before it failed");
    return std::move(report_);
  }

 private:
  DoctorStep& Step(std::string_view name) {
    return *std::find_if(report_.steps.begin(), report_.steps.end(),
                         [&](const DoctorStep& step) { return step.name == name; });
  }
  void Set(std::string_view name, StepState state, std::string detail, std::string fix = {}) {
    DoctorStep& step = Step(name);
    step.state = state;
    step.detail = std::move(detail);
    step.fix = std::move(fix);
  }
  void Ok(std::string_view name, std::string detail) {
    Set(name, StepState::kOk, std::move(detail));
  }
  void Skip(std::string_view name, std::string detail) {
    Set(name, StepState::kSkipped, std::move(detail));
  }
  void Fail(std::string_view name, const Error& error, std::string fix) {
    if (!error.hint().empty()) fix = fix.empty() ? error.hint() : fix + ". " + error.hint();
    Set(name, StepState::kFailed, error.message(), std::move(fix));
  }
  // For errors that say themselves what to do; `otherwise` is for those that do not.
  void FailByHint(std::string_view name, const Error& error, std::string otherwise) {
    Fail(name, error, error.hint().empty() ? std::move(otherwise) : "");
  }
  // Refused credentials lack no right: what must change is the credentials.
  std::string OtherCredentials(bool list) const {
    return credentials_.secret ? "store credentials in the secret that are accepted"
                               : Grant(uri_, list);
  }
  void SkipRest(const std::string& why) {
    for (DoctorStep& step : report_.steps) {
      if (step.state == StepState::kSkipped && step.detail.empty()) step.detail = why;
    }
  }

  std::string DescribeCredentials() const;
  // The first exchange tells about the way there. False when nothing answered.
  bool LookAtTheWay(const Error* error);
  bool LookAtSource();
  void LookAtListing(const std::vector<RemoteFile>& files);
  void ReadOne();
  void LookAtRange(std::size_t first);
  void LookAtChanges(const RemoteFile& file);

  const Context& ctx_;
  const model::SourceUri& uri_;
  const SourceCredentials& credentials_;
  const RecordingTransport& recorder_;
  std::unique_ptr<Source> source_;
  Pin pin_;
  std::vector<RemoteFile> files_;
  DoctorReport report_;
};

std::string Doctor::DescribeCredentials() const {
  const model::WeightsAuth& auth = credentials_.auth;
  if (auth.method == model::AuthMethod::kAwsOidc) {
    return "the role " + auth.aws_oidc_role_arn + ", by a token of bdn's issuer";
  }
  if (auth.method == model::AuthMethod::kGcpOidc) {
    return "the service account " + auth.gcp_oidc_service_account + ", by a token of bdn's issuer";
  }
  return credentials_.secret ? "a secret of the right form" : "none: without credentials";
}

bool Doctor::LookAtTheWay(const Error* error) {
  const auto exchanges = recorder_.exchanges();
  if (exchanges.empty()) {
    if (error != nullptr) Fail("accepted", *error, "");
    return false;
  }
  // The last try of the first host: the one before may have been unlucky.
  const std::string host = exchanges.front().host;
  const auto last = std::find_if(exchanges.rbegin(), exchanges.rend(),
                                 [&](const RecordedExchange& e) { return e.host == host; });
  if (last->status == 0 && last->error) {
    const Error& why = *last->error;
    const std::string& text = why.message();
    if (Has(text, "refused to connect to")) {
      FailByHint("address", why,
                 "an operator who wants this allows it: --allow-private or BDN_ALLOW_PRIVATE");
    } else if (Has(text, "resolve host") || Has(text, "resolve proxy")) {
      Fail("address", why, "check the spelling, and this machine's DNS");
    } else if (Has(text, "certificate") || Has(text, "SSL") || Has(text, "TLS")) {
      Ok("address", host);
      Ok("connection", host);
      Fail("tls", why, "a private certificate authority is named with SSL_CERT_FILE");
    } else {
      Ok("address", host);
      Fail("connection", why,
           "let this machine reach " + host + ": a firewall, or HTTPS_PROXY is needed");
    }
    return false;
  }
  Ok("address", host);
  Ok("connection", fmt::format("{} answers", host));
  last->tls ? Ok("tls", "the certificate verifies") : Skip("tls", "the address is plain http");
  const auto told =
      std::find_if(exchanges.begin(), exchanges.end(),
                   [&](const RecordedExchange& e) { return e.host == host && e.skew.has_value(); });
  if (told == exchanges.end()) {
    Skip("clock", "the server does not say its time");
  } else {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*told->skew).count();
    const std::string detail =
        fmt::format("{} s {}", seconds < 0 ? -seconds : seconds,
                    seconds < 0 ? "ahead of the server" : "behind the server");
    if (std::chrono::abs(*told->skew) <= kSkewMax) {
      Ok("clock", seconds == 0 ? "agrees with the server" : detail);
    } else {
      Set("clock", StepState::kFailed, detail, "set this machine's clock (NTP)");
    }
  }
  return true;
}

bool Doctor::LookAtSource() {
  auto pin = source_->Resolve(ctx_);
  auto files = pin ? source_->List(ctx_, *pin) : Result<std::vector<RemoteFile>>(pin.error());
  const Error* error = files ? nullptr : &files.error();
  if (!LookAtTheWay(error)) return false;
  if (!files) {
    switch (error->code()) {
      case Code::kUnauthenticated:
        FailByHint("accepted", *error, OtherCredentials(true));
        return false;
      case Code::kPermissionDenied:
        Ok("accepted", "known, but without the right to list");
        Fail("list", *error, Grant(uri_, true));
        return false;
      case Code::kNotFound:
        // A Hub without a token says the same of what is private and of what is not there.
        Ok("accepted", credentials_.secret ? "not refused" : "none needed so far");
        FailByHint("list", *error, "check the name");
        return false;
      default:
        Fail("accepted", *error, "");
        return false;
    }
  }
  pin_ = *std::move(pin);
  report_.warnings = pin_.warnings;
  files_ = *std::move(files);
  Ok("accepted", credentials_.secret ? "the credentials are accepted" : "none needed");
  LookAtListing(files_);
  return true;
}

void Doctor::LookAtListing(const std::vector<RemoteFile>& files) {
  std::uint64_t bytes = 0;
  std::size_t unreadable = 0;
  for (const RemoteFile& file : files) {
    bytes += file.size;
    if (file.problem.empty()) continue;
    if (++unreadable <= 3) report_.warnings.push_back(file.path + " " + file.problem);
  }
  if (unreadable > 3) {
    report_.warnings.push_back(fmt::format("{} files cannot be read as they are", unreadable));
  }
  Ok("list", fmt::format("{} files, {} bytes, at {} {}", files.size(), bytes, pin_.fingerprint_type,
                         pin_.fingerprint));
}

void Doctor::ReadOne() {
  const RemoteFile* smallest = nullptr;
  for (const RemoteFile& file : files_) {
    if (!file.problem.empty() || file.size < 2) continue;
    if (smallest == nullptr || file.size < smallest->size) smallest = &file;
  }
  if (smallest == nullptr) {
    for (const char* name : {"read", "range", "changes"}) Skip(name, "no file has two bytes");
    return;
  }
  const std::size_t first = recorder_.exchanges().size();
  const Status status = source_->Read(ctx_, pin_, *smallest, {1, 2}, [](auto) { return Status(); });
  std::string hosts;
  const auto exchanges = recorder_.exchanges();
  const std::string& home = exchanges.front().host;
  for (std::size_t i = first; i < exchanges.size(); ++i) {
    const RecordedExchange& e = exchanges[i];
    if (e.host != home && !Has(hosts, e.host)) hosts += (hosts.empty() ? "" : ", ") + e.host;
  }
  if (!status) {
    const Error& error = status.error();
    std::string fix;
    if (error.code() == Code::kPermissionDenied) fix = Grant(uri_, false);
    if (error.code() == Code::kUnauthenticated && error.hint().empty()) {
      fix = OtherCredentials(false);
    }
    const RecordedExchange* last = exchanges.size() > first ? &exchanges.back() : nullptr;
    if (last != nullptr && last->status == 0 && last->host != home) {
      fix = "let this machine reach " + last->host + ", which " + home + " redirects to";
    }
    Fail("read", error, std::move(fix));
    return;
  }
  Ok("read", fmt::format("one byte of {}{}", smallest->path,
                         hosts.empty() ? "" : ", which comes from " + hosts));
  LookAtRange(first);
  LookAtChanges(*smallest);
}

void Doctor::LookAtRange(std::size_t first) {
  const auto exchanges = recorder_.exchanges();
  const auto partial = [](const RecordedExchange& e) { return e.status == 206; };
  if (std::any_of(exchanges.begin() + static_cast<std::ptrdiff_t>(first), exchanges.end(),
                  partial)) {
    return Ok("range", "large files are read in parallel and resumed");
  }
  Ok("range", "not honoured: files are read from their beginning each time");
}

void Doctor::LookAtChanges(const RemoteFile& file) {
  switch (uri_.scheme) {
    case model::Scheme::kS3:
    case model::Scheme::kR2:
    case model::Scheme::kCw:
    case model::Scheme::kAzure:
      break;
    default:
      return Skip("changes", "reads are pinned in another way");
  }
  RemoteFile other = file;
  other.etag = kNoEtag;
  const std::size_t first = recorder_.exchanges().size();
  const Status status = source_->Read(ctx_, pin_, other, {1, 2}, [](auto) { return Status(); });
  const auto exchanges = recorder_.exchanges();
  if (!status && status.error().code() == Code::kFailedPrecondition) {
    const bool honoured = exchanges.size() > first && exchanges.back().status == 412;
    return Ok("changes", honoured ? "If-Match is honoured"
                                  : "If-Match is ignored; bdn compares the ETags itself");
  }
  if (status) {
    return Set("changes", StepState::kFailed, "another version was given for the one asked for",
               "do not overwrite files while they are mirrored");
  }
  Fail("changes", status.error(), "");
}

}  // namespace

struct RecordingTransport::Watch final : net::ResponseSink {
  Watch(const Context& context, net::ResponseSink& inner) : ctx(context), to(inner) {}
  Status OnHead(const net::ResponseHead& head) override {
    seen.status = head.status;
    const auto date = head.headers.Get("Date");
    if (const auto theirs = date ? ParseHttpDate(*date) : std::nullopt) {
      seen.skew = *theirs - ctx.clock().Now();
    }
    return to.OnHead(head);
  }
  Status Write(std::span<const std::byte> bytes) override { return to.Write(bytes); }
  const Context& ctx;
  net::ResponseSink& to;
  RecordedExchange seen;
};

Status RecordingTransport::Fetch(const Context& ctx,
                                 const net::HttpRequest& request,
                                 net::ResponseSink& sink) {
  Watch watch(ctx, sink);
  const Status status = inner_.Fetch(ctx, request, watch);
  watch.seen.host = request.url.authority();
  watch.seen.tls = request.url.scheme == "https";
  // An error after the head may be the sink's own: only what came before says something.
  if (!status && watch.seen.status == 0) watch.seen.error = status.error();
  exchanges_.With([&](std::vector<RecordedExchange>& all) {
    if (all.size() < kExchangesMax) all.push_back(std::move(watch.seen));
  });
  return status;
}

std::string_view StepStateName(StepState state) {
  if (state == StepState::kOk) return "ok";
  return state == StepState::kFailed ? "failed" : "skipped";
}

bool DoctorReport::ok() const {
  return std::none_of(steps.begin(), steps.end(),
                      [](const DoctorStep& s) { return s.state == StepState::kFailed; });
}

DoctorReport Diagnose(const Context& ctx,
                      const model::SourceUri& uri,
                      const SourceCredentials& credentials,
                      const SourceEnvironment& environment,
                      const RecordingTransport& recorder) {
  return Doctor(ctx, uri, credentials, recorder).Run(environment);
}

std::string ToJson(const DoctorReport& report) {
  boost::json::array steps;
  for (const DoctorStep& step : report.steps) {
    steps.push_back(boost::json::object{{"name", step.name},
                                        {"state", StepStateName(step.state)},
                                        {"detail", step.detail},
                                        {"fix", step.fix}});
  }
  boost::json::array warnings(report.warnings.begin(), report.warnings.end());
  return codec::SerializeJson(boost::json::object{{"source", report.source},
                                                  {"ok", report.ok()},
                                                  {"steps", std::move(steps)},
                                                  {"warnings", std::move(warnings)}});
}

Result<DoctorReport> DoctorReportFromJson(std::string_view json) {
  BDN_ASSIGN(const auto value, codec::ParseJson(json));
  const codec::JsonView root(value);
  DoctorReport report;
  BDN_ASSIGN(report.source, root.String("source"));
  BDN_ASSIGN(report.warnings, root.StringsOr("warnings"));
  BDN_ASSIGN(const auto steps, root.Get("steps"));
  BDN_ASSIGN(const auto items, steps.Items());
  for (const codec::JsonView& item : items) {
    DoctorStep step;
    BDN_ASSIGN(step.name, item.String("name"));
    BDN_ASSIGN(const std::string state, item.String("state"));
    BDN_ASSIGN(step.detail, item.StringOr("detail", ""));
    BDN_ASSIGN(step.fix, item.StringOr("fix", ""));
    if (state == "ok") step.state = StepState::kOk;
    if (state == "failed") step.state = StepState::kFailed;
    report.steps.push_back(std::move(step));
  }
  return report;
}

}  // namespace bdn::source
