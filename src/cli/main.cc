#include "cli/main.h"

#include <functional>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>

#include "cli/app.h"
#include "cli/signals.h"

namespace bdn::cli {
namespace {

constexpr int kUsage = 2;

// The parsed command line: exactly one of the commands sets `run`.
struct CommandLine {
  ClientOptions client;
  bool json = false;
  bool no_colour = false;
  std::function<ExitCode(App&)> run;

  PushOptions push;
  StatusOptions status;
  std::string id;
  RunOptions run_options;
  MountOptions mount;
  ValidateOptions validate;
  bool weights_only = false;
  MatchOptions match;
  LsOptions ls;
  DoctorOptions doctor;
  MigrateOptions migrate;
  std::vector<std::string> allow;
  std::vector<std::string> ignore;
  SecretOptions secret;
  KeyOptions key;
  OidcShowOptions oidc_show;
  OidcRotateOptions oidc_rotate;
  OidcExportOptions oidc_export;
  VolumeOptions volume;
  CheckpointOptions checkpoint;
  GcOptions gc;
  std::int64_t grace = -1;
  ServeOptions serve;
};

void Example(CLI::App* command, const std::string& text) {
  command->footer("\nExamples:\n" + text);
}

void AddClientOptions(CLI::App* command, CommandLine& line) {
  command->add_option("--url", line.client.url, "The control plane (or BDN_URL, or client.json)");
  command->add_option("--api-key", line.client.api_key,
                      "Its key (or BDN_API_KEY, which does not show in the process list)");
}

void AddJson(CLI::App* command, CommandLine& line) {
  command->add_flag("--json", line.json, "Print JSON for machines");
}

void AddDeployCommands(CLI::App& app, CommandLine& line) {
  auto* push =
      app.add_subcommand("push", "Push a config; its weights are mirrored in the background");
  push->add_option("dir", line.push.dir, "Directory with config.yaml, or the file")
      ->capture_default_str();
  push->add_option("--name", line.push.name, "Name of the deployment (default: model_name)");
  push->add_flag("--wait", line.push.wait, "Return when the weights are mirrored, or failed");
  AddJson(push, line);
  AddClientOptions(push, line);
  Example(push,
          "  bdn push                  # ./config.yaml, returns at once\n"
          "  bdn push model/ --wait    # shows the mirror's progress to its end\n");
  push->callback([&line] { line.run = [&line](App& a) { return Push(a, line.push); }; });

  auto* status = app.add_subcommand("status", "Show deployments, or one with its mirrors");
  status->add_option("id", line.status.id, "Deployment id or name");
  AddJson(status, line);
  AddClientOptions(status, line);
  Example(status, "  bdn status\n  bdn status dep_01hx --json | jq .phase\n");
  status->callback([&line] { line.run = [&line](App& a) { return ShowStatus(a, line.status); }; });

  auto* watch = app.add_subcommand("watch", "Follow a deployment until its weights are there");
  watch->add_option("id", line.id, "Deployment id or name")->required();
  AddJson(watch, line);
  AddClientOptions(watch, line);
  Example(watch, "  bdn watch my-model\n");
  watch->callback([&line] { line.run = [&line](App& a) { return Watch(a, line.id); }; });

  for (const bool active : {true, false}) {
    auto* command = app.add_subcommand(
        active ? "activate" : "deactivate",
        active ? "Make a deployment startable again" : "Let garbage collection take its weights");
    command->add_option("id", line.id, "Deployment id or name")->required();
    AddClientOptions(command, line);
    Example(command, std::string("  bdn ") + (active ? "activate" : "deactivate") + " dep_01hx\n");
    command->callback([&line, active] {
      line.run = [&line, active](App& a) { return Deactivate(a, line.id, active); };
    });
  }
  auto* remove = app.add_subcommand("delete", "Delete a deployment");
  remove->add_option("id", line.id, "Deployment id")->required();
  AddClientOptions(remove, line);
  Example(remove, "  bdn delete dep_01hx\n");
  remove->callback(
      [&line] { line.run = [&line](App& a) { return DeleteDeployment(a, line.id); }; });
}

void AddNodeCommands(CLI::App& app, CommandLine& line) {
  auto* run = app.add_subcommand("run", "Start a deployment's server on its read-only weights");
  run->add_option("id", line.run_options.id, "Deployment id or name")->required();
  run->add_option("command", line.run_options.command,
                  "Command after -- (default: docker_server.start_command)");
  run->add_flag("--stop-when-unhealthy", line.run_options.stop_when_unhealthy,
                "Stop the server when its liveness endpoint fails three times in a row");
  run->add_option("--secrets-dir", line.run_options.secrets_dir,
                  "Where the config's secrets appear as files")
      ->capture_default_str();
  AddClientOptions(run, line);
  Example(run, "  bdn run my-model\n  bdn run dep_01hx -- python3 -m http.server 8000\n");
  run->callback([&line] { line.run = [&line](App& a) { return Run(a, line.run_options); }; });

  auto* mount = app.add_subcommand("mount", "Show a volume or a deployment's weights on this host");
  mount->add_option("what", line.mount.what, "Deployment id, or bdn:namespace/volume");
  mount->add_option("target", line.mount.target,
                    "Directory (for a deployment: default is its mount locations)");
  mount->add_flag("--list", line.mount.list, "List what is mounted");
  AddJson(mount, line);
  AddClientOptions(mount, line);
  Example(mount, "  bdn mount bdn:team/base:latest /mnt/base\n  bdn mount --list\n");
  mount->callback([&line] {
    const MountOptions& o = line.mount;
    if (!o.list && o.what.empty()) throw CLI::RequiredError("what, or --list,");
    if (o.what.starts_with("bdn:") && o.target.empty()) {
      throw CLI::RequiredError("target: the directory at which the volume is to appear");
    }
    line.run = [&line](App& a) { return Mount(a, line.mount); };
  });

  auto* unmount = app.add_subcommand("unmount", "Take a mount away");
  unmount->add_option("target", line.mount.target, "Directory")->required();
  unmount->add_flag("--lazy", line.mount.lazy, "Even while it is in use");
  AddClientOptions(unmount, line);
  Example(unmount, "  bdn unmount /mnt/base\n");
  unmount->callback([&line] { line.run = [&line](App& a) { return Unmount(a, line.mount); }; });
}

void SetPatterns(CommandLine& line,
                 const CLI::App* command,
                 std::optional<std::vector<std::string>>& allow,
                 std::optional<std::vector<std::string>>& ignore) {
  if (command->count("--allow") > 0) allow = line.allow;
  if (command->count("--ignore") > 0) ignore = line.ignore;
}

void AddPatterns(CLI::App* command, CommandLine& line) {
  command->add_option("--allow", line.allow, "Pattern of files to take (may be repeated)")
      ->allow_extra_args(false);
  command->add_option("--ignore", line.ignore, "Pattern of files to leave (may be repeated)")
      ->allow_extra_args(false);
}

void AddLocalCommands(CLI::App& app, CommandLine& line) {
  ValidateOptions& v = line.validate;
  auto* validate = app.add_subcommand("validate", "Check a config; contacts nothing by itself");
  validate
      ->add_option("path", v.path, "Directory with config.yaml, or the file; - is standard input")
      ->capture_default_str();
  auto* explain = validate->add_flag(
      "--explain", v.explain,
      "Say for each source what is mounted where, which secret it uses and whether it is set, "
      "whether its revision may move, and which files the patterns select and leave");
  validate->add_flag("--offline", v.offline, "With --explain: contact nothing")->needs(explain);
  validate
      ->add_option("--allow-private", v.allow_private,
                   "Host or CIDR that may be a private address (or BDN_ALLOW_PRIVATE)")
      ->allow_extra_args(false);
  AddJson(validate, line);
  AddClientOptions(validate, line);
  Example(validate,
          "  bdn validate\n"
          "  bdn validate model/config.yaml --json\n"
          "  bdn validate --explain      # lists the sources; HF_TOKEN for gated ones\n");
  validate->callback(
      [&line] { line.run = [&line](App& a) { return Validate(a, line.validate); }; });

  auto* schema = app.add_subcommand("schema", "Print the JSON Schema of config.yaml for editors");
  schema->add_flag("--weights", line.weights_only, "Of the value of `weights` alone");
  Example(schema,
          "  bdn schema > config.schema.json\n"
          "  # then, as the first line of config.yaml:\n"
          "  # yaml-language-server: $schema=config.schema.json\n");
  schema->callback(
      [&line] { line.run = [&line](App& a) { return Schema(a, line.weights_only); }; });

  auto* match = app.add_subcommand("match", "Show which paths the patterns select");
  AddPatterns(match, line);
  match->add_option("path", line.match.paths, "Paths (default: from standard input, one a line)");
  match->add_flag("--explain", line.match.explain, "Say which pattern decided");
  Example(match,
          "  bdn match --allow '*.safetensors' a/model.safetensors --explain\n"
          "  find . -type f -printf '%P\\n' | bdn match --allow '**/*.json'\n");
  match->callback([&line, match] {
    SetPatterns(line, match, line.match.allow, line.match.ignore);
    line.run = [&line](App& a) { return Match(a, line.match); };
  });

  auto* ls = app.add_subcommand("ls", "List what would be mirrored from a source");
  ls->add_option("source", line.ls.source, "Source URI")->required();
  AddPatterns(ls, line);
  ls->add_option("--allow-private", line.ls.allow_private,
                 "Host or CIDR that may be a private address (or BDN_ALLOW_PRIVATE)");
  ls->add_option("--token-file", line.ls.token_file,
                 "File with what a secret holds: a token (or HF_TOKEN), or JSON");
  AddJson(ls, line);
  Example(ls,
          "  bdn ls hf://openai-community/gpt2\n"
          "  bdn ls hf://owner/repo@v1.0 --allow '**/*.safetensors' --json\n"
          "  bdn ls gs://bucket/models/w --token-file key.json\n"
          "  bdn ls https://host/model.gguf\n");
  ls->callback([&line, ls] {
    SetPatterns(line, ls, line.ls.allow, line.ls.ignore);
    line.run = [&line](App& a) { return Ls(a, line.ls); };
  });
}

void AddDoctorCommand(CLI::App& app, CommandLine& line) {
  auto* doctor = app.add_subcommand(
      "doctor", "Try all that a source, or this machine, needs; say what is missing");
  doctor->add_option("source", line.doctor.source, "Source URI (without one: this machine)");
  doctor->add_option("--allow-private", line.doctor.allow_private,
                     "Host or CIDR that may be a private address (or BDN_ALLOW_PRIVATE)");
  doctor->add_option("--token-file", line.doctor.token_file,
                     "File with a token or credentials (or HF_TOKEN)");
  doctor->add_flag("--from-control-plane", line.doctor.from_control_plane,
                   "Try it from the control plane, as mirrors do; so do the options below");
  doctor->add_option("--secret", line.doctor.secret, "Name of a secret that is set there");
  doctor->add_option("--aws-role", line.doctor.aws_role, "AWS_OIDC: ARN of the role");
  doctor->add_option("--aws-region", line.doctor.aws_region, "AWS_OIDC: its region");
  doctor->add_option("--gcp-service-account", line.doctor.gcp_service_account,
                     "GCP_OIDC: e-mail address");
  doctor->add_option("--gcp-provider", line.doctor.gcp_provider,
                     "GCP_OIDC: workload identity provider");
  AddJson(doctor, line);
  AddClientOptions(doctor, line);
  Example(doctor,
          "  bdn doctor                                          # this machine\n"
          "  bdn doctor hf://owner/gated-model\n"
          "  bdn doctor s3://bucket/models/w --token-file keys.json\n"
          "  bdn doctor gs://bucket/models --secret gcs_key      # from the control plane\n"
          "  bdn doctor azure://acme/models --token-file sas.txt --json | jq .steps\n");
  doctor->callback(
      [&line] { line.run = [&line](App& a) { return DoctorSource(a, line.doctor); }; });
}

void AddKeyCommands(CLI::App& app, CommandLine& line) {
  auto* key = app.add_subcommand("key", "Make, list and revoke API keys");
  key->require_subcommand(1);
  Example(key,
          "  bdn key create ci         # prints the key, this once\n"
          "  bdn key ls\n"
          "  bdn key rm key_01hx\n");
  auto* create = key->add_subcommand("create", "Make a key; it is shown once");
  create->add_option("name", line.key.name, "Whose it is")->required();
  create->add_flag("--node", line.key.node, "For an agent: may read the secrets of a run");
  AddJson(create, line);
  AddClientOptions(create, line);
  Example(create, "  bdn key create ci\n  bdn key create gpu-7 --node > node.key\n");
  create->callback([&line] { line.run = [&line](App& a) { return KeyCreate(a, line.key); }; });
  auto* list = key->add_subcommand("ls", "List keys without their secret half");
  AddJson(list, line);
  AddClientOptions(list, line);
  Example(list, "  bdn key ls\n  bdn key ls --json | jq -r '.keys[].name'\n");
  list->callback([&line] { line.run = [](App& a) { return KeyLs(a); }; });
  auto* remove = key->add_subcommand("rm", "Revoke a key");
  remove->add_option("id", line.key.name, "Its id, from `bdn key ls`")->required();
  AddClientOptions(remove, line);
  Example(remove, "  bdn key rm key_01hx\n");
  remove->callback([&line] { line.run = [&line](App& a) { return KeyRm(a, line.key.name); }; });
}

void AddOidcCommands(CLI::App& app, CommandLine& line) {
  auto* oidc = app.add_subcommand("oidc", "Look at the OIDC issuer and rotate its keys");
  oidc->require_subcommand(1);
  Example(oidc,
          "  bdn oidc show my-model    # subjects, and what to paste into AWS and GCP\n"
          "  bdn oidc rotate\n"
          "  bdn oidc export ./site\n");
  auto* show = oidc->add_subcommand("show", "Issuer, subjects, and what to paste into AWS and GCP");
  show->add_option("deployment", line.oidc_show.deployment,
                   "Deployment id or name, to see its subjects");
  AddJson(show, line);
  AddClientOptions(show, line);
  Example(show,
          "  bdn oidc show\n"
          "  bdn oidc show my-model\n"
          "  bdn oidc show --json | jq .aws.trust_policy > trust.json\n");
  show->callback([&line] { line.run = [&line](App& a) { return OidcShow(a, line.oidc_show); }; });
  auto* rotate = oidc->add_subcommand("rotate", "Make a new key; it is published before it signs");
  rotate
      ->add_option("--lead", line.oidc_rotate.lead_seconds,
                   "Seconds between publishing and signing; verifiers keep key sets for a while")
      ->check(CLI::Range(0, 30 * 86'400))
      ->capture_default_str();
  rotate->add_flag("--revoke", line.oidc_rotate.revoke,
                   "Drop all other keys now: for a key that was stolen");
  AddJson(rotate, line);
  AddClientOptions(rotate, line);
  Example(rotate, "  bdn oidc rotate\n  bdn oidc rotate --revoke\n");
  rotate->callback(
      [&line] { line.run = [&line](App& a) { return OidcRotate(a, line.oidc_rotate); }; });
  auto* save = oidc->add_subcommand("export", "Write what verifiers fetch, for another web server");
  save->add_option("dir", line.oidc_export.dir, "Directory; gets .well-known/")->required();
  save->add_flag("--without-certificates", line.oidc_export.without_certificates,
                 "Only what Google's form for a pasted key set takes");
  AddClientOptions(save, line);
  Example(save, "  bdn oidc export ./site && aws s3 cp --recursive ./site s3://id.example.com\n");
  save->callback(
      [&line] { line.run = [&line](App& a) { return OidcExport(a, line.oidc_export); }; });
}

void AddMigrateCommand(CLI::App& app, CommandLine& line) {
  auto* migrate = app.add_subcommand(
      "migrate",
      "Rewrite model_cache, hf_cache and external_data of a config, and cached of chains, as "
      "weights");
  MigrateOptions& m = line.migrate;
  migrate->add_option("dir", m.dir, "Directory with config.yaml or chains; or one such file")
      ->capture_default_str();
  migrate->add_flag("-y,--yes,--non-interactive", m.yes, "Apply without asking");
  migrate->add_flag("--dry-run", m.dry_run, "Only show the changes");
  migrate->add_flag("--rewrite-patterns", m.rewrite_patterns,
                    "Write patterns that select what the old ones did: '*.json' as '**/*.json'");
  migrate->add_flag("--offline", m.offline,
                    "Do not list sources to show which files changed patterns select");
  migrate
      ->add_option("--allow-private", m.allow_private,
                   "Host or CIDR that may be a private address (or BDN_ALLOW_PRIVATE)")
      ->allow_extra_args(false);
  AddJson(migrate, line);
  Example(migrate,
          "  bdn migrate my-model/\n"
          "  bdn migrate --dry-run\n"
          "  bdn migrate --yes --rewrite-patterns\n"
          "  bdn migrate my_chain.py\n"
          "  bdn migrate --yes --json | jq .warnings\n");
  migrate->callback([&line] { line.run = [&line](App& a) { return Migrate(a, line.migrate); }; });
}

void AddStoreCommands(CLI::App& app, CommandLine& line) {
  auto* secret = app.add_subcommand("secret", "Set, list and remove secrets");
  secret->require_subcommand(1);
  Example(secret,
          "  bdn secret set hf_access_token < token.txt\n"
          "  bdn secret ls\n"
          "  bdn secret rm hf_access_token\n");
  auto* set = secret->add_subcommand("set", "Set a secret from standard input or a file");
  set->add_option("name", line.secret.name)->required();
  set->add_option("--file", line.secret.file, "File with the value; - is standard input")
      ->capture_default_str();
  set->add_flag("--no-check", line.secret.no_check,
                "Store the value byte for byte, whatever it looks like");
  AddClientOptions(set, line);
  Example(set,
          "  bdn secret set hf_access_token < token.txt\n"
          "  bdn secret set s3_keys --file keys.json\n");
  set->callback([&line] { line.run = [&line](App& a) { return SecretSet(a, line.secret); }; });
  auto* list = secret->add_subcommand("ls", "List the names of secrets; values are never shown");
  AddJson(list, line);
  AddClientOptions(list, line);
  Example(list, "  bdn secret ls\n");
  list->callback([&line] { line.run = [](App& a) { return SecretLs(a); }; });
  auto* remove = secret->add_subcommand("rm", "Remove a secret");
  remove->add_option("name", line.secret.name)->required();
  AddClientOptions(remove, line);
  Example(remove, "  bdn secret rm hf_access_token\n");
  remove->callback(
      [&line] { line.run = [&line](App& a) { return SecretRm(a, line.secret.name); }; });

  auto* volume = app.add_subcommand("volume", "Push and look at volumes");
  volume->require_subcommand(1);
  Example(volume,
          "  bdn volume push ./adapter bdn:team/adapter:v3\n"
          "  bdn volume show bdn:team/adapter\n");
  auto* push = volume->add_subcommand("push", "Store a directory as a new version");
  push->add_option("dir", line.volume.dir)->required();
  push->add_option("ref", line.volume.ref, "bdn:namespace/volume[:tag]")->required();
  AddJson(push, line);
  AddClientOptions(push, line);
  Example(push, "  bdn volume push ./adapter bdn:team/adapter:v3\n");
  push->callback([&line] { line.run = [&line](App& a) { return VolumePush(a, line.volume); }; });
  auto* ls = volume->add_subcommand("ls", "List volumes");
  AddJson(ls, line);
  AddClientOptions(ls, line);
  Example(ls, "  bdn volume ls\n");
  ls->callback([&line] { line.run = [](App& a) { return VolumeLs(a); }; });
  auto* show = volume->add_subcommand("show", "List the versions and tags of a volume");
  show->add_option("ref", line.volume.ref)->required();
  AddJson(show, line);
  AddClientOptions(show, line);
  Example(show, "  bdn volume show bdn:team/adapter\n");
  show->callback(
      [&line] { line.run = [&line](App& a) { return VolumeShow(a, line.volume.ref); }; });
  auto* tag = volume->add_subcommand("tag", "Make a tag name a version");
  tag->add_option("ref", line.volume.ref, "bdn:namespace/volume[@digest|:tag]")->required();
  tag->add_option("tag", line.volume.tag)->required();
  AddClientOptions(tag, line);
  Example(tag, "  bdn volume tag bdn:team/adapter@4f2a9c01be77 stable\n");
  tag->callback([&line] { line.run = [&line](App& a) { return VolumeTag(a, line.volume); }; });

  auto* pull = app.add_subcommand("pull", "Write a volume's files into a directory");
  pull->add_option("ref", line.volume.ref)->required();
  pull->add_option("dir", line.volume.dir, "New or empty directory")->required();
  AddJson(pull, line);
  AddClientOptions(pull, line);
  Example(pull, "  bdn pull bdn:team/adapter:stable ./adapter\n");
  pull->callback([&line] { line.run = [&line](App& a) { return Pull(a, line.volume); }; });

  auto* gc = app.add_subcommand("gc", "Remove stored objects that nothing names any more");
  gc->add_flag("--dry-run", line.gc.dry_run, "Only say what would go");
  gc->add_option("--grace", line.grace, "Spare what is younger, in seconds (default: 24 h)");
  AddJson(gc, line);
  AddClientOptions(gc, line);
  Example(gc, "  bdn gc --dry-run\n");
  gc->callback([&line, gc] {
    if (gc->count("--grace") > 0) line.gc.grace_seconds = line.grace;
    line.run = [&line](App& a) { return Gc(a, line.gc); };
  });
}

void AddCheckpointCommands(CLI::App& app, CommandLine& line) {
  CheckpointOptions& o = line.checkpoint;
  auto* checkpoint = app.add_subcommand("checkpoint", "Push and look at training checkpoints");
  checkpoint->require_subcommand(1);
  Example(checkpoint,
          "  bdn checkpoint push out/checkpoint-500 --project demo --job run-7\n"
          "  bdn checkpoint ls --project demo\n");
  auto* push = checkpoint->add_subcommand("push", "Store a checkpoint; only what is new is sent");
  push->add_option("dir", o.dir, "The checkpoint, or with --watch the directory of checkpoints")
      ->required();
  push->add_option("--project", o.project, "Training project; made where it is missing")
      ->required();
  push->add_option("--job", o.job, "Id of the training job; made where it is missing")->required();
  push->add_option("--name", o.name, "Name of the checkpoint (default: of the directory)");
  push->add_option("--type", o.type, "lora, full or whisper (default: lora for an adapter)")
      ->check(CLI::IsMember({"lora", "full", "whisper"}));
  push->add_option("--base-model", o.base_model, "Default: what adapter_config.json says");
  push->add_option("--rank", o.rank, "Rank of a LoRA adapter (default: the same)")
      ->check(CLI::Range(1, 65536));
  push->add_flag("--watch", o.watch, "Push each checkpoint that appears, until stopped");
  push->add_option("--complete-marker", o.complete_marker,
                   "File that is in a checkpoint once it is complete (default with --watch: "
                   "trainer_state.json, .metadata, _SUCCESS or .complete)");
  push->add_option("--quiet", o.quiet_seconds,
                   "With --watch: seconds without a change before it is read")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  AddJson(push, line);
  AddClientOptions(push, line);
  Example(push,
          "  bdn checkpoint push out/checkpoint-500 --project demo --job run-7\n"
          "  bdn checkpoint push out --project demo --job run-7 --watch\n"
          "  bdn checkpoint push adapter --project demo --job k4q95w5 --name "
          "sampler_weights/step-100\n");
  push->callback(
      [&line] { line.run = [&line](App& a) { return CheckpointPush(a, line.checkpoint); }; });
  auto* ls = checkpoint->add_subcommand("ls", "List checkpoints");
  ls->add_option("--project", o.project, "Only of this training project");
  AddJson(ls, line);
  AddClientOptions(ls, line);
  Example(ls, "  bdn checkpoint ls --project demo\n");
  ls->callback(
      [&line] { line.run = [&line](App& a) { return CheckpointLs(a, line.checkpoint); }; });
  auto* show = checkpoint->add_subcommand("show", "Show a checkpoint and its files");
  show->add_option("ref", o.ref, "bt://project[@job][/checkpoint]")->required();
  AddJson(show, line);
  AddClientOptions(show, line);
  Example(show,
          "  bdn checkpoint show bt://demo             # what a deployment would take now\n"
          "  bdn checkpoint show bt://demo@run-7/checkpoint-500 --json\n");
  show->callback(
      [&line] { line.run = [&line](App& a) { return CheckpointShow(a, line.checkpoint.ref); }; });
  auto* remove = checkpoint->add_subcommand("rm", "Remove a checkpoint");
  remove->add_option("ref", o.ref, "bt://project@job/checkpoint")->required();
  AddClientOptions(remove, line);
  Example(remove, "  bdn checkpoint rm bt://demo@run-7/checkpoint-500 && bdn gc\n");
  remove->callback(
      [&line] { line.run = [&line](App& a) { return CheckpointRm(a, line.checkpoint.ref); }; });
}

void AddServeCommand(CLI::App& app,
                     CommandLine& line,
                     const char* name,
                     const char* about,
                     bool control,
                     bool agent) {
  ServeOptions& o = line.serve;
  auto* serve = app.add_subcommand(name, about);
  serve->add_option("--data", o.data, "Directory for everything it keeps (or BDN_DATA)");
  serve->add_option("--listen", o.listen, "Address: host:port")->capture_default_str();
  serve->add_option("--tls-certificate", o.tls_certificate, "PEM chain; serves https");
  serve->add_option("--tls-key", o.tls_key, "PEM key of the certificate");
  serve->add_option("--memory", o.memory_bytes, "Budget for buffers in flight")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  serve->add_option("--parallel", o.parallel, "Chunks in flight")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  serve->add_flag("-v,--verbose", o.verbose, "Log more");
  if (control) {
    serve->add_option("--allow-private", o.allow_private,
                      "Host or CIDR that sources may have although it is a private address "
                      "(or BDN_ALLOW_PRIVATE)");
    serve->add_option("--hf-endpoint", o.hf_endpoint, "Hub to mirror from (or HF_ENDPOINT)");
    serve->add_option("--bt-endpoint", o.bt_endpoint,
                      "Training store that bt:// means (or BDN_BT_ENDPOINT, with its key in "
                      "BDN_BT_API_KEY; default: the control plane's own)");
    serve->add_option("--public-url", o.public_url,
                      "Address at which others reach this control plane, for URLs that it gives "
                      "out (default: the one they used)");
    serve->add_option("--master-key-file", o.master_key_file,
                      "Key that seals secrets at rest (or BDN_MASTER_KEY_FILE; default: made in "
                      "the data directory)");
    serve->add_option("--oidc-issuer", o.oidc_issuer,
                      "Public https URL under which AWS and GCP fetch our keys (or "
                      "BDN_OIDC_ISSUER); see docs/oidc.md");
    serve->add_option("--oidc-audience", o.oidc_audience,
                      "Audience of its tokens (or BDN_OIDC_AUDIENCE; default: the issuer's name)");
    serve->add_option("--oidc-algorithm", o.oidc_algorithm, "Of its new keys")
        ->check(CLI::IsMember({"RS256", "ES256"}))
        ->capture_default_str();
    serve->add_option("--oidc-token-life", o.oidc_token_seconds, "Seconds that its tokens live")
        ->check(CLI::Range(10, 3600))
        ->capture_default_str();
    serve->add_option("--mirrors", o.mirrors, "Mirrors at the same time")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
  }
  if (agent) {
    serve
        ->add_option("--cache-size", o.cache_bytes,
                     "Limit of the node cache (default: the disk but 1 GiB, or a twentieth of it)")
        ->transform(CLI::AsSizeValue(false));
  }
  if (!control) AddClientOptions(serve, line);
  Example(serve, std::string("  bdn ") + name + " --data ./bdn-data --listen 127.0.0.1:7070\n");
  serve->callback([&line, control, agent] {
    line.serve.control = control;
    line.serve.agent = agent;
    line.run = [&line](App& a) { return Serve(a, line.serve); };
  });
}

void Build(CLI::App& app, CommandLine& line) {
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("bdn " BDN_VERSION));
  app.add_flag("--no-color", line.no_colour, "No colours (or NO_COLOR)");
  app.fallthrough();
  AddServeCommand(app, line, "up", "Run everything on this machine", true, true);
  AddDeployCommands(app, line);
  AddNodeCommands(app, line);
  AddLocalCommands(app, line);
  AddMigrateCommand(app, line);
  AddDoctorCommand(app, line);
  AddStoreCommands(app, line);
  AddCheckpointCommands(app, line);
  AddKeyCommands(app, line);
  AddOidcCommands(app, line);
  AddServeCommand(app, line, "control", "Run the control plane and its mirrors", true, false);
  AddServeCommand(app, line, "agent", "Run the node's cache and mounts", false, true);
  Example(&app,
          "  bdn up                       # everything on this machine, embedded defaults\n"
          "  bdn push model/ --wait       # mirror the weights that model/config.yaml names\n"
          "  bdn run my-model             # start its server on them\n");
}

bool IsCommand(const CLI::App& parser, const std::string& name) {
  for (const CLI::App* command : parser.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return true;
  }
  return false;
}

// Help goes to standard output with 0; a mistake to standard error with 2, naming what is wrong.
int ExplainUsage(const CLI::App& parser, const CLI::ParseError& stop, int argc, char** argv) {
  if (stop.get_exit_code() == 0) return parser.exit(stop);
  const std::string first = argc > 1 ? argv[1] : "";
  if (!first.empty() && first[0] != '-' && !IsCommand(parser, first)) {
    std::cerr << "bdn: there is no command '" << first << "'; `bdn --help` lists them\n";
    return kUsage;
  }
  std::cerr << "bdn: " << stop.what() << "; see `bdn" << (first.empty() ? "" : " " + first)
            << " --help`\n";
  return kUsage;
}

}  // namespace

int Main(int argc, char** argv) {
  CommandLine line;
  CLI::App parser{
      "bdn delivers model weights: mirrored once, cached on every node, mounted read-only.", "bdn"};
  Build(parser, line);
  try {
    parser.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    return ExplainUsage(parser, stop, argc, argv);
  }
  SignalStop signals;
  Environment env = ReadEnvironment();
  const bool colour = !line.no_colour && !env.no_colour;
  App app{std::move(env), Terminal({.colour = colour}), line.client, line.json,
          Context(RealClock(), signals.token())};
  const ExitCode done = line.run(app);
  if (done) return *done;
  app.terminal.ShowError(done.error());
  return FactsOf(done.error().code()).exit_code;
}

}  // namespace bdn::cli
