#include "api/types.h"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace bdn::api {
namespace {

namespace json = boost::json;

// --- writing ---

json::value Write(const std::optional<ErrorBody>& error) {
  if (!error) return nullptr;
  return json::object{{"code", error->code}, {"message", error->message}, {"hint", error->hint}};
}

void WriteInto(json::object& out, const ProgressBody& p) {
  out["phase"] = p.phase;
  out["files"] = p.files;
  out["files_done"] = p.files_done;
  out["bytes"] = p.bytes;
  out["bytes_done"] = p.bytes_done;
  out["bytes_reused"] = p.bytes_reused;
  out["rate"] = p.rate;
  out["eta"] = p.eta ? json::value(*p.eta) : json::value(nullptr);
}

json::object Write(const MountBody& m) {
  json::object out{{"mount_location", m.mount_location},
                   {"source", m.source},
                   {"mirror_id", m.mirror_id},
                   {"pin", m.pin},
                   {"manifest", m.manifest}};
  WriteInto(out, m.progress);
  out["error"] = Write(m.error);
  return out;
}

json::object Write(const DeploymentBody& d) {
  json::object out{{"id", d.id}, {"deployment_id", d.id}, {"name", d.name}, {"status", d.status}};
  WriteInto(out, d.progress);
  out["error"] = Write(d.error);
  out["warnings"] = json::value_from(d.warnings);
  json::array mounts;
  for (const auto& m : d.mounts) mounts.push_back(Write(m));
  out["mounts"] = std::move(mounts);
  out["created_at"] = d.created_at;
  return out;
}

json::object Write(const SecretBody& s) {
  return {{"name", s.name}, {"updated_at", s.updated_at}};
}

json::object Write(const KeyBody& k) {
  json::object out{
      {"id", k.id}, {"name", k.name}, {"created_at", k.created_at}, {"revoked", k.revoked}};
  if (!k.text.empty()) out["key"] = k.text;
  return out;
}

json::object Write(const VersionBody& v) {
  return {{"namespace", v.ns},          {"volume", v.volume},
          {"sequence", v.sequence},     {"manifest", v.manifest},
          {"created_at", v.created_at}, {"tags", json::value_from(v.tags)}};
}

json::object Write(const VolumeBody& v) {
  return {{"namespace", v.ns}, {"volume", v.volume}, {"versions", v.versions}, {"head", v.head}};
}

json::object Write(const NodeMountBody& m) {
  json::object out{{"id", m.id},        {"target", m.target},     {"org", m.org},
                   {"namespace", m.ns}, {"manifest", m.manifest}, {"state", m.state}};
  WriteInto(out, m.progress);
  out["error"] = Write(m.error);
  return out;
}

template <class T>
std::string WriteList(const char* name, const std::vector<T>& items) {
  json::array array;
  for (const auto& item : items) array.push_back(Write(item));
  return json::serialize(json::object{{name, std::move(array)}});
}

json::object WritePairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  json::object out;
  for (const auto& [key, value] : pairs) out[key] = value;
  return out;
}

// --- reading: absent and mistyped fields take the default of the struct ---

Result<json::object> ParseObject(std::string_view text) {
  boost::system::error_code failed;
  json::parse_options options;
  options.max_depth = 32;
  json::value value = json::parse(json::string_view(text.data(), text.size()), failed, {}, options);
  if (failed || !value.is_object()) {
    return Error(Code::kInvalidArgument, "the body is not a JSON object");
  }
  return std::move(value.as_object());
}

void Read(const json::object& from, const char* name, std::string& into) {
  const auto* v = from.if_contains(name);
  if (v != nullptr && v->is_string()) into = std::string(v->as_string());
}

template <class Int>
void ReadInt(const json::object& from, const char* name, Int& into) {
  const auto* v = from.if_contains(name);
  if (v == nullptr || !v->is_number()) return;
  boost::system::error_code failed;
  const auto number = v->to_number<Int>(failed);
  if (!failed) into = number;
}

void Read(const json::object& from, const char* name, double& into) {
  const auto* v = from.if_contains(name);
  boost::system::error_code failed;
  if (v != nullptr && v->is_number()) into = v->to_number<double>(failed);
}

void Read(const json::object& from, const char* name, std::vector<std::string>& into) {
  const auto* v = from.if_contains(name);
  if (v == nullptr || !v->is_array()) return;
  for (const auto& item : v->as_array()) {
    if (item.is_string()) into.emplace_back(item.as_string());
  }
}

void Read(const json::object& from, std::optional<ErrorBody>& into) {
  const auto* v = from.if_contains("error");
  if (v == nullptr || !v->is_object()) return;
  ErrorBody error;
  Read(v->as_object(), "code", error.code);
  Read(v->as_object(), "message", error.message);
  Read(v->as_object(), "hint", error.hint);
  into = std::move(error);
}

void Read(const json::object& from, ProgressBody& into) {
  Read(from, "phase", into.phase);
  ReadInt(from, "files", into.files);
  ReadInt(from, "files_done", into.files_done);
  ReadInt(from, "bytes", into.bytes);
  ReadInt(from, "bytes_done", into.bytes_done);
  ReadInt(from, "bytes_reused", into.bytes_reused);
  Read(from, "rate", into.rate);
  const auto* eta = from.if_contains("eta");
  if (eta != nullptr && eta->is_number()) {
    double seconds = 0;
    Read(from, "eta", seconds);
    into.eta = seconds;
  }
}

MountBody ReadMount(const json::object& from) {
  MountBody m;
  Read(from, "mount_location", m.mount_location);
  Read(from, "source", m.source);
  Read(from, "mirror_id", m.mirror_id);
  Read(from, "pin", m.pin);
  Read(from, "manifest", m.manifest);
  Read(from, m.progress);
  Read(from, m.error);
  return m;
}

DeploymentBody ReadDeployment(const json::object& from) {
  DeploymentBody d;
  Read(from, "id", d.id);
  Read(from, "name", d.name);
  Read(from, "status", d.status);
  Read(from, "created_at", d.created_at);
  Read(from, d.progress);
  Read(from, d.error);
  Read(from, "warnings", d.warnings);
  if (const auto* mounts = from.if_contains("mounts"); mounts != nullptr && mounts->is_array()) {
    for (const auto& m : mounts->as_array()) {
      if (m.is_object()) d.mounts.push_back(ReadMount(m.as_object()));
    }
  }
  return d;
}

SecretBody ReadSecret(const json::object& from) {
  SecretBody s;
  Read(from, "name", s.name);
  Read(from, "updated_at", s.updated_at);
  return s;
}

KeyBody ReadKey(const json::object& from) {
  KeyBody k;
  Read(from, "id", k.id);
  Read(from, "name", k.name);
  Read(from, "created_at", k.created_at);
  Read(from, "key", k.text);
  const auto* revoked = from.if_contains("revoked");
  k.revoked = revoked != nullptr && revoked->is_bool() && revoked->as_bool();
  return k;
}

VersionBody ReadVersion(const json::object& from) {
  VersionBody v;
  Read(from, "namespace", v.ns);
  Read(from, "volume", v.volume);
  ReadInt(from, "sequence", v.sequence);
  Read(from, "manifest", v.manifest);
  Read(from, "created_at", v.created_at);
  Read(from, "tags", v.tags);
  return v;
}

VolumeBody ReadVolume(const json::object& from) {
  VolumeBody v;
  Read(from, "namespace", v.ns);
  Read(from, "volume", v.volume);
  ReadInt(from, "versions", v.versions);
  Read(from, "head", v.head);
  return v;
}

NodeMountBody ReadNodeMount(const json::object& from) {
  NodeMountBody m;
  Read(from, "id", m.id);
  Read(from, "target", m.target);
  Read(from, "org", m.org);
  Read(from, "namespace", m.ns);
  Read(from, "manifest", m.manifest);
  Read(from, "state", m.state);
  Read(from, m.progress);
  Read(from, m.error);
  return m;
}

template <class T>
Result<std::vector<T>> ReadList(std::string_view text,
                                const char* name,
                                T (*read)(const json::object&)) {
  BDN_ASSIGN(const json::object root, ParseObject(text));
  std::vector<T> out;
  if (const auto* items = root.if_contains(name); items != nullptr && items->is_array()) {
    for (const auto& item : items->as_array()) {
      if (item.is_object()) out.push_back(read(item.as_object()));
    }
  }
  return out;
}

void ReadPairs(const json::object& from,
               const char* name,
               std::vector<std::pair<std::string, std::string>>& into) {
  const auto* v = from.if_contains(name);
  if (v == nullptr || !v->is_object()) return;
  for (const auto& item : v->as_object()) {
    if (!item.value().is_string()) continue;
    into.emplace_back(std::string(item.key()), std::string(item.value().as_string()));
  }
}

}  // namespace

ErrorBody ToErrorBody(const Error& error) {
  return {std::string(FactsOf(error.code()).name), error.message(), error.hint()};
}

Error FromErrorBody(const ErrorBody& body) {
  Error error(CodeFromName(body.code).value_or(Code::kInternal), body.message);
  return std::move(error).WithHint(body.hint);
}

std::string ErrorAnswer(const ErrorBody& body) {
  return json::serialize(json::object{{"error", Write(body)}});
}

Error ErrorFromAnswer(int http_status, std::string_view body) {
  if (auto root = ParseObject(body)) {
    std::optional<ErrorBody> error;
    Read(*root, error);
    if (error && !error->message.empty()) return FromErrorBody(*error);
  }
  return Error(CodeFromHttpStatus(http_status), fmt::format("the server answered {}", http_status));
}

std::string ToJson(const DeploymentBody& body) {
  return json::serialize(Write(body));
}

Result<DeploymentBody> DeploymentFromJson(std::string_view text) {
  BDN_ASSIGN(const json::object root, ParseObject(text));
  return ReadDeployment(root);
}

std::string ToJson(const std::vector<DeploymentBody>& bodies) {
  return WriteList("deployments", bodies);
}

Result<std::vector<DeploymentBody>> DeploymentsFromJson(std::string_view text) {
  return ReadList(text, "deployments", &ReadDeployment);
}

std::string ToJson(const RunBody& body) {
  json::array mounts;
  for (const auto& m : body.mounts) {
    mounts.push_back(json::object{{"mount_location", m.mount_location},
                                  {"org", m.org},
                                  {"namespace", m.ns},
                                  {"manifest", m.manifest}});
  }
  return json::serialize(json::object{{"deployment_id", body.deployment_id},
                                      {"name", body.name},
                                      {"mounts", std::move(mounts)},
                                      {"environment", WritePairs(body.environment)},
                                      {"secrets", WritePairs(body.secrets)},
                                      {"secret_names", json::value_from(body.secret_names)},
                                      {"start_command", body.start_command},
                                      {"server_port", body.server_port},
                                      {"readiness_endpoint", body.readiness_endpoint},
                                      {"liveness_endpoint", body.liveness_endpoint}});
}

Result<RunBody> RunFromJson(std::string_view text) {
  BDN_ASSIGN(const json::object root, ParseObject(text));
  RunBody body;
  Read(root, "deployment_id", body.deployment_id);
  Read(root, "name", body.name);
  if (const auto* mounts = root.if_contains("mounts"); mounts != nullptr && mounts->is_array()) {
    for (const auto& item : mounts->as_array()) {
      if (!item.is_object()) continue;
      RunMount m;
      Read(item.as_object(), "mount_location", m.mount_location);
      Read(item.as_object(), "org", m.org);
      Read(item.as_object(), "namespace", m.ns);
      Read(item.as_object(), "manifest", m.manifest);
      body.mounts.push_back(std::move(m));
    }
  }
  ReadPairs(root, "environment", body.environment);
  ReadPairs(root, "secrets", body.secrets);
  Read(root, "secret_names", body.secret_names);
  Read(root, "start_command", body.start_command);
  ReadInt(root, "server_port", body.server_port);
  Read(root, "readiness_endpoint", body.readiness_endpoint);
  Read(root, "liveness_endpoint", body.liveness_endpoint);
  return body;
}

std::string ToJson(const std::vector<SecretBody>& bodies) {
  return WriteList("secrets", bodies);
}
Result<std::vector<SecretBody>> SecretsFromJson(std::string_view text) {
  return ReadList(text, "secrets", &ReadSecret);
}

std::string ToJson(const KeyBody& body) {
  return json::serialize(Write(body));
}
Result<KeyBody> KeyFromJson(std::string_view text) {
  BDN_ASSIGN(const json::object root, ParseObject(text));
  return ReadKey(root);
}
std::string ToJson(const std::vector<KeyBody>& bodies) {
  return WriteList("keys", bodies);
}
Result<std::vector<KeyBody>> KeysFromJson(std::string_view text) {
  return ReadList(text, "keys", &ReadKey);
}

std::string ToJson(const VersionBody& body) {
  return json::serialize(Write(body));
}
Result<VersionBody> VersionFromJson(std::string_view text) {
  BDN_ASSIGN(const json::object root, ParseObject(text));
  return ReadVersion(root);
}
std::string ToJson(const std::vector<VersionBody>& bodies) {
  return WriteList("versions", bodies);
}
Result<std::vector<VersionBody>> VersionsFromJson(std::string_view text) {
  return ReadList(text, "versions", &ReadVersion);
}

std::string ToJson(const std::vector<VolumeBody>& bodies) {
  return WriteList("volumes", bodies);
}
Result<std::vector<VolumeBody>> VolumesFromJson(std::string_view text) {
  return ReadList(text, "volumes", &ReadVolume);
}

std::string ToJson(const GcBody& b) {
  return json::serialize(json::object{{"dry_run", b.dry_run},
                                      {"scanned", b.scanned},
                                      {"kept", b.kept},
                                      {"deleted", b.deleted},
                                      {"bytes", b.bytes}});
}

Result<GcBody> GcFromJson(std::string_view text) {
  BDN_ASSIGN(const json::object root, ParseObject(text));
  GcBody b;
  if (const auto* v = root.if_contains("dry_run"); v != nullptr && v->is_bool()) {
    b.dry_run = v->as_bool();
  }
  ReadInt(root, "scanned", b.scanned);
  ReadInt(root, "kept", b.kept);
  ReadInt(root, "deleted", b.deleted);
  ReadInt(root, "bytes", b.bytes);
  return b;
}

std::string ToJson(const LeaseBody& body) {
  json::object out{
      {"id", body.id}, {"state", body.state}, {"manifest", body.manifest}, {"path", body.path}};
  WriteInto(out, body.progress);
  out["error"] = Write(body.error);
  return json::serialize(out);
}

Result<LeaseBody> LeaseFromJson(std::string_view text) {
  BDN_ASSIGN(const json::object root, ParseObject(text));
  LeaseBody body;
  Read(root, "id", body.id);
  Read(root, "state", body.state);
  Read(root, "manifest", body.manifest);
  Read(root, "path", body.path);
  Read(root, body.progress);
  Read(root, body.error);
  return body;
}

std::string ToJson(const LeaseRequest& body) {
  return json::serialize(json::object{
      {"org", body.org}, {"namespace", body.ns}, {"manifest", body.manifest}, {"pid", body.pid}});
}

Result<LeaseRequest> LeaseRequestFromJson(std::string_view text) {
  BDN_ASSIGN(const json::object root, ParseObject(text));
  LeaseRequest body;
  Read(root, "org", body.org);
  Read(root, "namespace", body.ns);
  Read(root, "manifest", body.manifest);
  ReadInt(root, "pid", body.pid);
  return body;
}

std::string ToJson(const NodeMountBody& body) {
  return json::serialize(Write(body));
}
Result<NodeMountBody> NodeMountFromJson(std::string_view text) {
  BDN_ASSIGN(const json::object root, ParseObject(text));
  return ReadNodeMount(root);
}
std::string ToJson(const std::vector<NodeMountBody>& bodies) {
  return WriteList("mounts", bodies);
}
Result<std::vector<NodeMountBody>> NodeMountsFromJson(std::string_view text) {
  return ReadList(text, "mounts", &ReadNodeMount);
}

}  // namespace bdn::api
