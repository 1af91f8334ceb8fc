#include "fakes/fault_plan.h"

#include <algorithm>
#include <array>
#include <utility>

#include "codec/json.h"

namespace bdn::fakes {
namespace {

constexpr std::array<std::pair<FaultKind, std::string_view>, 16> kNames{{
    {FaultKind::kStatus, "status"},
    {FaultKind::kHeaders, "headers"},
    {FaultKind::kReset, "reset-after"},
    {FaultKind::kTruncate, "truncate"},
    {FaultKind::kStall, "stall"},
    {FaultKind::kStallHead, "stall-head"},
    {FaultKind::kWrongRange, "wrong-range"},
    {FaultKind::kShortRange, "short-range"},
    {FaultKind::kIgnoreRange, "ignore-range"},
    {FaultKind::kFlipByte, "flip-byte"},
    {FaultKind::kGzip, "gzip"},
    {FaultKind::kPointer, "pointer"},
    {FaultKind::kExpireUrl, "expire-url"},
    {FaultKind::kRedirect, "redirect"},
    {FaultKind::kRedirectLoop, "redirect-loop"},
    {FaultKind::kMoveBranch, "move-branch"},
}};

bool Matches(const Fault& fault,
             std::string_view server,
             std::string_view method,
             std::string_view path,
             std::string_view range) {
  return (fault.server.empty() || fault.server == server) &&
         (fault.method.empty() || fault.method == method) && path.starts_with(fault.path_prefix) &&
         path.ends_with(fault.path_suffix) &&
         path.find(fault.path_part) != std::string_view::npos &&
         range.starts_with(fault.range_prefix);
}

Result<FaultKind> ParseKind(std::string_view name) {
  for (const auto& [kind, text] : kNames) {
    if (text == name) return kind;
  }
  std::string all;
  for (const auto& [kind, text] : kNames) all.append(all.empty() ? "" : ", ").append(text);
  return Error(Code::kInvalidArgument,
               "kind: '" + std::string(name) + "' is no fault; there are " + all);
}

}  // namespace

std::string_view FaultName(FaultKind kind) {
  for (const auto& [known, text] : kNames) {
    if (known == kind) return text;
  }
  return "";
}

Result<Fault> ParseFault(const boost::json::value& json) {
  const codec::JsonView root(json);
  Fault fault;
  BDN_ASSIGN(const auto kind, root.String("kind"));
  BDN_ASSIGN(fault.kind, ParseKind(kind));
  BDN_ASSIGN(fault.server, root.StringOr("server", ""));
  BDN_ASSIGN(fault.method, root.StringOr("method", ""));
  BDN_ASSIGN(fault.path_prefix, root.StringOr("path_prefix", ""));
  BDN_ASSIGN(fault.path_suffix, root.StringOr("path_suffix", ""));
  BDN_ASSIGN(fault.path_part, root.StringOr("path_part", ""));
  BDN_ASSIGN(fault.range_prefix, root.StringOr("range_prefix", ""));
  BDN_ASSIGN(const auto skip, root.IntOr("skip", 0));
  BDN_ASSIGN(const auto count, root.IntOr("count", 1));
  fault.skip = static_cast<int>(std::clamp<std::int64_t>(skip, 0, 1'000'000'000));
  fault.count = static_cast<int>(std::clamp<std::int64_t>(count, -1, 1'000'000'000));
  BDN_ASSIGN(fault.after_bytes, root.UintOr("after_bytes", 0));
  BDN_ASSIGN(const auto status, root.IntOr("status", 503));
  if (status < 200 || status > 599) {
    return Error(Code::kInvalidArgument, "status: must lie between 200 and 599");
  }
  fault.status = static_cast<int>(status);
  BDN_ASSIGN(fault.body, root.StringOr("body", ""));
  BDN_ASSIGN(fault.location, root.StringOr("location", ""));
  BDN_ASSIGN(fault.branch, root.StringOr("branch", ""));
  BDN_ASSIGN(fault.commit, root.StringOr("commit", ""));
  BDN_ASSIGN(const auto stall_ms, root.UintOr("stall_ms", 3'600'000));
  fault.stall = std::chrono::milliseconds(std::min<std::uint64_t>(stall_ms, 86'400'000));
  BDN_ASSIGN(const auto headers, root.Find("headers"));
  if (headers && !headers->value().is_object()) {
    return Error(Code::kInvalidArgument, "headers: must be an object of strings");
  }
  if (headers) {
    for (const auto& field : headers->value().get_object()) {
      BDN_ASSIGN(auto value, headers->String(field.key()));
      fault.headers.Add(std::string(field.key()), std::move(value));
    }
  }
  return fault;
}

void FaultPlan::Add(Fault fault) {
  faults_.With([&](auto& faults) { faults.push_back(std::move(fault)); });
}

void FaultPlan::Clear() {
  faults_.With([](auto& faults) { faults.clear(); });
}

std::optional<Fault> FaultPlan::Take(std::string_view server,
                                     std::string_view method,
                                     std::string_view path,
                                     std::string_view range) {
  return faults_.With([&](auto& faults) -> std::optional<Fault> {
    for (Fault& fault : faults) {
      if (fault.count == 0 || !Matches(fault, server, method, path, range)) continue;
      if (fault.skip > 0) {
        --fault.skip;
        continue;
      }
      if (fault.count > 0) --fault.count;
      return fault;
    }
    return std::nullopt;
  });
}

std::size_t FaultPlan::left() const {
  return faults_.With([](const auto& faults) {
    return static_cast<std::size_t>(
        std::count_if(faults.begin(), faults.end(), [](const Fault& f) { return f.count != 0; }));
  });
}

}  // namespace bdn::fakes
