#include "model/explain.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/json.h"
#include "model/validate_report.h"

namespace bdn::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Names = std::vector<std::string>;

Selection Select(const Names& paths, const std::optional<Names>& allow, const Names& ignore = {}) {
  std::vector<ListedFile> files;
  for (const std::string& path : paths) files.push_back({path, 10});
  const auto set = PatternSet::Parse(allow, ignore);
  EXPECT_TRUE(set) << set.error().message();
  return CheckSelection(*set, files);
}

Names Rules(const Selection& selection) {
  Names rules;
  for (const auto& finding : selection.findings) rules.push_back(finding.rule);
  return rules;
}

const Names kSharded{"README.md",
                     "config.json",
                     "generation_config.json",
                     "model-00001-of-00002.safetensors",
                     "model-00002-of-00002.safetensors",
                     "model.safetensors.index.json",
                     "tokenizer.json",
                     "tokenizer_config.json"};

TEST(CheckSelection, CountsFilesAndBytes) {
  const Selection all = Select(kSharded, std::nullopt);
  EXPECT_EQ(all.files, 8u);
  EXPECT_EQ(all.selected_bytes, 80u);
  EXPECT_THAT(Rules(all), IsEmpty());
  const Selection some = Select(kSharded, Names{"*.json", "*.safetensors"});
  EXPECT_EQ(some.selected_files, 7u);
  EXPECT_EQ(some.bytes, 80u);
  EXPECT_EQ(some.selected_bytes, 70u);
  EXPECT_THAT(Rules(some), IsEmpty());
}

TEST(CheckSelection, NothingSelectedIsSaidFirst) {
  const Selection none = Select({"a/x.json", "b/y.json"}, Names{"*.json", "*.bin"});
  EXPECT_THAT(Rules(none), ElementsAre("nothing_selected", "pattern_selects_nothing",
                                       "pattern_selects_nothing"));
  EXPECT_THAT(none.findings[1].message, HasSubstr("write '**/*.json'"));
  EXPECT_THAT(none.findings[2].message, testing::Not(HasSubstr("write")));
  EXPECT_THAT(Rules(Select({}, Names{"*"})), ElementsAre("nothing_selected"));
}

TEST(CheckSelection, AnIgnorePatternThatTakesNothingAwayIsNamed) {
  const Selection s = Select({"a/x.bin", "y.json"}, std::nullopt, {"*.bin"});
  EXPECT_THAT(Rules(s), ElementsAre("pattern_ignores_nothing"));
  EXPECT_THAT(s.findings[0].message, HasSubstr("write '**/*.bin'"));
}

TEST(CheckSelection, APatternThatStopsAtTheTopLevelIsNamed) {
  const Names files{"config.json", "model.safetensors", "sub/x.json", "sub/y.txt"};
  const Selection s = Select(files, Names{"*.json", "*.safetensors"});
  EXPECT_THAT(Rules(s), ElementsAre("pattern_top_level_only"));
  EXPECT_THAT(s.findings[0].message,
              HasSubstr("'*.json' selects files at the top level only, and 1 file below would "
                        "match too ('sub/x.json')"));
  const Selection ignored = Select(files, std::nullopt, {"*.json"});
  EXPECT_THAT(Rules(ignored), ElementsAre("pattern_top_level_only", "config_left_out"));
  EXPECT_THAT(ignored.findings[0].message, HasSubstr("'*.json' ignores files at the top level"));
  // Not of what another pattern selects, or an ignore pattern takes away.
  EXPECT_THAT(Rules(Select(files, Names{"*.json", "*.safetensors", "sub/"})), IsEmpty());
  EXPECT_THAT(Rules(Select(files, Names{"*.json", "*.safetensors"}, {"sub/"})), IsEmpty());
}

TEST(CheckSelection, AShardedModelNeedsItsIndexConfigAndTokenizer) {
  const Selection s = Select(kSharded, Names{"*.safetensors"});
  EXPECT_THAT(Rules(s), ElementsAre("index_left_out", "config_left_out", "tokenizer_left_out"));
  EXPECT_THAT(s.findings[0].message, HasSubstr("'model.safetensors.index.json'"));
  EXPECT_THAT(s.findings[2].message, HasSubstr("'tokenizer.json'"));
  EXPECT_THAT(Rules(Select(kSharded, Names{"*.safetensors", "config.json", "tokenizer*"})),
              ElementsAre("index_left_out"));
}

TEST(CheckSelection, ShardsThatAreLeftOutAreNamed) {
  const Selection s = Select(kSharded, std::nullopt, {"model-00002*"});
  EXPECT_THAT(Rules(s), ElementsAre("shards_left_out"));
  EXPECT_THAT(s.findings[0].message,
              HasSubstr("1 of the 2 files model-…-of-00002.safetensors are left out: "
                        "'model-00002-of-00002.safetensors'"));
}

TEST(CheckSelection, ShardsThatTheSourceLacksAreCounted) {
  const Selection s = Select({"m-00001-of-00004.gguf", "m-00003-of-00004.gguf"}, std::nullopt);
  EXPECT_THAT(Rules(s), ElementsAre("shards_missing"));
  EXPECT_THAT(s.findings[0].message, HasSubstr("only 2 of the 4"));
  EXPECT_THAT(Rules(Select({"m-00000-of-00002.gguf", "m-00001-of-00002.gguf"}, std::nullopt)),
              IsEmpty());
  // Six digits after "of" are real, and no shard is a file that only looks like one.
  EXPECT_THAT(
      Rules(Select({"model-00001-of-000002.safetensors", "model-00002-of-000002.safetensors",
                    "x-of-00002.safetensors", "1-of-2.txt", "-00001-of-00009"},
                   std::nullopt)),
      ElementsAre("shards_missing"));
}

TEST(CheckSelection, EveryNameOfAnIndexIsKnown) {
  for (const Names& files :
       {Names{"pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"},
        Names{"diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
              "diffusion_pytorch_model.safetensors.index.fp16.json"},
        Names{"unet/model-00001-of-00001.safetensors", "unet/model.safetensors.index.json"}}) {
    EXPECT_THAT(Rules(Select(files, std::nullopt)), IsEmpty());
    EXPECT_THAT(Rules(Select(files, std::nullopt, {"**/*.json"})), ElementsAre("index_left_out"));
  }
  // GGUF carries its index, and an index of another model is not this one's.
  EXPECT_THAT(Rules(Select({"m-00001-of-00001.gguf", "m.index.json"}, Names{"*.gguf"})), IsEmpty());
  EXPECT_THAT(Rules(Select({"a-00001-of-00001.safetensors", "b.safetensors.index.json"},
                           Names{"*.safetensors"})),
              IsEmpty());
}

TEST(CheckSelection, APipelineIsLookedAtDirectoryByDirectory) {
  const Names pipeline{"model_index.json",         "scheduler/scheduler_config.json",
                       "text_encoder/config.json", "text_encoder/model.safetensors",
                       "tokenizer/merges.txt",     "tokenizer/vocab.json",
                       "unet/config.json",         "unet/diffusion_pytorch_model.safetensors"};
  EXPECT_THAT(Rules(Select(pipeline, std::nullopt)), IsEmpty());
  EXPECT_THAT(
      Rules(Select(pipeline, Names{"**/*.safetensors"})),
      ElementsAre("config_left_out", "config_left_out", "config_left_out", "tokenizer_left_out"));
  const Selection s = Select(pipeline, Names{"**/*.safetensors", "*/config.json", "tokenizer/"});
  EXPECT_THAT(Rules(s), ElementsAre("config_left_out"));
  EXPECT_THAT(s.findings[0].message, HasSubstr("'model_index.json'"));
}

TEST(CheckSelection, WeightsInTwoFormatsAreFoundOnce) {
  const Names files{"config.json", "model.safetensors", "pytorch_model.bin", "training_args.bin"};
  EXPECT_THAT(Rules(Select(files, std::nullopt)), ElementsAre("weights_twice"));
  EXPECT_THAT(Rules(Select(files, std::nullopt, {"*.bin"})), IsEmpty());
}

TEST(CheckSelection, DataAndOtherFormatsNeedNoCompanions) {
  EXPECT_THAT(Rules(Select({"config.json", "model.Q4_K_M.gguf", "tokenizer.json", "x.onnx"},
                           Names{"*.gguf", "*.onnx"})),
              IsEmpty());
  EXPECT_THAT(Rules(Select({"vocab.txt", "data.bin", "config.json"}, Names{"*.bin"})), IsEmpty());
}

// The warnings of a config with two equal items, the first of which is listed.
Names WarningsAfterListing(const Names& files) {
  const std::string item =
      "source: hf://a/b, allow_patterns: ['*.safetensors', config.json], mount_location: /";
  ConfigReport report = ParseConfig("weights: [{" + item + "m}, {" + item + "n}]");
  EXPECT_EQ(report.warnings.size(), 2u);
  std::vector<SourceExplanation> explained(2);
  explained[0].selection = Select(files, Names{"*.safetensors", "config.json"});
  TakeBackWhatListsDecide(explained, report.warnings);
  Names locs;
  for (const Finding& warning : report.warnings) locs.push_back(warning.loc);
  for (const auto& finding : explained[0].selection->findings) locs.push_back(finding.rule);
  return locs;
}

TEST(TakeBackWhatListsDecide, ALeftOutIndexOrTokenizerIsDecidedByTheList) {
  EXPECT_THAT(WarningsAfterListing({"config.json", "model.safetensors"}),
              ElementsAre("weights.1.allow_patterns"));
  EXPECT_THAT(WarningsAfterListing({"config.json", "model.safetensors", "tokenizer.json"}),
              ElementsAre("weights.1.allow_patterns", "tokenizer_left_out"));
  EXPECT_THAT(WarningsAfterListing(kSharded),
              ElementsAre("weights.1.allow_patterns", "index_left_out", "tokenizer_left_out"));
}

TEST(TakeBackWhatListsDecide, OtherWarningsStay) {
  ConfigReport report = ParseConfig("weights: [{source: s3://b/p, mount_location: /m}]");
  ASSERT_EQ(report.warnings.size(), 1u);
  std::vector<SourceExplanation> explained(1);
  explained[0].selection = Select({"x"}, std::nullopt);
  TakeBackWhatListsDecide(explained, report.warnings);
  EXPECT_EQ(report.warnings.size(), 1u);
}

RevisionFacts Revision(std::string_view source, std::string_view commit = {}) {
  const auto uri = ParseSourceUri(source);
  EXPECT_TRUE(uri) << source;
  return ExplainRevision(*uri, commit);
}

TEST(ExplainRevision, SaysWhatMayMove) {
  const std::string commit(40, 'a');
  EXPECT_EQ(Revision("hf://a/b@" + commit).kind, RevisionKind::kPinned);
  EXPECT_EQ(Revision("hf://a/b@" + commit.substr(1)).kind, RevisionKind::kMoving);
  const RevisionFacts branch = Revision("hf://datasets/a/b@v1", commit);
  EXPECT_EQ(branch.kind, RevisionKind::kMoving);
  EXPECT_EQ(branch.pinned_source, "hf://datasets/a/b@" + commit);
  EXPECT_THAT(Revision("hf://a/b").message, HasSubstr("'main' (the default)"));
  EXPECT_EQ(Revision("hf://a/b").pinned_source, "");
  EXPECT_EQ(Revision("s3://b/p").kind, RevisionKind::kUnversioned);
  EXPECT_EQ(Revision("https://h/x").kind, RevisionKind::kUnversioned);
  EXPECT_EQ(Revision("bt://p").kind, RevisionKind::kMoving);
  EXPECT_EQ(Revision("bt://p@latest/c").kind, RevisionKind::kMoving);
  EXPECT_EQ(Revision("bt://p@job").kind, RevisionKind::kMoving);
  EXPECT_EQ(Revision("bt://p@job/c").kind, RevisionKind::kPinned);
  EXPECT_EQ(Revision("bt://loops:r/weights/c").kind, RevisionKind::kPinned);
}

TEST(ValidateJson, CarriesTheExplanations) {
  const ConfigReport report = ParseConfig(
      "weights: [{source: hf://a/b, mount_location: /m/, auth_secret_name: s},"
      " {source: hf://a/c, mount_location: /n}]");
  std::vector<SourceExplanation> explained(2);
  explained[0].secret = SecretState::kUnknown;
  explained[0].secret_unknown = "no control plane is known";
  explained[0].not_listed = "offline";
  explained[1].selection = Select({"a/b.bin"}, Names{"*.bin"});
  explained[1].commit = "c";
  const auto json = codec::ParseJson(ValidateJson(report, &explained));
  ASSERT_TRUE(json);
  const std::string text = codec::SerializeJson(*json);
  EXPECT_THAT(text, HasSubstr(R"("mount_path":"/m","secret":{"state":"unknown","name":"s",)"
                              R"("reason":"no control plane is known"})"));
  EXPECT_THAT(text, HasSubstr(R"("files":null,"not_listed":"offline")"));
  EXPECT_THAT(text, HasSubstr(R"("files":{"listed":1,"listed_bytes":10,"selected":0,)"));
  EXPECT_THAT(text, HasSubstr(R"("rule":"nothing_selected")"));
}

}  // namespace
}  // namespace bdn::model
