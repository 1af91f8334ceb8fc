#include "model/config.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bdn::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// One weights item with these lines; the source and mount location are on lines 2 and 3.
std::string Item(const std::string& more) {
  std::string text = "weights:\n- source: hf://a/b\n  mount_location: /m\n";
  for (std::size_t begin = 0; begin < more.size();) {
    const auto end = std::min(more.find('\n', begin), more.size());
    text += "  " + more.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return text;
}

std::vector<std::string> ErrorsOf(const std::string& yaml) {
  const ConfigReport report = ParseConfig(yaml);
  EXPECT_EQ(report.config.has_value(), report.errors.empty());
  std::vector<std::string> errors;
  for (const Finding& finding : report.errors)
    errors.push_back(finding.loc + ": " + finding.message);
  return errors;
}

Config Accept(const std::string& yaml) {
  ConfigReport report = ParseConfig(yaml);
  EXPECT_TRUE(report.config) << yaml << (report.errors.empty() ? "" : report.errors[0].message);
  return report.config ? *report.config : Config{};
}

TEST(Config, ReadsACompleteItem) {
  const std::string yaml =
      "model_name: Llama\n"
      "weights:\n"
      "  - source: s3://bucket/models/llama/\n"
      "    mount_location: /models//llama/\n"
      "    auth: {auth_method: aws_oidc, aws_oidc_role_arn: not-an-arn, aws_oidc_region: nowhere}\n"
      "    auth_secret_name: extra\n"
      "    allow_patterns: ['*.safetensors', '*.json']\n"
      "    ignore_patterns:\n"
      "      - old/\n"
      "resources: {accelerator: H100, use_gpu: true}\n";
  const Config config = Accept(yaml);
  EXPECT_EQ(config.model_name, "Llama");
  EXPECT_EQ(config.document, yaml);
  ASSERT_EQ(config.weights.size(), 1u);
  const WeightsSource& weights = config.weights[0];
  EXPECT_EQ(weights.source, "s3://bucket/models/llama/");
  EXPECT_EQ(weights.uri.path, "models/llama");
  EXPECT_EQ(weights.mount_location, "/models//llama/");
  EXPECT_EQ(weights.mount_path, "/models/llama");
  EXPECT_EQ(weights.auth.method, AuthMethod::kAwsOidc);
  EXPECT_EQ(weights.auth.aws_oidc_region, "nowhere");
  EXPECT_EQ(weights.auth.auth_secret_name, "extra");
  EXPECT_THAT(*weights.allow_patterns, ElementsAre("*.safetensors", "*.json"));
  EXPECT_THAT(*weights.ignore_patterns, ElementsAre("old/"));
}

TEST(Config, AcceptsBothPlacesOfTheSecret) {
  const Config top = Accept(Item("auth_secret_name: s"));
  EXPECT_EQ(top.weights[0].auth.method, AuthMethod::kCustomSecret);
  EXPECT_EQ(top.weights[0].auth.auth_secret_name, "s");
  const Config inside = Accept(Item("auth: {auth_method: custom_secret, auth_secret_name: s}"));
  EXPECT_EQ(inside.weights[0].auth.method, AuthMethod::kCustomSecret);
  EXPECT_EQ(Accept(Item("auth:\nauth_secret_name: ~")).weights[0].auth.method, AuthMethod::kNone);
  EXPECT_THAT(
      ErrorsOf(
          Item("auth: {auth_method: CUSTOM_SECRET, auth_secret_name: a}\nauth_secret_name: b")),
      ElementsAre(
          "weights.0: auth_secret_name cannot be specified both at the top level and in auth "
          "section. Please use only one location."));
}

TEST(Config, HoldsTheAuthMatrix) {
  const std::string must = " must be provided when auth_method is ";
  const std::string cannot = " cannot be specified when auth_method is ";
  const std::vector<std::pair<std::string, std::vector<std::string>>> table = {
      {"{auth_method: CUSTOM_SECRET}",
       {"weights.0.auth: auth_secret_name" + must + "CUSTOM_SECRET"}},
      {"{auth_method: CUSTOM_SECRET, auth_secret_name: ''}",
       {"weights.0.auth: auth_secret_name" + must + "CUSTOM_SECRET"}},
      {"{auth_method: CUSTOM_SECRET, auth_secret_name: s, aws_oidc_region: r, "
       "aws_oidc_role_arn: a, gcp_oidc_workload_id_provider: p, gcp_oidc_service_account: x}",
       {"weights.0.auth: aws_oidc_role_arn, aws_oidc_region, gcp_oidc_service_account, "
        "gcp_oidc_workload_id_provider" +
        cannot + "CUSTOM_SECRET"}},
      {"{auth_method: AWS_OIDC}",
       {"weights.0.auth: aws_oidc_role_arn, aws_oidc_region" + must + "AWS_OIDC"}},
      {"{auth_method: AWS_OIDC, aws_oidc_region: r, auth_secret_name: s}",
       {"weights.0.auth: aws_oidc_role_arn" + must + "AWS_OIDC",
        "weights.0.auth: auth_secret_name" + cannot + "AWS_OIDC"}},
      {"{auth_method: GCP_OIDC, gcp_oidc_service_account: x}",
       {"weights.0.auth: gcp_oidc_workload_id_provider" + must + "GCP_OIDC"}},
      {"{auth_method: GCP_OIDC, gcp_oidc_service_account: x, gcp_oidc_workload_id_provider: p, "
       "aws_oidc_region: r}",
       {"weights.0.auth: aws_oidc_region" + cannot + "GCP_OIDC"}},
      {"{auth_method: GCP_OIDC, gcp_oidc_service_account: x, gcp_oidc_workload_id_provider: p}",
       {}},
      {"{auth_secret_name: s}", {"weights.0.auth.auth_method: Field required"}},
      {"{auth_method: AWS}",
       {"weights.0.auth.auth_method: Input should be 'CUSTOM_SECRET', 'AWS_OIDC' or 'GCP_OIDC'"}},
      {"{auth_method: ~}",
       {"weights.0.auth.auth_method: Input should be 'CUSTOM_SECRET', 'AWS_OIDC' or 'GCP_OIDC'"}},
      {"{auth_method: CUSTOM_SECRET, auth_secret_name: s, role: x}",
       {"weights.0.auth: Extra fields not allowed: [role]. Possibly this field is only supported "
        "by "
        "newer truss versions, check for updates."}},
      {"{auth_method: AWS_OIDC, aws_oidc_role_arn: 7, aws_oidc_region: r}",
       {"weights.0.auth: aws_oidc_role_arn" + must + "AWS_OIDC",
        "weights.0.auth.aws_oidc_role_arn: Input should be a valid string"}},
      {"secret", {"weights.0.auth: Input should be a valid dictionary or instance of WeightsAuth"}},
  };
  for (const auto& [auth, errors] : table)
    EXPECT_EQ(ErrorsOf(Item("auth: " + auth)), errors) << auth;
}

TEST(Config, ReportsAllErrorsAtOnceEachInItsPlace) {
  const ConfigReport report = ParseConfig(
      "weights:\n"
      "- source: gcs://b/p\n"
      "  mount_location: models\n"
      "  auth: {auth_method: X}\n"
      "  revision: main\n"
      "  runtime_secret_name: s\n"
      "- \xc3\xa9: 1\n"
      "  allow_patterns: ['*.json', '/abs', 7]\n"
      "- text\n");
  std::vector<std::string> places;
  for (const Finding& f : report.errors) {
    places.push_back(fmt::format("{}:{} {}", f.line, f.column, f.loc));
  }
  EXPECT_THAT(places, ElementsAre("2:11 weights.0.source", "3:19 weights.0.mount_location",
                                  "4:23 weights.0.auth.auth_method", "5:3 weights.0",
                                  "7:3 weights.1", "7:3 weights.1.source",
                                  "7:3 weights.1.mount_location", "8:30 weights.1.allow_patterns.1",
                                  "8:38 weights.1.allow_patterns.2", "9:3 weights.2"));
  EXPECT_EQ(report.errors[0].message,
            "Unsupported source scheme 'gcs://'. Supported schemes: azure://, bt://, cw://, gs://, "
            "hf://, https://, r2://, s3://");
  EXPECT_EQ(report.errors[1].message,
            "mount_location must be an absolute path (start with /), got: models");
  EXPECT_EQ(
      report.errors[3].message,
      "Extra fields not allowed: [revision, runtime_secret_name]. Possibly this field is only "
      "supported by newer truss versions, check for updates.");
  EXPECT_EQ(report.errors[9].message,
            "Input should be a valid dictionary or instance of WeightsSource");
}

TEST(Config, ChecksTypesOfTheItem) {
  EXPECT_THAT(ErrorsOf("weights:\n"), ElementsAre("weights: Input should be a valid list"));
  EXPECT_THAT(ErrorsOf("weights: {}\n"), ElementsAre("weights: Input should be a valid list"));
  EXPECT_THAT(ErrorsOf("weights: []\n"), IsEmpty());
  EXPECT_THAT(ErrorsOf("weights: [{source: '', mount_location: ''}]"),
              ElementsAre("weights.0.source: String should have at least 1 character",
                          "weights.0.mount_location: String should have at least 1 character"));
  EXPECT_THAT(ErrorsOf("weights: [{source: 5, mount_location: yes}]"),
              ElementsAre("weights.0.source: Input should be a valid string",
                          "weights.0.mount_location: Input should be a valid string"));
  EXPECT_THAT(ErrorsOf(Item("allow_patterns: '*.json'")),
              ElementsAre("weights.0.allow_patterns: Input should be a valid list"));
  EXPECT_THAT(ErrorsOf(Item("allow_patterns: []")),
              ElementsAre(HasSubstr("weights.0.allow_patterns: allow_patterns is an empty list")));
  EXPECT_THAT(ErrorsOf(Item("ignore_patterns: []\nallow_patterns: ~")), IsEmpty());
  EXPECT_THAT(ErrorsOf(Item("ignore_patterns: ['']")),
              ElementsAre(HasSubstr("weights.0.ignore_patterns.0: Invalid pattern ''")));
  EXPECT_THAT(ErrorsOf(Item("auth_secret_name: [a]")),
              ElementsAre("weights.0.auth_secret_name: Input should be a valid string"));
}

TEST(Config, RefusesMountLocationsThatCannotBeMounted) {
  const auto with = [](const std::string& path) {
    return "weights: [{source: 'hf://a/b', mount_location: \"" + path + "\"}]";
  };
  for (const char* path :
       {"/", "//", "/.", "/a/..", "/a/../b", "/..", "/proc", "/proc/x", "/sys/", "/dev/shm",
        "/./dev", "/etc/x", "/usr", "/tmp/", "/lib/x", "/bin", "/a\\nb", "/a\\0b"}) {
    EXPECT_THAT(ErrorsOf(with(path)),
                ElementsAre(HasSubstr("weights.0.mount_location: mount_location '")))
        << path;
  }
  EXPECT_THAT(ErrorsOf(with("/" + std::string(256, 'a'))),
              ElementsAre(HasSubstr("segment longer")));
  for (const char* path : {"/models", "/app/model_cache/x", "/process", "/devices/x", "/..a",
                           "/a..", "/tmp/x", "/usr/share/x", "/m ", "/\xc3\xa9"}) {
    EXPECT_THAT(ErrorsOf(with(path)), IsEmpty()) << path;
  }
}

TEST(Config, MountLocationsMustBeApart) {
  const auto two = [](const std::string& a, const std::string& b) {
    return "weights:\n- {source: 'hf://a/b', mount_location: " + a +
           "}\n- {source: 'hf://a/b', mount_location: " + b + "}\n";
  };
  EXPECT_THAT(
      ErrorsOf(two("/m", "/m")),
      ElementsAre("weights: Duplicate mount_location '/m' - each weights source must have a "
                  "unique mount path."));
  EXPECT_EQ(ParseConfig(two("/m", "/m")).errors[0].line, 3);
  EXPECT_THAT(
      ErrorsOf(two("/m", "/m/")),
      ElementsAre("weights.1.mount_location: mount_location '/m/' is the same place as '/m' "
                  "of weights.0 - each weights source must have a unique mount path."));
  EXPECT_THAT(ErrorsOf(two("//m/./x", "/m/x")), ElementsAre(HasSubstr("is the same place as")));
  EXPECT_THAT(ErrorsOf(two("/m", "/m/sub")),
              ElementsAre(HasSubstr("'/m/sub' lies inside '/m' of weights.0")));
  EXPECT_THAT(ErrorsOf(two("/m/sub", "/m")),
              ElementsAre(HasSubstr("'/m' contains '/m/sub' of weights.0")));
  EXPECT_THAT(ErrorsOf(two("/m", "/mm")), IsEmpty());
  EXPECT_THAT(ErrorsOf(two("/m", "/M")), IsEmpty());
  EXPECT_THAT(ErrorsOf(two("m", "m")).size(), 3u);
}

TEST(Config, WeightsAndModelCacheExcludeEachOther) {
  const std::string sentence =
      "weights: Please ensure that only one of `model_cache` and `weights` is specified";
  EXPECT_THAT(ErrorsOf(Item("") + "model_cache: [{repo_id: a/b}]\n"), ElementsAre(sentence));
  EXPECT_THAT(ErrorsOf(Item("") + "hf_cache: [{repo_id: a/b}]\n"), ElementsAre(sentence));
  EXPECT_THAT(ErrorsOf(Item("") + "model_cache: []\n"), IsEmpty());
  EXPECT_THAT(ErrorsOf("weights: []\nmodel_cache: [{repo_id: a/b}]\n"), IsEmpty());
  EXPECT_THAT(ErrorsOf(Item("") + "external_data: [{url: x}]\n"), IsEmpty());
}

TEST(Config, WarnsOfWhatIsLikelyToFailLater) {
  const auto warnings = [](const std::string& yaml) {
    const ConfigReport report = ParseConfig(yaml);
    EXPECT_THAT(report.errors, IsEmpty());
    std::vector<std::string> texts;
    for (const Finding& f : report.warnings) texts.push_back(f.loc + ": " + f.message);
    return texts;
  };
  EXPECT_THAT(warnings(Item("allow_patterns: ['*.safetensors', 'config.json']")),
              ElementsAre(HasSubstr("weights.0.allow_patterns: allow_patterns select *.safetensors "
                                    "but not model.safetensors.index.json and tokenizer.json")));
  EXPECT_THAT(warnings(Item("allow_patterns: ['*.safetensors', '*.json']")), IsEmpty());
  EXPECT_THAT(warnings(Item("allow_patterns: ['*.bin', 'config.json']")), IsEmpty());
  EXPECT_THAT(warnings("weights: [{source: 'azure://a/b/p', mount_location: /m}]"),
              ElementsAre(HasSubstr("weights.0: secret_id is required")));
  EXPECT_THAT(warnings("weights: [{source: 's3://b/p', mount_location: /m}]"),
              ElementsAre(HasSubstr("weights.0: secret_id is required")));
  EXPECT_THAT(
      warnings("weights: [{source: 'gs://b/p', mount_location: /m}]"),
      ElementsAre(HasSubstr("no credentials configured: need either OIDC config or secret_id")));
  EXPECT_THAT(warnings("a: 1\na: 2\n"),
              ElementsAre("a: Detected duplicate key `a`, will use the last entry but could cause "
                          "unexpected behavior"));
}

TEST(Config, EnvironmentVariablesBecomeTheTextThatTheClientSends) {
  const ConfigReport report = ParseConfig(
      "environment_variables:\n  A: yes\n  B: 010\n  C: ~\n  D: 1.10\n  E: 'no'\n  7: x\n  PORT: "
      "80\n  F: false\n  G: 2001-12-14\n  HOSTNAME: h\n");
  ASSERT_TRUE(report.config);
  EXPECT_THAT(report.config->environment_variables,
              ElementsAre(Pair("A", "true"), Pair("B", "8"), Pair("C", "None"), Pair("D", "1.1"),
                          Pair("E", "no"), Pair("7", "x"), Pair("PORT", "80"), Pair("F", "false"),
                          Pair("G", "2001-12-14"), Pair("HOSTNAME", "h")));
  ASSERT_EQ(report.warnings.size(), 2u);
  EXPECT_EQ(report.warnings[0].loc, "environment_variables.PORT");
  EXPECT_EQ(report.warnings[1].loc, "environment_variables.HOSTNAME");
  EXPECT_THAT(ErrorsOf("environment_variables: [A]"),
              ElementsAre("environment_variables: Input should be a valid dictionary"));
  EXPECT_THAT(ErrorsOf("environment_variables: {'A=B': 1}").size(), 1u);
  EXPECT_THAT(ErrorsOf("environment_variables: {A: [1]}").size(), 1u);
}

TEST(Config, SecretsAreNames) {
  EXPECT_THAT(Accept("secrets: {hf_access_token: null, other: 'x'}").secrets,
              ElementsAre("hf_access_token", "other"));
  EXPECT_THAT(ErrorsOf("secrets: [a]"), ElementsAre("secrets: Input should be a valid dictionary"));
  EXPECT_THAT(ErrorsOf("secrets: {a: 1, '../b': ~}").size(), 2u);
}

TEST(Config, ReadsDockerServer) {
  const Config config = Accept(
      "docker_server:\n  start_command: python -m server\n  server_port: 8000\n"
      "  predict_endpoint: /v1\n  readiness_endpoint: /health\n  liveness_endpoint: /health\n");
  ASSERT_TRUE(config.docker_server);
  EXPECT_EQ(config.docker_server->start_command, "python -m server");
  EXPECT_EQ(config.docker_server->server_port, 8000);
  EXPECT_EQ(config.docker_server->readiness_endpoint, "/health");
  EXPECT_THAT(ErrorsOf("docker_server: {start_command: x}"),
              ElementsAre("docker_server.server_port: Field required",
                          "docker_server.predict_endpoint: Field required",
                          "docker_server.readiness_endpoint: Field required",
                          "docker_server.liveness_endpoint: Field required"));
  const std::string rest = "predict_endpoint: /, readiness_endpoint: /, liveness_endpoint: /";
  EXPECT_THAT(ErrorsOf("docker_server: {server_port: 80, " + rest + "}"),
              ElementsAre("docker_server: start_command is required when no_build is not true"));
  EXPECT_THAT(ErrorsOf("docker_server: {server_port: '80', no_build: true, " + rest + "}"),
              IsEmpty());
  EXPECT_THAT(ErrorsOf("docker_server: {server_port: 70000, start_command: x, run_as_user_id: 0, " +
                       rest + "}")
                  .size(),
              2u);
  EXPECT_THAT(ErrorsOf("docker_server: {server_port: x, start_command: [a], " + rest + "}"),
              ElementsAre("docker_server.server_port: Input should be a valid integer",
                          "docker_server.start_command: Input should be a valid string"));
}

TEST(Config, TheDocumentIsCarriedByteForByte) {
  const std::string yaml = "\xef\xbb\xbf# c\r\nmodel_name: x\r\nunknown: {a: [1, 2]}\r\n";
  EXPECT_EQ(Accept(yaml).document, yaml);
  EXPECT_THAT(ErrorsOf(""), IsEmpty());
  EXPECT_THAT(ErrorsOf("- a"), ElementsAre(HasSubstr("must be a mapping")));
  EXPECT_THAT(ErrorsOf("x: &a {b: 1}\ny: {<<: *a}"), ElementsAre(HasSubstr("merge")));
  EXPECT_THAT(ErrorsOf(std::string(kConfigBytesMax + 1, '#')),
              ElementsAre(HasSubstr("the limit is 1048576")));
}

WeightsSource Source(const std::string& source,
                     std::optional<std::vector<std::string>> allow = {},
                     std::optional<std::vector<std::string>> ignore = {}) {
  WeightsSource weights;
  weights.source = source;
  weights.uri = *ParseSourceUri(source);
  weights.allow_patterns = std::move(allow);
  weights.ignore_patterns = std::move(ignore);
  return weights;
}

TEST(MirrorKey, DependsOnSourceAndPatternsOnly) {
  WeightsSource base = Source("hf://a/b");
  const std::string key = MirrorKey(base);
  EXPECT_EQ(key.size(), 64u);
  base.mount_location = "/m";
  base.auth.method = AuthMethod::kCustomSecret;
  base.auth.auth_secret_name = "s";
  EXPECT_EQ(MirrorKey(base), key);
  EXPECT_EQ(MirrorKey(Source("hf://a/b@main")), key);
  EXPECT_EQ(MirrorKey(Source("hf://a/b", {}, std::vector<std::string>{})), key);
  EXPECT_EQ(MirrorKey(Source("hf://a/b", {{"x", "y", "x"}})),
            MirrorKey(Source("hf://a/b", {{"y", "x"}})));

  const std::vector<std::string> keys = {
      key,
      MirrorKey(Source("hf://a/b@v2")),
      MirrorKey(Source("hf://datasets/a/b")),
      MirrorKey(Source("hf://a/b", std::vector<std::string>{})),
      MirrorKey(Source("hf://a/b", {{"x"}})),
      MirrorKey(Source("hf://a/b", {}, {{"x"}})),
      MirrorKey(Source("hf://a/b", {{"x"}}, {{"x"}})),
      MirrorKey(Source("hf://a/b", {{"x\n1:y"}})),
      MirrorKey(Source("hf://a/b", {{"x", "y"}})),
      MirrorKey(Source("hf://a/b", {{"x"}}, {{"y"}})),
  };
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(keys[i], keys[j]) << i << " " << j;
  }
  // Stored keys outlive the program, so the encoding may not change unnoticed.
  EXPECT_EQ(key, "a6b3b1f3c625be7a4ab55721aeb17fc33df89f9700d7525a46a95fe1106d1cd0");
}

}  // namespace
}  // namespace bdn::model
