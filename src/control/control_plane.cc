#include "control/control_plane.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "mirror/spec.h"
#include "model/manifest.h"
#include "model/secret_name.h"
#include "model/volume_ref.h"
#include "source/secret_check.h"
#include "source/source_factory.h"
#include "store/ids.h"

namespace bdn::control {
namespace {

std::string DescribeFinding(const model::Finding& f) {
  if (f.line == 0) return fmt::format("{}: {}", f.loc, f.message);
  return fmt::format("{} (line {}, column {}): {}", f.loc, f.line, f.column, f.message);
}

api::ProgressBody ToBody(const store::Progress& p) {
  return {p.phase, p.files, p.files_done, p.bytes, p.bytes_done, p.bytes_reused, p.rate, p.eta};
}

api::MountBody ToBody(const store::DeploymentMount& mount, const store::Mirror& mirror) {
  api::MountBody body;
  body.mount_location = mount.mount_location;
  body.source = mount.source;
  body.mirror_id = mirror.id;
  body.pin = mirror.pin;
  if (mirror.manifest) body.manifest = mirror.manifest->ToString();
  body.progress = ToBody(mirror.progress);
  // A queued mirror that failed before says why it waits.
  if (!mirror.error.message.empty() && mirror.state != store::MirrorState::kDone) {
    body.error = api::ErrorBody{mirror.error.code, mirror.error.message, mirror.error.hint};
  }
  return body;
}

api::VersionBody ToBody(const store::VolumeVersion& version, const std::vector<store::Tag>& tags) {
  api::VersionBody body{version.ns,
                        version.volume,
                        version.sequence,
                        version.manifest.ToString(),
                        FormatRfc3339(version.created_at),
                        {}};
  for (const auto& tag : tags) {
    if (tag.manifest == version.manifest) body.tags.push_back(tag.name);
  }
  return body;
}

Status CheckVolumeName(const std::string& ns, const std::string& volume) {
  if (model::IsVolumeName(ns) && model::IsVolumeName(volume)) return {};
  return Error(Code::kInvalidArgument,
               fmt::format("'{}/{}' is not a volume name: namespace and volume are 1 to 256 of "
                           "a-z, 0-9, '.', '_', '-' and begin with a letter or digit",
                           ns, volume));
}

Status CheckTagName(const std::string& tag) {
  if (model::IsTagName(tag)) return {};
  return Error(Code::kInvalidArgument,
               fmt::format("'{}' is not a tag: no white space, '/', ':' or '@'", tag));
}

}  // namespace

api::DeploymentBody Summarise(api::DeploymentBody deployment,
                              bool active,
                              const std::vector<store::MirrorState>& states) {
  api::ProgressBody sum;
  bool failed = false;
  bool running = false;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const api::MountBody& mount = deployment.mounts[i];
    const api::ProgressBody& p = mount.progress;
    sum.files += p.files;
    sum.files_done += p.files_done;
    sum.bytes += p.bytes;
    sum.bytes_done += p.bytes_done;
    sum.bytes_reused += p.bytes_reused;
    if (states[i] == store::MirrorState::kFailed || states[i] == store::MirrorState::kStopped) {
      failed = true;
      if (!deployment.error) deployment.error = mount.error;
    } else if (states[i] != store::MirrorState::kDone) {
      if (!running || sum.phase == "queued") sum.phase = p.phase;
      running = true;
      sum.rate += p.rate;
      if (p.eta) sum.eta = std::max(sum.eta.value_or(0), *p.eta);
    }
  }
  if (!active) {
    deployment.status = "INACTIVE";  // its mirrors may have been stopped for that: no failure
    sum.phase = failed || running ? "stopped" : "ready";
  } else if (failed) {
    deployment.status = "DEPLOY_FAILED";
    sum.phase = "failed";
  } else if (running) {
    deployment.status = "DEPLOYING";
  } else {
    deployment.status = "ACTIVE";
    sum.phase = "ready";
  }
  deployment.progress = sum;
  return deployment;
}

ControlPlane::ControlPlane(store::Metadata& metadata,
                           store::ObjectStore& objects,
                           store::SecretVault& vault,
                           const Clock& clock,
                           ControlOptions options)
    : metadata_(metadata),
      objects_(objects),
      vault_(vault),
      clock_(clock),
      options_(std::move(options)) {}

Result<api::DeploymentBody> ControlPlane::Push(std::string_view yaml, std::string_view name) {
  model::ConfigReport report = model::ParseConfig(yaml);
  if (!report.config) {
    std::string text = fmt::format("the config has {} error{}", report.errors.size(),
                                   report.errors.size() == 1 ? "" : "s");
    for (const auto& finding : report.errors) text += "\n  " + DescribeFinding(finding);
    return Error(Code::kInvalidArgument, text);
  }
  const WallTime now = clock_.Now();
  store::Deployment deployment;
  deployment.id = store::NewId("dep", now);
  deployment.org = options_.org;
  deployment.name = name.empty() ? report.config->model_name : std::string(name);
  deployment.config = yaml;
  deployment.created_at = now;
  std::vector<store::Mirror> mirrors;
  for (const auto& weights : report.config->weights) {
    deployment.mounts.push_back({weights.mount_path, weights.source, ""});
    store::Mirror mirror;
    mirror.id = store::NewId("mir", now);
    const bool own = weights.uri.scheme == model::Scheme::kBt && options_.own_training_store;
    mirror.scope = ScopeOf(own ? options_.training_namespace : options_.mirror_namespace);
    mirror.key = model::MirrorKey(weights);
    mirror.source = weights.source;
    mirror.spec =
        mirror::SpecToJson(weights, {.model = deployment.name, .deployment = deployment.id});
    mirror.created_at = now;
    mirror.updated_at = now;
    mirrors.push_back(std::move(mirror));
  }
  BDN_ASSIGN(const store::Deployment stored,
             metadata_.CreateDeployment(std::move(deployment), std::move(mirrors)));
  if (options_.queued) options_.queued();
  BDN_ASSIGN(api::DeploymentBody body, Describe(stored));
  for (auto& warning : PushWarnings(report)) body.warnings.push_back(std::move(warning));
  return body;
}

std::vector<std::string> ControlPlane::PushWarnings(const model::ConfigReport& report) {
  std::vector<std::string> warnings;
  for (const auto& finding : report.warnings) warnings.push_back(DescribeFinding(finding));
  std::set<std::string> missing;
  for (const auto& weights : report.config->weights) {
    const bool oidc = weights.auth.method == model::AuthMethod::kAwsOidc ||
                      weights.auth.method == model::AuthMethod::kGcpOidc;
    if (oidc && !options_.oidc_issuer) {
      const Error problem = source::NoIssuer();
      warnings.push_back(fmt::format("{} will not be mirrored: {}. {}", weights.source,
                                     problem.message(), problem.hint()));
    }
    const std::string& name = weights.auth.auth_secret_name;
    if (name.empty()) continue;
    const auto secret = vault_.Get(options_.org, name);
    if (!secret) {
      missing.insert(name);
    } else if (const auto problem = source::SecretProblem(weights.uri.scheme, *secret)) {
      warnings.push_back(fmt::format("{} will not be mirrored: secret '{}': {}{}{}", weights.source,
                                     name, problem->message(), problem->hint().empty() ? "" : ". ",
                                     problem->hint()));
    }
  }
  for (const auto& name : missing) {
    warnings.push_back(
        fmt::format("secret '{0}' is not set; set it with `bdn secret set {0}`", name));
  }
  return warnings;
}

Result<api::DeploymentBody> ControlPlane::Describe(const store::Deployment& deployment) {
  api::DeploymentBody body;
  body.id = deployment.id;
  body.name = deployment.name;
  body.created_at = FormatRfc3339(deployment.created_at);
  std::vector<store::MirrorState> states;
  for (const auto& mount : deployment.mounts) {
    BDN_ASSIGN(const store::Mirror mirror, metadata_.GetMirror(mount.mirror_id));
    body.mounts.push_back(ToBody(mount, mirror));
    states.push_back(mirror.state);
    for (const auto& warning : mirror.warnings) {
      body.warnings.push_back(mount.source + ": " + warning);
    }
  }
  return Summarise(std::move(body), deployment.active, states);
}

Result<store::Deployment> ControlPlane::Find(const std::string& id) {
  BDN_ASSIGN(store::Deployment deployment, metadata_.GetDeployment(id));
  if (deployment.org == options_.org) return deployment;
  return Error(Code::kNotFound, "no deployment " + id);
}

Result<api::DeploymentBody> ControlPlane::Get(const std::string& id) {
  BDN_ASSIGN(const store::Deployment deployment, Find(id));
  return Describe(deployment);
}

Result<std::vector<api::DeploymentBody>> ControlPlane::List(std::size_t limit,
                                                            const std::string& before_id) {
  BDN_ASSIGN(const auto rows, metadata_.ListDeployments(options_.org, limit, before_id));
  std::vector<api::DeploymentBody> bodies;
  for (const auto& row : rows) {
    BDN_ASSIGN(auto body, Describe(row));
    bodies.push_back(std::move(body));
  }
  return bodies;
}

Status ControlPlane::SetActive(const std::string& id, bool active) {
  BDN_TRY(Find(id));
  return metadata_.SetDeploymentActive(id, active);
}

Status ControlPlane::Delete(const std::string& id) {
  BDN_TRY(Find(id));
  return metadata_.DeleteDeployment(id);
}

Result<api::RunBody> ControlPlane::Run(const std::string& id, bool with_secrets) {
  BDN_ASSIGN(const store::Deployment deployment, Find(id));
  BDN_ASSIGN(const api::DeploymentBody status, Describe(deployment));
  if (status.status == "DEPLOY_FAILED") {
    const std::string why = status.error ? status.error->message : "a mirror failed";
    return Error(Code::kFailedPrecondition, id + " cannot start: " + why)
        .WithHint(status.error ? status.error->hint : "");
  }
  if (!deployment.active) {
    return Error(Code::kFailedPrecondition, id + " is deactivated")
        .WithHint("`bdn activate " + id + "` first");
  }
  if (status.status != "ACTIVE") {
    return Error(Code::kFailedPrecondition,
                 fmt::format("{} is not startable yet: it is {}, phase {}", id, status.status,
                             status.progress.phase))
        .WithHint("follow it with `bdn watch " + id + "`");
  }
  const model::ConfigReport report = model::ParseConfig(deployment.config);
  if (!report.config) return Error(Code::kCorrupt, "the stored config of " + id + " is not valid");
  api::RunBody body;
  body.deployment_id = id;
  body.name = deployment.name;
  for (const auto& mount : status.mounts) {
    BDN_ASSIGN(const store::Mirror mirror, metadata_.GetMirror(mount.mirror_id));
    body.mounts.push_back({mount.mount_location, options_.org, mirror.scope.ns, mount.manifest});
  }
  body.environment = report.config->environment_variables;
  body.secret_names = report.config->secrets;
  if (with_secrets) {
    for (const auto& name : report.config->secrets) {
      if (auto value = vault_.Get(options_.org, name)) {
        body.secrets.emplace_back(name, *std::move(value));
      } else if (value.error().code() != Code::kNotFound) {
        return std::move(value).error();
      }
    }
  }
  if (const auto& server = report.config->docker_server) {
    body.start_command = server->start_command;
    body.server_port = server->server_port;
    body.readiness_endpoint = server->readiness_endpoint;
    body.liveness_endpoint = server->liveness_endpoint;
  }
  return body;
}

Result<auth::Workload> ControlPlane::WorkloadOf(const std::string& id, auth::WorkloadType type) {
  BDN_ASSIGN(const store::Deployment deployment, Find(id));
  return auth::Workload{.org = options_.org,
                        .team = options_.team,
                        .model = auth::ModelIdOf(deployment.name),
                        .deployment = deployment.id,
                        .environment = {},
                        .type = type};
}

Result<auth::Workload> ControlPlane::RunWorkload(const std::string& id) {
  BDN_ASSIGN(const store::Deployment deployment, Find(id));
  if (!deployment.active) {
    return Error(Code::kFailedPrecondition, id + " is deactivated")
        .WithHint("`bdn activate " + id + "` first");
  }
  const model::ConfigReport report = model::ParseConfig(deployment.config);
  if (report.config && !report.config->runtime_oidc.value_or(true)) {
    return Error(Code::kFailedPrecondition,
                 "the config of " + id + " turns identity tokens off (runtime.oidc.enabled)");
  }
  return WorkloadOf(id, auth::WorkloadType::kModelContainer);
}

Status ControlPlane::SetSecret(const std::string& name, std::string_view value, bool check) {
  BDN_TRY(model::CheckSecretName(name));
  if (check) BDN_TRY(source::CheckSecret(name, value));
  return vault_.Set(options_.org, name, value);
}

Status ControlPlane::DeleteSecret(const std::string& name) {
  return vault_.Delete(options_.org, name);
}

Result<std::vector<api::SecretBody>> ControlPlane::ListSecrets() {
  BDN_ASSIGN(const auto rows, metadata_.ListSecrets(options_.org));
  std::vector<api::SecretBody> bodies;
  for (const auto& row : rows) bodies.push_back({row.name, FormatRfc3339(row.updated_at)});
  return bodies;
}

Status ControlPlane::CheckStored(const Context& ctx,
                                 const store::Scope& scope,
                                 const crypto::Digest& digest) {
  BDN_ASSIGN(const std::string text,
             store::GetAll(ctx, objects_, scope, store::ObjectKind::kManifest, digest,
                           model::kManifestBytesMax));
  BDN_ASSIGN(const model::Manifest manifest, model::ParseManifest(text));
  const auto must_hold = [&](std::span<const crypto::Digest> parts,
                             const std::string& path) -> Status {
    BDN_ASSIGN(const auto missing, objects_.TouchAll(ctx, scope, parts));
    if (!missing) return {};
    return Error(Code::kFailedPrecondition, fmt::format("{} of '{}' is not stored; upload it first",
                                                        missing->ToString(), path));
  };
  std::vector<crypto::Digest> whole;  // of the files that are one object: held together below
  for (const auto& entry : manifest.entries) {
    if (entry.type != model::EntryType::kFile || !entry.digest) continue;
    if (!entry.chunked) {
      whole.push_back(*entry.digest);
      continue;
    }
    BDN_TRY(must_hold({&*entry.digest, 1}, entry.path));
    BDN_ASSIGN(const std::string map_text,
               store::GetAll(ctx, objects_, scope, store::ObjectKind::kChunkmap, *entry.digest,
                             model::kManifestBytesMax));
    BDN_ASSIGN(const model::Chunkmap map, model::ParseChunkmap(map_text));
    if (map.file_size != entry.size) {
      return Error(Code::kInvalidArgument, "the chunkmap of '" + entry.path + "' has another size");
    }
    std::vector<crypto::Digest> chunks;
    chunks.reserve(map.chunks.size());
    for (const auto& chunk : map.chunks) chunks.push_back(chunk.digest);
    BDN_TRY(must_hold(chunks, entry.path));
  }
  BDN_ASSIGN(const auto missing, objects_.TouchAll(ctx, scope, whole));
  if (!missing) return {};
  // Only a refusal needs the name, so only a refusal looks for it.
  const auto entry = std::find_if(manifest.entries.begin(), manifest.entries.end(),
                                  [&](const auto& e) { return e.digest == *missing; });
  return must_hold({&*missing, 1}, entry->path);
}

Result<api::VersionBody> ControlPlane::AppendVersion(const Context& ctx,
                                                     const std::string& ns,
                                                     const std::string& volume,
                                                     const std::string& manifest,
                                                     const std::string& tag) {
  BDN_TRY(CheckVolumeName(ns, volume));
  if (!tag.empty()) BDN_TRY(CheckTagName(tag));
  BDN_ASSIGN(const crypto::Digest digest, crypto::ParseDigest(manifest));
  const store::Scope scope = ScopeOf(ns);
  BDN_TRY(CheckStored(ctx, scope, digest));
  BDN_ASSIGN(const auto version, metadata_.AppendVersion(scope, volume, digest, tag, clock_.Now()));
  BDN_ASSIGN(const auto tags, metadata_.ListTags(scope, volume));
  return ToBody(version, tags);
}

Result<std::vector<api::VolumeBody>> ControlPlane::ListVolumes() {
  std::vector<api::VolumeBody> bodies;
  BDN_ASSIGN(const auto namespaces, metadata_.ListNamespaces(options_.org));
  for (const auto& ns : namespaces) {
    BDN_ASSIGN(const auto volumes, metadata_.ListVolumes(ScopeOf(ns)));
    for (const auto& volume : volumes) {
      BDN_ASSIGN(const auto versions, ListVersions(ns, volume));
      bodies.push_back({ns, volume, static_cast<std::int64_t>(versions.size()),
                        versions.empty() ? "" : versions.front().manifest});
    }
  }
  return bodies;
}

Result<std::vector<api::VersionBody>> ControlPlane::ListVersions(const std::string& ns,
                                                                 const std::string& volume) {
  BDN_TRY(CheckVolumeName(ns, volume));
  BDN_ASSIGN(auto versions, metadata_.ListVersions(ScopeOf(ns), volume));
  if (versions.empty()) {
    return Error(Code::kNotFound, fmt::format("there is no volume bdn:{}/{}", ns, volume))
        .WithHint("`bdn volume ls` lists them");
  }
  BDN_ASSIGN(const auto tags, metadata_.ListTags(ScopeOf(ns), volume));
  std::sort(versions.begin(), versions.end(),
            [](const auto& a, const auto& b) { return a.sequence > b.sequence; });
  std::vector<api::VersionBody> bodies;
  for (const auto& version : versions) bodies.push_back(ToBody(version, tags));
  return bodies;
}

Result<api::VersionBody> ControlPlane::Resolve(std::string_view reference) {
  BDN_ASSIGN(const model::VolumeRef ref, model::ParseVolumeRef(reference));
  BDN_ASSIGN(const auto versions, ListVersions(ref.ns, ref.volume));
  const auto matches = [&](const api::VersionBody& v) {
    if (!ref.tag.empty()) return std::find(v.tags.begin(), v.tags.end(), ref.tag) != v.tags.end();
    if (!ref.digest_prefix.empty()) return v.manifest.starts_with("b3:" + ref.digest_prefix);
    return true;
  };
  const api::VersionBody* found = nullptr;
  for (const auto& version : versions) {
    if (!matches(version)) continue;
    if (found != nullptr && !ref.digest_prefix.empty() && found->manifest != version.manifest) {
      return Error(Code::kInvalidArgument,
                   fmt::format("{} names more than one version; give more digits", reference));
    }
    if (found == nullptr) found = &version;
  }
  if (found != nullptr) return *found;
  return Error(Code::kNotFound, fmt::format("there is no version {}", reference))
      .WithHint(fmt::format("`bdn volume show bdn:{}/{}` lists its versions", ref.ns, ref.volume));
}

Status ControlPlane::SetTag(const std::string& ns,
                            const std::string& volume,
                            const std::string& tag,
                            const std::string& manifest) {
  BDN_TRY(CheckTagName(tag));
  BDN_ASSIGN(const crypto::Digest digest, crypto::ParseDigest(manifest));
  BDN_ASSIGN(const auto versions, ListVersions(ns, volume));
  const bool known = std::any_of(versions.begin(), versions.end(),
                                 [&](const auto& v) { return v.manifest == manifest; });
  if (!known) {
    return Error(Code::kNotFound,
                 fmt::format("{} is no version of bdn:{}/{}", manifest, ns, volume));
  }
  return metadata_.SetTag(ScopeOf(ns), volume, tag, digest, clock_.Now());
}

Status ControlPlane::DeleteTag(const std::string& ns,
                               const std::string& volume,
                               const std::string& tag) {
  BDN_TRY(CheckVolumeName(ns, volume));
  return metadata_.DeleteTag(ScopeOf(ns), volume, tag);
}

}  // namespace bdn::control
