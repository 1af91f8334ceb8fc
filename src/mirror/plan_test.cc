#include "mirror/plan.h"

#include <gtest/gtest.h>

#include "crypto/blake3.h"
#include "mirror/rate_meter.h"

namespace bdn::mirror {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

source::RemoteFile File(std::string path, std::uint64_t size = 10) {
  source::RemoteFile file;
  file.path = std::move(path);
  file.size = size;
  file.etag = "e";
  return file;
}

model::WeightsSource Weights(std::optional<std::vector<std::string>> allow,
                             std::optional<std::vector<std::string>> ignore = std::nullopt) {
  model::WeightsSource weights;
  weights.source = "hf://org/model";
  weights.allow_patterns = std::move(allow);
  weights.ignore_patterns = std::move(ignore);
  return weights;
}

TEST(ShownSource, LeavesOutTheQueryOfAnAddress) {
  EXPECT_EQ(ShownSource("https://h/f.bin?sig=1"), "https://h/f.bin");
  EXPECT_EQ(ShownSource("hf://a/b@v?1"), "hf://a/b@v?1");
}

TEST(Select, TakesWhatThePatternsSelectSortedAndSummed) {
  const auto selection =
      Select({File("z.bin"), File("a/b.bin", 5), File("README.md")}, Weights({{"**/*.bin"}}));
  ASSERT_TRUE(selection);
  ASSERT_EQ(selection->files.size(), 2u);
  EXPECT_EQ(selection->files[0].path, "a/b.bin");
  EXPECT_EQ(selection->files[1].path, "z.bin");
  EXPECT_EQ(selection->bytes, 15u);
}

TEST(Select, NothingMatchedNamesPatternsCountFilesAndTheWayOut) {
  std::vector<source::RemoteFile> listing;
  for (int i = 0; i < 9; ++i) listing.push_back(File("w/f" + std::to_string(i)));
  const auto selection = Select(listing, Weights({{"*.safetensors"}}, {{"*.md"}}));
  ASSERT_FALSE(selection);
  const Error& error = selection.error();
  EXPECT_EQ(error.code(), Code::kInvalidArgument);
  EXPECT_EQ(error.message(),
            "No files matched weights filters (allow_patterns [\"*.safetensors\"], ignore_patterns "
            "[\"*.md\"]) in hf://org/model: listed 9 file(s): w/f0, w/f1, w/f2, w/f3, w/f4, …");
  EXPECT_NE(error.hint().find("**/*.safetensors"), std::string::npos);
}

TEST(Select, EmptySourceIsAnErrorOfItsOwn) {
  const auto selection = Select({}, Weights(std::nullopt));
  ASSERT_FALSE(selection);
  EXPECT_NE(selection.error().message().find("listed 0 file(s)"), std::string::npos);
  EXPECT_NE(selection.error().hint().find("empty"), std::string::npos);
}

TEST(Select, HostileNamesAreAllNamed) {
  const auto selection =
      Select({File("ok"), File("../up"), File("/root"), File("a//b")}, Weights(std::nullopt));
  ASSERT_FALSE(selection);
  const std::string& text = selection.error().message();
  EXPECT_EQ(selection.error().code(), Code::kInvalidArgument);
  EXPECT_NE(text.find("3 file(s)"), std::string::npos) << text;
  EXPECT_NE(text.find("../up"), std::string::npos) << text;
  EXPECT_NE(text.find("a//b"), std::string::npos) << text;
}

TEST(Select, HostileNamesThatAreNotSelectedDoNoHarm) {
  EXPECT_TRUE(Select({File("ok.bin"), File("../up")}, Weights({{"*.bin"}})));
}

TEST(Select, FilesThatCannotBeReadFailOnlyWhereTheyAreSelected) {
  std::vector<source::RemoteFile> listing;
  for (int i = 0; i < 22; ++i) listing.push_back(File("old/f" + std::to_string(i)));
  for (auto& file : listing) file.problem = "is archived";
  listing.push_back(File("w.bin"));
  EXPECT_TRUE(Select(listing, Weights(std::nullopt, {{"old/**"}})));
  const auto selection = Select(listing, Weights(std::nullopt));
  ASSERT_FALSE(selection);
  EXPECT_EQ(selection.error().code(), Code::kUnsupported);
  const std::string& text = selection.error().message();
  EXPECT_TRUE(text.starts_with("22 of the selected files cannot be read:")) << text;
  EXPECT_NE(text.find("'old/f0' is archived"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("and more")) << text;
  EXPECT_NE(selection.error().hint().find("ignore_patterns"), std::string::npos);
}

TEST(Select, FileBelowAFileAndNamesTwiceAreRefused) {
  for (const auto& listing :
       {std::vector{File("a"), File("a/b")}, std::vector{File("a"), File("a")}}) {
    const auto selection = Select(listing, Weights(std::nullopt));
    ASSERT_FALSE(selection);
    EXPECT_EQ(selection.error().code(), Code::kInvalidArgument);
  }
}

TEST(Select, WarnsOfPatternsThatMissSubdirectories) {
  const auto selection =
      Select({File("a.safetensors"), File("sub/b.safetensors")}, Weights({{"*.safetensors"}}));
  ASSERT_TRUE(selection);
  ASSERT_EQ(selection->warnings.size(), 1u);
  EXPECT_NE(selection->warnings[0].find("**/*.safetensors"), std::string::npos);
}

TEST(CutIntoChunks, CoversTheFileWithoutGaps) {
  for (const std::uint64_t size : {0u, 1u, 99u, 100u, 101u, 1000u}) {
    const auto slots = CutIntoChunks(size, 100);
    std::uint64_t at = 0;
    for (const ChunkSlot& slot : slots) {
      EXPECT_EQ(slot.range.begin, at);
      EXPECT_GT(slot.range.size(), 0u);
      EXPECT_LE(slot.range.size(), 100u);
      at = slot.range.end;
    }
    EXPECT_EQ(at, size);
    EXPECT_EQ(slots.size(), (size + 99) / 100);
  }
}

TEST(AdoptChunks, TakesOnlyWhatLiesExactlyOnASlotOnce) {
  auto slots = CutIntoChunks(250, 100);
  const crypto::Digest digest = crypto::Blake3Of("x");
  const std::vector<model::Chunk> stored = {{digest, 100, 100}, {digest, 100, 100},  // twice
                                            {digest, 0, 50},      // cut at another size
                                            {digest, 50, 100},    // at another place
                                            {digest, 200, 100},   // longer than the file
                                            {digest, 900, 100}};  // behind its end
  EXPECT_EQ(AdoptChunks(slots, stored), 100u);
  EXPECT_FALSE(slots[0].digest);
  EXPECT_TRUE(slots[1].digest);
  EXPECT_FALSE(slots[2].digest);
  const std::vector<model::Chunk> rest = {{digest, 200, 50}, {digest, 0, 100}};
  EXPECT_EQ(AdoptChunks(slots, rest), 150u);
  const model::Chunkmap map = ChunkmapOf(250, slots);
  EXPECT_EQ(map.chunks.size(), 3u);
  EXPECT_EQ(map.file_size, 250u);
}

TEST(Keys, FollowContentAndNotThePinWhereTheContentHasAName) {
  source::Pin one{.fingerprint = "1", .fingerprint_type = "t", .identity = "i", .warnings = {}};
  source::Pin two = one;
  two.fingerprint = "2";
  source::RemoteFile file = File("m");
  EXPECT_EQ(PartialKey(one, file, 100), PartialKey(two, file, 100));
  EXPECT_NE(PartialKey(one, file, 100), PartialKey(one, file, 200));
  source::RemoteFile changed = file;
  changed.etag = "f";
  EXPECT_NE(PartialKey(one, file, 100), PartialKey(one, changed, 100));
  file.etag.clear();
  EXPECT_FALSE(HasContentIdentity(file));
  EXPECT_NE(PartialKey(one, file, 100), PartialKey(two, file, 100));
}

TEST(Keys, FieldsCannotRunIntoOneAnother) {
  const source::Pin pin{
      .fingerprint = "1", .fingerprint_type = "t", .identity = "i", .warnings = {}};
  source::RemoteFile a = File("ab");
  a.etag = "c";
  source::RemoteFile b = File("a");
  b.etag = "bc";
  EXPECT_NE(PartialKey(pin, a, 100), PartialKey(pin, b, 100));
}

TEST(Keys, Sha256IsOneFlightAcrossSourcesOfAScopeButGitsSha1IsNot) {
  const source::Pin one{
      .fingerprint = "1", .fingerprint_type = "t", .identity = "i", .warnings = {}};
  const source::Pin other{
      .fingerprint = "1", .fingerprint_type = "t", .identity = "j", .warnings = {}};
  source::RemoteFile file = File("m");
  file.hash = "aa";
  file.hash_kind = source::ContentHash::kSha256;
  EXPECT_EQ(FlightKey({"o", "n"}, one, file), FlightKey({"o", "n"}, other, file));
  EXPECT_NE(FlightKey({"o", "n"}, one, file), FlightKey({"o", "m"}, one, file));
  file.hash_kind = source::ContentHash::kGitBlobSha1;
  EXPECT_NE(FlightKey({"o", "n"}, one, file), FlightKey({"o", "n"}, other, file));
  EXPECT_TRUE(ContentHashKey(file).empty());
}

TEST(RateMeter, ShowsASteadyRateFromTheStart) {
  RateMeter meter;
  MonoTime now{};
  std::uint64_t total = 0;
  meter.Sample(now, total);
  EXPECT_EQ(meter.bytes_per_second(), 0);
  EXPECT_FALSE(meter.Eta(100));
  for (int i = 0; i < 5; ++i) {
    now += milliseconds(500);
    total += 1'000'000;
    meter.Sample(now, total);
    EXPECT_NEAR(meter.bytes_per_second(), 2e6, 1);
  }
  EXPECT_NEAR(meter.Eta(4'000'000).value(), 2.0, 0.01);
  EXPECT_EQ(meter.Eta(0).value(), 0);
}

TEST(RateMeter, FallsInAPauseAndForgetsOldSpeed) {
  RateMeter meter;
  MonoTime now{};
  meter.Sample(now, 0);
  now += seconds(10);
  meter.Sample(now, 100'000'000);
  now += seconds(10);
  meter.Sample(now, 100'000'000);
  EXPECT_LT(meter.bytes_per_second(), 4e6);
  EXPECT_GT(meter.bytes_per_second(), 1e6);
  now += seconds(200);
  meter.Sample(now, 100'000'000);
  EXPECT_FALSE(meter.Eta(1));
}

TEST(RateMeter, GathersSamplesThatComeTooClose) {
  RateMeter meter;
  MonoTime now{};
  meter.Sample(now, 0);
  for (int i = 1; i <= 100; ++i) {
    now += milliseconds(10);
    meter.Sample(now, static_cast<std::uint64_t>(i) * 1000);
  }
  EXPECT_NEAR(meter.bytes_per_second(), 1e5, 1e3);
}

}  // namespace
}  // namespace bdn::mirror
