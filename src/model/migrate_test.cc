#include "model/migrate.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "codec/yaml.h"
#include "model/migrate_code.h"
#include "model/migrate_plan.h"
#include "model/migrate_write.h"
#include "model/pattern.h"

namespace bdn::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::filesystem::path kDirectory = std::filesystem::path(BDN_MODEL_TESTDATA) / "migrate";

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::filesystem::path> Configs() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(kDirectory)) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string Describe(const MigrateResult& result) {
  constexpr const char* kOutcomes[] = {"migrated", "nothing to do", "refused"};
  std::string out = fmt::format("{}{}{}\n", kOutcomes[static_cast<int>(result.outcome)],
                                result.message.empty() ? "" : ": ", result.message);
  for (const Finding& p : result.problems) {
    out += fmt::format("problem {}:{}: {}: {}\n", p.line, p.column, p.loc, p.message);
  }
  for (const MigrateWarning& w : result.warnings) {
    out += fmt::format("warning {}:{}: {}{}{}\n", w.file, w.line, w.message,
                       w.new_path.empty() ? "" : " -> ", w.new_path);
  }
  return out + "==========\n" + result.text;
}

// The lines of a file that no replaced key spans, found without the code under test: a key of a
// block mapping at the root lasts until the next line that begins in column 1 with anything but
// '-' or '#'.
std::string OutsideLines(const std::string& text) {
  std::string out;
  bool replaced = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool is_comment = line.find_first_not_of(" \t\r") == std::string::npos ||
                            line[line.find_first_not_of(" \t")] == '#';
    if (is_comment) continue;
    const bool key = line[0] != ' ' && line[0] != '-' && line[0] != '\r';
    if (key) {
      replaced = line.starts_with("model_cache:") || line.starts_with("hf_cache:") ||
                 line.starts_with("external_data:") || line.starts_with("weights:");
    }
    if (!replaced) out += line + "\n";
  }
  return out;
}

void ExpectGood(const std::string& before, const MigrateResult& result) {
  EXPECT_TRUE(ParseConfig(result.text).errors.empty()) << result.text;
  const MigrateResult again = Migrate(result.text, {});
  EXPECT_EQ(again.outcome, MigrateOutcome::kNothingToDo) << result.text;
  EXPECT_NE(before, result.text);
}

// BDN_UPDATE_GOLDEN=1 rewrites the expectations.
TEST(Migrate, GoldenFiles) {
  ASSERT_GE(Configs().size(), 12u);
  for (const auto& path : Configs()) {
    SCOPED_TRACE(path.filename());
    const std::string text = ReadFile(path);
    std::vector<CodeFile> code;
    auto python = path;
    if (std::filesystem::exists(python.replace_extension(".py"))) {
      code.push_back({"model/model.py", ReadFile(python)});
    }
    const MigrateResult result = Migrate(text, code);
    auto expected = path;
    expected.replace_extension(".expected");
    if (std::getenv("BDN_UPDATE_GOLDEN") != nullptr) {
      std::ofstream(expected, std::ios::binary) << Describe(result);
    }
    EXPECT_EQ(ReadFile(expected), Describe(result));
    if (result.outcome != MigrateOutcome::kMigrated) {
      EXPECT_TRUE(result.text.empty());
      EXPECT_TRUE(!result.message.empty());
      continue;
    }
    ExpectGood(text, result);
    if (!text.starts_with('{') && !text.starts_with(' ') && !text.starts_with("\xef\xbb\xbf")) {
      EXPECT_EQ(OutsideLines(text), OutsideLines(result.text));
    }
  }
}

// Every rule and every warning of docs/migrate.md, the golden file that shows it, and what that
// file says. A golden file that no rule names is one too many.
struct Rule {
  const char* rule;
  const char* golden;
  const char* says;
};
constexpr Rule kRules[] = {
    // Outcomes.
    {"weights that are not empty: nothing to do", "already", "nothing to do: Config already uses"},
    {"model_cache beside weights is said", "beside_weights", "stands beside weights"},
    {"no old key, or empty ones: nothing to do", "nothing", "nothing to do: No model_cache or"},
    {"not YAML: refused with line and column", "not_yaml", "problem "},
    {"a key twice: refused", "twice", "a key is twice in the file"},
    {"model_cache and hf_cache: refused", "both_old_keys", "both model_cache and hf_cache"},
    {"items that are not valid: refused, all of them", "wrong_items", "problem 7:5: model_cache.2"},
    {"use_volume must be a boolean", "wrong_items", "Input should be a valid boolean"},
    {"an item must be a mapping", "wrong_items", "Input should be a valid dictionary"},
    {"a prefix of another kind: refused", "wrong_items", "has the prefix of another kind"},
    {"a revision has two characters or none", "escaping_folder", "at least 2 characters"},
    {"a volume has a folder", "escaping_folder", "volume_folder: str"},
    {"repo_id is not empty", "escaping_folder", "should have at least 1 character"},
    {"repo_id is required", "escaping_folder", "model_cache.4.repo_id: Field required"},
    {"kinds are those five, in lower case", "escaping_folder", "'azure' or 'r2'"},
    {"http:// is not migrated", "plain_http", "not an https:// URL"},
    {"what does not validate is refused", "duplicate_mounts", "Duplicate mount_location"},
    {"an anchor that is used outside: refused", "anchor_used_outside", "undefined alias 'repo'"},
    // What becomes what.
    {"items in order, then external_data", "corpus_flow", "https://example.com/x"},
    {"empty old keys go, weights: [] too", "corpus_empty_lists", "==========\nweights:\n"},
    {"hf without a revision", "v1_hf", "- source: hf://"},
    {"hf with a revision", "llm_volume", "@"},
    {"kind s3; the prefix is not doubled", "corpus_every_cloud", "source: s3://acme-bucket/a/b\n"},
    {"kind gcs", "corpus_every_cloud", "source: gs://acme-bucket/a\n"},
    {"kind azure", "corpus_every_cloud", "source: azure://account/container/a\n"},
    {"kind r2", "corpus_every_cloud", "source: r2://acct123.bucket/a\n"},
    {"a volume's folder", "corpus_sharded_llm", "mount_location: /app/model_cache/llama-70b\n"},
    {"an absolute folder", "corpus_flow_values", "mount_location: /models/one\n"},
    {"a folder is joined, a '/' at its end goes", "diffusers", "/app/model_cache/sdxl/vae-fix\n"},
    {"image, hf: owner and name", "corpus_flow_values", "/app/model_cache/acme_two\n"},
    {"image, cloud: the first part", "corpus_cloud_image", "/app/model_cache/acme-weights\n"},
    {"volume_folder without a volume is ignored", "corpus_empty_lists", "model_cache/acme_one\n"},
    {"the secret, in an auth block", "corpus_sharded_llm",
     "auth_method: CUSTOM_SECRET\n      auth_secret_name: hf_access_token_prod\n"},
    {"the default secret", "corpus_folded_command", "auth_secret_name: hf_access_token\n"},
    {"an empty secret: no auth", "corpus_vllm_server",
     "mount_location: /app/model_cache/qwen\nmodel_metadata"},
    {"patterns as they are", "corpus_sdxl_pipeline",
     "ignore_patterns: [\"**/*.bin\", \"*.msgpack\","},
    {"external_data", "external", "mount_location: /app/data/weights/model.onnx\n"},
    {"an absolute local_data_path", "external", "mount_location: /labels.txt\n"},
    {"local_data_path is joined", "corpus_every_cloud", "/app/data/deep/file.bin\n"},
    {"hf_cache, use_volume may be missing", "hf_cache", "hf://"},
    {"hf_cache with volumes", "corpus_folded_command", "/app/model_cache/whisper\n"},
    // Warnings.
    {"a model of the image moves", "v1_hf", "migrated. You may need to update model.py"},
    {"code that names the model", "v1_hf", "no longer in the Hugging Face cache of the image"},
    {"files of a cloud move", "corpus_cloud_image", "were at /app/model_cache/acme-weights/llm/v3"},
    {"code that names a path that moved", "corpus_cloud_image", "tok/vocab.json is now"},
    {"code that names a path without a mount", "corpus_sharded_llm",
     "warning model/model.py:5: nothing is mounted at /app/model_cache/llama-8b/config.json"},
    {"start_command that does so", "corpus_vllm_server",
     "nothing is mounted at /app/model_cache/t"},
    {"truss-transfer-cli, one line", "custom_server", "Without it: sh -c \"text-embeddings-router"},
    {"truss-transfer-cli, literal", "corpus_vllm_server", "Without it: set -e\nexec vllm"},
    {"truss-transfer-cli, folded", "corpus_folded_command", "/packages/*.whl; python /app/data"},
    {"a pattern whose '*' matched '/'", "corpus_sharded_llm", "write '**/*.json'"},
    {"a pattern that takes two", "corpus_sharded_llm", "write 'tokenizer*', 'tokenizer*/**'"},
    {"a pattern that gains the top level", "corpus_sdxl_pipeline", "at the top level as well"},
    {"a pattern whose '?' was plain", "corpus_crlf_non_ascii", "used to be plain characters"},
    {"fnmatch knew sets", "corpus_cloud_image", "write '[a-c]*.bin', '[a-c]*/**/*.bin'"},
    {"a pattern that takes too many", "many_stars", "compare with `bdn match --explain`"},
    {"an empty allow list", "corpus_empty_lists", "the empty allow_patterns selected no file"},
    {"hf_access_token where it cannot work, by default", "clouds",
     "(the default) cannot work for gs"},
    {"hf_access_token where it cannot work, written", "clouds", "cannot work for azure://"},
    {"no secret, r2", "no_secret",
     "warning config.yaml:6: secret_id is required: mirroring from r2:// fails without auth; "},
    {"no secret, s3", "no_secret", "mirroring from s3:// fails without auth; "},
    {"no secret, azure", "no_secret", "mirroring from azure:// fails without auth; "},
    {"no secret, gcs", "no_secret",
     "either OIDC config or secret_id: mirroring from gs:// fails without auth; "},
    {"no secret: what to write", "no_secret", "as `auth_secret_name` of the new item of r2://"},
    {"a revision of a cloud", "corpus_every_cloud", "the revision 'v2' is left out"},
    {"a volume without a revision", "corpus_sharded_llm", "names no revision"},
    {"an unknown key", "corpus_empty_lists", "'priority' has no equivalent"},
    // Formatting.
    {"comments above items stay above them", "comments", "#"},
    {"every comment stays", "corpus_comments_everywhere", "# 24 beside the path"},
    {"anchors are read, and stay", "corpus_anchors", "patterns: *weights}"},
    {"anchors of scalars", "anchors", "TOKEN_NAME: *token"},
    {"CRLF stays", "crlf", "\r\n"},
    {"CRLF and text that is not ASCII", "corpus_crlf_non_ascii", "- \"modèle?.bin\"\r\n"},
    {"a byte order mark", "bom_non_ascii", "\xef\xbb\xbf"},
    {"tabs in strings and before comments", "corpus_tabs", "- 'c\td*'\n"},
    {"tabs as escapes", "tabs", "\"tab\\there\""},
    {"a file in flow style", "corpus_flow", "requirements: [onnxruntime==1.18.0],"},
    {"flow on one line", "flow", "{"},
    {"values in flow style", "corpus_flow_values", "requirements: [\n  torch,   # latest\n"},
    {"JSON", "json", "\"weights\": ["},
    {"JSON, the old key first", "json_first", "weights"},
    {"indentation of the file", "indented", "weights:"},
    {"'---' and '...'", "document_marks", "---"},
    {"keys that stand apart", "two_keys_apart", "weights:"},
};

TEST(Migrate, EveryRuleHasAGoldenFileAndEveryGoldenFileARule) {
  std::set<std::string> named;
  for (const Rule& rule : kRules) {
    auto path = kDirectory / rule.golden;
    named.insert(rule.golden);
    EXPECT_THAT(ReadFile(path.replace_extension(".expected")), HasSubstr(rule.says)) << rule.rule;
  }
  for (const auto& path : Configs()) EXPECT_TRUE(named.contains(path.stem())) << path;
}

// The same with the patterns rewritten: each selects what it selected before.
TEST(Migrate, RewrittenPatternsKeepTheSelectionOfEveryGoldenFile) {
  const std::vector<std::string> paths{"a.json",
                                       "x/a.json",
                                       "x/y/a.bin",
                                       "config.json",
                                       "b.safetensors",
                                       "unet/b.safetensors",
                                       "tokenizer.json",
                                       "tokenizer/x/y",
                                       "onnx/a/b",
                                       "d1x.bin",
                                       "scheduler/s/t.json",
                                       "ab.bin",
                                       "a/b.bin",
                                       "vae/x/y",
                                       "mod.bin"};
  int rewritten = 0;
  for (const auto& path : Configs()) {
    SCOPED_TRACE(path.filename());
    const std::string text = ReadFile(path);
    const MigrateResult plain = Migrate(text, {});
    MigrateResult result = Migrate(text, {}, {.rewrite_patterns = true});
    ASSERT_EQ(plain.outcome, result.outcome);
    if (result.outcome != MigrateOutcome::kMigrated) continue;
    ExpectGood(text, result);
    for (MigrateWarning& warning : result.warnings) {
      if (!warning.pattern) continue;
      EXPECT_EQ(warning.pattern->rewritten, !warning.pattern->offer.empty());
      if (!warning.pattern->rewritten) continue;
      ++rewritten;
      CompareSelection(paths, *warning.pattern);
      EXPECT_TRUE(warning.pattern->lost.empty()) << warning.pattern->pattern;
      EXPECT_TRUE(warning.pattern->gained.empty()) << warning.pattern->pattern;
    }
  }
  EXPECT_GT(rewritten, 25);
}

std::string Weights(const std::string& items) {
  const MigrateResult result = Migrate("model_cache:\n" + items, {});
  EXPECT_EQ(result.outcome, MigrateOutcome::kMigrated) << Describe(result);
  return result.text;
}

TEST(Migrate, EveryKindHasItsScheme) {
  for (const auto& [kind, source] : {std::pair("hf", "hf://a/b@v1"),
                                     {"gcs", "gs://a/b"},
                                     {"s3", "s3://a/b"},
                                     {"azure", "azure://a/b"}}) {
    EXPECT_THAT(Weights(fmt::format("- {{repo_id: a/b, kind: {}, use_volume: true, revision: v1, "
                                    "volume_folder: f}}\n",
                                    kind)),
                HasSubstr(fmt::format("- source: {}\n", source)));
  }
  EXPECT_THAT(Weights("- {repo_id: acct.bucket/p, kind: r2, use_volume: false}\n"),
              HasSubstr("- source: r2://acct.bucket/p\n"
                        "  mount_location: /app/model_cache/acct.bucket\n"));
}

TEST(Migrate, APrefixOfTheSameKindIsNotDoubled) {
  EXPECT_THAT(Weights("- {repo_id: 'gs://b/p', kind: gcs, use_volume: false}\n"),
              HasSubstr("source: gs://b/p\n"));
  EXPECT_THAT(Weights("- {repo_id: 'hf://a/b', use_volume: false}\n"),
              HasSubstr("source: hf://a/b\n  mount_location: /app/model_cache/a_b\n"));
}

TEST(Migrate, FoldersAreJoinedAsPathsAre) {
  for (const auto& [folder, mount] : {std::pair("x", "/app/model_cache/x"),
                                      {"x/y/", "/app/model_cache/x/y"},
                                      {"/abs/dir", "/abs/dir"},
                                      {"./x//y", "/app/model_cache/x/y"}}) {
    EXPECT_THAT(Weights(fmt::format("- {{repo_id: a/b, revision: v1, use_volume: true, "
                                    "volume_folder: {}}}\n",
                                    folder)),
                HasSubstr(fmt::format("mount_location: {}\n", mount)));
  }
}

TEST(Migrate, AnEmptySecretNameMeansNoAuth) {
  EXPECT_EQ(Weights("- {repo_id: a/b, use_volume: false, runtime_secret_name: ''}\n"),
            "weights:\n- source: hf://a/b\n  mount_location: /app/model_cache/a_b\n");
  EXPECT_THAT(Weights("- {repo_id: a/b, use_volume: false}\n"),
              HasSubstr("  auth:\n    auth_method: CUSTOM_SECRET\n"
                        "    auth_secret_name: hf_access_token\n"));
}

// What `bdn validate` would say of the result is said before it is written.
TEST(Migrate, AnEmptySecretNameIsWarnedOfWhereTheResultIs) {
  for (const auto& [kind, repo] : {std::pair("hf", "a/b"),
                                   {"gcs", "b/p"},
                                   {"s3", "b/p"},
                                   {"azure", "account/container/p"},
                                   {"r2", "acct.bkt/p"}}) {
    const MigrateResult result =
        Migrate(fmt::format("model_cache: [{{repo_id: {}, kind: {}, revision: v1, "
                            "use_volume: true, volume_folder: r, runtime_secret_name: ''}}]\n",
                            repo, kind),
                {});
    ASSERT_EQ(result.outcome, MigrateOutcome::kMigrated) << Describe(result);
    const auto validated = ParseConfig(result.text).warnings;
    EXPECT_EQ(validated.empty(), kind == std::string_view("hf"));
    for (const Finding& finding : validated) {
      EXPECT_THAT(Describe(result), HasSubstr(finding.message)) << kind;
    }
  }
}

TEST(Migrate, WhatDoesNotValidateIsRefusedWithTheReason) {
  const auto refused = [](const std::string& text) {
    const MigrateResult result = Migrate(text, {});
    EXPECT_EQ(result.outcome, MigrateOutcome::kRefused) << text;
    EXPECT_EQ(result.text, "");
    return Describe(result);
  };
  EXPECT_THAT(refused("external_data: [{url: 'http://h/x', local_data_path: x}]"),
              HasSubstr("not an https:// URL"));
  EXPECT_THAT(refused("model_cache:\n- {repo_id: b/p, kind: s3, use_volume: false}\n"
                      "- {repo_id: b/q, kind: s3, use_volume: false}\n"),
              HasSubstr("Duplicate mount_location '/app/model_cache/b'"));
  EXPECT_THAT(refused("model_cache: [{repo_id: 'gs://b/p', kind: s3, use_volume: false}]"),
              HasSubstr("prefix of another kind"));
  EXPECT_THAT(refused("model_cache: [{repo_id: a/b, use_volume: true, volume_folder: ../x, "
                      "revision: v1}]"),
              HasSubstr("'..' segment"));
  EXPECT_THAT(refused("model_cache: [{repo_id: a/b}]"), HasSubstr("use_volume: Field required"));
  EXPECT_THAT(refused("model_cache: [{repo_id: a/b, use_volume: true}]"),
              HasSubstr("volume_folder: str"));
  EXPECT_THAT(refused("model_cache: [{repo_id: a/b, use_volume: false, kind: GCS}]"),
              HasSubstr("Input should be 'hf', 'gcs', 's3', 'azure' or 'r2'"));
  EXPECT_THAT(refused("model_cache: [{repo_id: a/b, use_volume: false, revision: x}]"),
              HasSubstr("revision must be empty or at least 2 characters"));
  EXPECT_THAT(refused("model_cache: [{repo_id: 7, use_volume: false}]"), HasSubstr("valid string"));
  EXPECT_THAT(refused("model_cache: [x]"), HasSubstr("valid dictionary"));
  EXPECT_THAT(refused("model_cache: {repo_id: x}"), HasSubstr("valid list"));
  EXPECT_THAT(refused("model_cache: ["), HasSubstr("not valid YAML"));
  EXPECT_THAT(refused("- model_cache"), HasSubstr("must be a mapping"));
  EXPECT_THAT(refused("hf_cache: [{repo_id: a/b}]\nmodel_cache: [{repo_id: a/b, use_volume: no}]"),
              HasSubstr("both model_cache and hf_cache"));
  EXPECT_THAT(refused("x: 1\nhf_cache: [{repo_id: a/b}]\nx: 2"), HasSubstr("twice"));
  EXPECT_THAT(refused("hf_cache: [{repo_id: &r a/b}]\nx: *r\n"), HasSubstr("undefined alias"));
  EXPECT_THAT(refused("y: &r 1\nhf_cache: [{repo_id: &r a/b}]\nx: *r\n"), HasSubstr("an anchor"));
  EXPECT_THAT(refused("hf_cache: [{repo_id: a/b}]\ndocker_server: {}\n"),
              HasSubstr("docker_server.server_port: Field required"));
}

TEST(Migrate, SaysWhenThereIsNothingToDo) {
  for (const char* text : {"", "model_name: x\n", "model_cache: []\n", "external_data:\n"}) {
    const MigrateResult result = Migrate(text, {});
    EXPECT_EQ(result.outcome, MigrateOutcome::kNothingToDo);
    EXPECT_EQ(result.message, "No model_cache or external_data found. Nothing to migrate.");
  }
  const MigrateResult result =
      Migrate("weights: [{source: 'hf://a/b', mount_location: /m}]\nmodel_cache: [{}]\n", {});
  EXPECT_EQ(result.outcome, MigrateOutcome::kNothingToDo);
  EXPECT_EQ(result.message, "Config already uses the weights API. Nothing to migrate.");
  EXPECT_EQ(result.warnings.size(), 1u);
}

TEST(Migrate, EmptyOldKeysGoWithTheOthers) {
  EXPECT_EQ(Migrate("weights: []\na: 1\nmodel_cache: []\nexternal_data: [{url: 'https://h/x', "
                    "local_data_path: x}]\nb: 2",
                    {})
                .text,
            "weights:\n  - source: https://h/x\n    mount_location: /app/data/x\na: 1\nb: 2");
}

TEST(Migrate, AFileWithoutALineEndStaysWithoutOne) {
  EXPECT_EQ(Weights("- {repo_id: a/b, use_volume: no, runtime_secret_name: ''}"),
            "weights:\n- source: hf://a/b\n  mount_location: /app/model_cache/a_b");
}

TEST(RewritePattern, SelectsWhatItSelectedBefore) {
  const auto volume = [](std::string_view pattern) { return RewritePattern(pattern, true); };
  EXPECT_THAT(volume("config.json"), ElementsAre("config.json"));
  EXPECT_THAT(volume("*"), ElementsAre("**"));
  EXPECT_THAT(volume("*.json"), ElementsAre("**/*.json"));
  EXPECT_THAT(volume("unet/*"), ElementsAre("unet/**"));
  EXPECT_THAT(volume("unet/*.bin"), ElementsAre("unet/**/*.bin"));
  EXPECT_THAT(volume("*/config.json"), ElementsAre("*/**/config.json"));
  EXPECT_THAT(volume("**/*.json"), ElementsAre("*/**/*.json"));
  EXPECT_THAT(volume("unet/**"), ElementsAre("unet/**"));
  EXPECT_THAT(volume("model*"), ElementsAre("model*", "model*/**"));
  EXPECT_THAT(volume("model*.bin"), ElementsAre("model*.bin", "model*/**/*.bin"));
  EXPECT_THAT(volume("a?[b]"), ElementsAre("a\\?\\[b]"));
  EXPECT_THAT(RewritePattern("a?[b]", false), ElementsAre("a?[b]"));
  EXPECT_TRUE(volume("a*b*c*d").empty());
}

// The matcher of volumes: '*' is any number of any characters, all else is itself. By a table, for
// plain recursion takes exponential time.
bool OldMatch(std::string_view pattern, std::string_view path) {
  std::vector<bool> reached(path.size() + 1, false);
  reached[0] = true;
  for (const char c : pattern) {
    std::vector<bool> next(path.size() + 1, false);
    for (std::size_t i = 0; i <= path.size(); ++i) {
      if (c == '*') {
        next[i] = reached[i] || (i > 0 && next[i - 1]);
      } else if (i > 0) {
        next[i] = reached[i - 1] && path[i - 1] == c;
      }
    }
    reached = std::move(next);
  }
  return reached[path.size()];
}

RC_GTEST_PROP(RewritePattern, AgreesWithTheOldMatcherOnEveryPath, ()) {
  const auto text =
      *rc::gen::container<std::string>(rc::gen::element('a', 'b', '*', '*', '/', '?'));
  const auto rewritten = RewritePattern(text, true);
  const auto set = PatternSet::Parse(rewritten, std::nullopt);
  RC_PRE(!rewritten.empty() && set.has_value());
  // A trailing '/' selected nothing and now means everything below; that alone differs.
  RC_PRE(!text.ends_with('/'));
  const auto segments = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(
      rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::element('a', 'b', '?')))));
  std::string path;
  for (const auto& segment : segments) path += (path.empty() ? "" : "/") + segment;
  RC_ASSERT(set->Selects(path) == OldMatch(text, path));
}

TEST(WithoutTransfer, LeavesTheOtherCommands) {
  EXPECT_EQ(WithoutTransfer("truss-transfer-cli && serve --model /m"), "serve --model /m");
  EXPECT_EQ(WithoutTransfer("sh -c \"truss-transfer-cli /x && serve\""), "sh -c \"serve\"");
  EXPECT_EQ(WithoutTransfer("echo a; /usr/bin/truss-transfer-cli; serve"), "echo a; serve");
  EXPECT_EQ(WithoutTransfer("export A=1 && truss-transfer-cli"), "export A=1");
  EXPECT_EQ(WithoutTransfer("sh -c 'set -e\ntruss-transfer-cli\nserve'"), "sh -c 'set -e\nserve'");
  EXPECT_EQ(WithoutTransfer("truss-transfer-cli"), "");
  EXPECT_EQ(WithoutTransfer("serve"), "serve");
}

// Random files of known pieces: every piece that is not an old key comes out as it went in.
RC_GTEST_PROP(Migrate, BytesOutsideTheReplacedKeysStay, ()) {
  const std::vector<std::string> pieces{"# a comment\n",
                                        "\n",
                                        "model_name: \"m\\tx\"  # why\n",
                                        "python_version: py311\n",
                                        "secrets:\n    hf_access_token: null\n",
                                        "run: |\n  # not a comment\n  model_cache: no\n\n",
                                        "list: [1,   2,\n  3]\n",
                                        "ünï: 'cödé'\n",
                                        "deep:\n  - a: {b: [c]}\n    d: >-\n      e\n"};
  const std::vector<std::string> old_keys{
      "model_cache:\n- repo_id: a/b\n  use_volume: false  # one\n  allow_patterns:\n  - '*.json'\n",
      "external_data:\n  # first\n  - url: https://h/x\n    local_data_path: x\n", "weights: []\n"};
  auto order =
      *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, static_cast<int>(pieces.size())));
  std::sort(order.begin(), order.end());
  // Comments and blank lines may repeat, keys may not.
  order.erase(std::unique(order.begin(), order.end()), order.end());
  std::vector<std::string> all;
  for (const int i : order) all.push_back(pieces[static_cast<std::size_t>(i)]);
  const auto first = *rc::gen::inRange<std::size_t>(0, all.size() + 1);
  all.insert(all.begin() + static_cast<std::ptrdiff_t>(first), old_keys[0]);
  const auto second = *rc::gen::inRange<std::size_t>(first + 1, all.size() + 1);
  const auto which = *rc::gen::inRange<std::size_t>(1, old_keys.size());
  all.insert(all.begin() + static_cast<std::ptrdiff_t>(second), old_keys[which]);
  std::string text;
  std::string head;
  std::string tail;
  for (std::size_t i = 0; i < all.size(); ++i) {
    text += all[i];
    if (i < first) head += all[i];
    if (i > first && i != second) tail += all[i];
  }
  const MigrateResult result = Migrate(text, {});
  RC_ASSERT(result.outcome == MigrateOutcome::kMigrated);
  RC_ASSERT(result.text.starts_with(head + "weights:\n# one\n- source: hf://a/b\n"));
  RC_ASSERT(result.text.ends_with(tail));
  RC_ASSERT(ParseConfig(result.text).errors.empty());
  RC_ASSERT(Migrate(result.text, {}).outcome == MigrateOutcome::kNothingToDo);
}

}  // namespace
}  // namespace bdn::model
