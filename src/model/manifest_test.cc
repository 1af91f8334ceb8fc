#include "model/manifest.h"

#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/tree.h"

namespace bdn::model {
namespace {

using ::testing::HasSubstr;

const std::string kHexA(64, 'a');
const std::string kHexB(64, 'b');

std::string Header(int entries, long long bytes) {
  return fmt::format(
      "{{\"_type\":\"manifest_header\",\"entry_count\":{},\"manifest_schema\":\"v1\","
      "\"total_size\":{}}}\n",
      entries, bytes);
}

std::string Directory(std::string_view path) {
  return fmt::format("{{\"_type\":\"directory\",\"mode\":\"0755\",\"path\":\"{}\"}}\n", path);
}

std::string Empty(std::string_view path) {
  return fmt::format(
      "{{\"_type\":\"file\",\"_kind\":\"chunk\",\"mode\":\"0644\",\"path\":\"{}\"}}\n", path);
}

std::string Small(std::string_view path,
                  int bytes,
                  const std::string& hex = kHexA,
                  std::string_view more = "") {
  return fmt::format(
      "{{\"_type\":\"file\",\"_kind\":\"chunk\",\"mode\":\"0644\",\"path\":\"{}\",\"chunk\":"
      "{{\"digest\":\"b3:{}\",\"length\":{},\"offset\":0,\"target\":{{\"relative_key\":"
      "\"objects/b3/{}/{}/{}\"}}}}{}}}\n",
      path, hex, bytes, hex.substr(0, 2), hex.substr(2, 2), hex, more);
}

std::string Link(std::string_view path, std::string_view target) {
  return fmt::format(
      "{{\"_type\":\"symlink\",\"mode\":\"0777\",\"path\":\"{}\",\"target\":\"{}\"}}\n", path,
      target);
}

std::string MessageOf(const std::string& text) {
  const auto manifest = ParseManifest(text);
  return manifest ? "accepted" : manifest.error().message();
}

ManifestEntry Entry(EntryType type, std::string path, std::string target = {}) {
  ManifestEntry entry;
  entry.type = type;
  entry.path = std::move(path);
  entry.target = std::move(target);
  return entry;
}

std::string ReadGolden(const std::string& name) {
  std::ifstream file(std::string(BDN_MODEL_TESTDATA) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Manifest, TheGoldenExampleParsesAndIsWrittenBackByteForByte) {
  const std::string text = ReadGolden("manifest.jsonl");
  const auto manifest = ParseManifest(text);
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_EQ(WriteManifest(*manifest), text);
  ASSERT_EQ(manifest->entries.size(), 6u);
  EXPECT_EQ(manifest->total_size, 42u + 40'000'000u);
  EXPECT_EQ(manifest->provenance->source_uri, "hf://models/owner/repo@main");
  EXPECT_EQ(manifest->entries[0].path, "config.json");
  EXPECT_EQ(manifest->entries[0].size, 42u);
  EXPECT_EQ(manifest->entries[0].mtime, "2026-01-02T03:04:05Z");
  EXPECT_FALSE(manifest->entries[1].digest);
  EXPECT_EQ(manifest->entries[3].target, "../model.safetensors");
  EXPECT_TRUE(manifest->entries[4].chunked);
  EXPECT_EQ(manifest->entries[4].link_group, 1);
}

TEST(Chunkmap, TheGoldenExampleParsesAndIsWrittenBackByteForByte) {
  const std::string text = ReadGolden("chunkmap.jsonl");
  const auto chunkmap = ParseChunkmap(text);
  ASSERT_TRUE(chunkmap) << chunkmap.error().message();
  EXPECT_EQ(WriteChunkmap(*chunkmap), text);
  EXPECT_EQ(chunkmap->file_size, 40'000'000u);
  ASSERT_EQ(chunkmap->chunks.size(), 3u);
  EXPECT_EQ(chunkmap->chunks[2].offset, 2 * kChunkBytes);
}

TEST(Manifest, TheDocumentationShowsTheGoldenExamples) {
  const std::string page = ReadGolden("../../../docs/formats/objects.md");
  EXPECT_THAT(page, HasSubstr(ReadGolden("manifest.jsonl")));
  EXPECT_THAT(page, HasSubstr(ReadGolden("chunkmap.jsonl")));
}

TEST(Manifest, OrderDoesNotMatterAndUnknownMembersAreSkipped) {
  const auto manifest = ParseManifest(
      Small("/b", 3, kHexB, ",\"future\":[1]") + Directory("a") + Header(3, 3) +
      "{\"_type\":\"path_provenance\",\"path\":\"b\"}\n{\"_type\":\"prefix_provenance\"}\n" +
      Empty("a/e"));
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_EQ(manifest->entries[0].path, "b");
  const std::string canonical = WriteManifest(*manifest);
  EXPECT_THAT(canonical, HasSubstr(R"("path":"a"})"));
  EXPECT_LT(canonical.find(R"("path":"a/e")"), canonical.find(R"("path":"b")"));
  EXPECT_EQ(WriteManifest(*ParseManifest(canonical)), canonical);
}

TEST(Manifest, WritesPathsThatNeedEscapes) {
  Manifest manifest;
  manifest.entries.push_back(Entry(EntryType::kFile, "quote\" back\\slash \xc3\xa9"));
  const auto back = ParseManifest(WriteManifest(manifest));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->entries[0].path, manifest.entries[0].path);
}

TEST(Manifest, AcceptsAZeroLengthChunk) {
  const auto manifest = ParseManifest(Header(1, 0) + Small("e", 0));
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_FALSE(manifest->entries[0].digest);
}

TEST(Manifest, AcceptsLinkGroupsCountedEitherWay) {
  const std::string group = ",\"link_group\":4";
  for (const int total : {5, 10}) {
    const auto manifest =
        ParseManifest(Header(2, total) + Small("a", 5, kHexA, group) + Small("b", 5, kHexA, group));
    ASSERT_TRUE(manifest) << manifest.error().message();
    EXPECT_EQ(manifest->total_size, 5u);
  }
  const auto bare = ParseManifest(
      Header(2, 5) + Small("a", 5, kHexA, group) +
      R"({"_type":"file","_kind":"chunk","mode":"0644","path":"b","link_group":4})" + "\n");
  ASSERT_TRUE(bare) << bare.error().message();
  EXPECT_EQ(bare->entries[1].digest, bare->entries[0].digest);
  EXPECT_THAT(MessageOf(Header(2, 10) + Small("a", 5, kHexA, group) + Small("b", 5, kHexB, group)),
              HasSubstr("share link_group 4 but differ"));
}

TEST(Manifest, RefusesWhatIsNotWellFormed) {
  const std::string ok = Header(1, 5) + Small("a", 5);
  ASSERT_EQ(MessageOf(ok), "accepted");
  const auto file = [](std::string_view members) {
    return Header(1, 5) + "{\"_type\":\"file\"," + std::string(members) + "}\n";
  };
  const std::string bad_key = [] {
    std::string text = Header(1, 5) + Small("a", 5);
    return text.replace(text.find("objects/b3/aa"), 13, "objects/b3/ab");
  }();
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", "header is missing"},
      {Small("a", 5), "header is missing"},
      {Header(1, 5) + ok, "line 2: a second header"},
      {Header(2, 5) + Small("a", 5), "counts 2 entries, there are 1"},
      {Header(1, 6) + Small("a", 5), "says 6 bytes in total, the files have 5"},
      {Header(1, 5) + "\n" + Small("a", 5), "line 2: not valid JSON"},
      {ok + "[]\n", "line 3: not a JSON object"},
      {ok.substr(0, ok.size() - 2), "line 2: not valid JSON"},
      {Header(1, 5) + Small("a", 5, kHexA, ",\"link_group\":\"x\""), "\"link_group\" must be"},
      {Header(1, 5) + Small("a", 5, kHexA, ",\"mtime\":\"yesterday\""), "RFC 3339"},
      {bad_key, "does not belong to the digest"},
      {file(R"("_kind":"slabmap","mode":"0644","path":"a")"), "\"slabmap\" are not supported"},
      {file(R"("_kind":"other","mode":"0644","path":"a")"), "\"other\" are not supported"},
      {file(R"("mode":"0644","path":"a")"), "\"_kind\" is missing"},
      {file(R"("_kind":"chunk","mode":"64","path":"a")"), "3 to 7 octal digits"},
      {file(R"("_kind":"chunk","mode":"00000644","path":"a")"), "3 to 7 octal digits"},
      {file(R"("_kind":"chunk","mode":"0648","path":"a")"), "3 to 7 octal digits"},
      {file(R"("_kind":"chunk","mode":420,"path":"a")"), "\"mode\" must be a string"},
      {file(R"("_kind":"chunk","mode":"0644")"), "\"path\" is missing"},
      {file(R"("_kind":"chunkmap","mode":"0644","path":"a","digest":"b3:00","size":1)"), "line 2"},
      {file(R"("_kind":"chunk","mode":"0644","path":"a","chunk":{"digest":"b3:)" + kHexA +
            R"(","length":-1})"),
       "\"length\" must be a whole number"},
      {file(R"("_kind":"chunk","mode":"0644","path":"a","chunk":{"digest":"b3:)" + kHexA +
            R"(","length":5,"offset":1})"),
       "offset 0"},
      {"{\"_type\":\"other\"}\n", "type \"other\" are not supported"},
      {R"({"_type":"manifest_header","entry_count":0,"manifest_schema":"v2","total_size":0})",
       "schema \"v2\" is not supported"},
      {R"({"_type":"manifest_header","entry_count":0,"total_size":0})",
       "\"manifest_schema\" is missing"},
      {Header(0, 0) + std::string(70'000, ' '), "longer than 65536 bytes"},
      {Header(0, 0) + std::string(100, '['), "not valid JSON"},
  };
  for (const auto& [text, message] : table)
    EXPECT_THAT(MessageOf(text), HasSubstr(message)) << text;
  EXPECT_EQ(ParseManifest(file(R"("_kind":"slabmap","mode":"0644","path":"a")")).error().code(),
            Code::kUnsupported);
  EXPECT_EQ(ParseManifest(bad_key).error().code(), Code::kCorrupt);
}

TEST(Manifest, SizesThatOverflowAreRefused) {
  const auto big = [](std::string_view path) {
    return fmt::format(
        "{{\"_type\":\"file\",\"_kind\":\"chunkmap\",\"mode\":\"0644\",\"path\":\"{}\",\"digest\":"
        "\"b3:{}\",\"size\":9223372036854775807}}\n",
        path, kHexA);
  };
  EXPECT_THAT(MessageOf(Header(2, 0) + big("a") + big("b")), HasSubstr("overflow"));
}

TEST(Manifest, EveryTruncationIsAnError) {
  const std::string text = ReadGolden("manifest.jsonl");
  for (std::size_t size = 0; size + 1 < text.size(); ++size) {
    EXPECT_FALSE(ParseManifest(std::string_view(text).substr(0, size))) << size;
  }
}

TEST(TreePath, RefusesEveryNameThatIsNotPlain) {
  for (const char* path :
       {"a", "a/b", ".a", "..a", "a..", "a b", "a\\b", "\xc3\xa9", "...", "a:b"}) {
    EXPECT_TRUE(CheckTreePath(path)) << path;
  }
  for (const char* path : {"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/..", "../a",
                           "a/../b", "a\nb", "a\x7f", "\x01", "\xff", "a\xc3", "\xed\xa0\x80"}) {
    EXPECT_FALSE(CheckTreePath(path)) << path;
  }
  EXPECT_FALSE(CheckTreePath(std::string("a\0b", 3)));
  EXPECT_TRUE(CheckTreePath(std::string(255, 'a')));
  EXPECT_FALSE(CheckTreePath(std::string(256, 'a')));
  std::string deep;
  while (deep.size() < kPathBytesMax) deep += "a/";
  EXPECT_TRUE(CheckTreePath(std::string_view(deep).substr(0, kPathBytesMax - 1)));
  EXPECT_FALSE(CheckTreePath(deep + "bb"));
}

TEST(Tree, RefusesTwicePathsAndEntriesBelowWhatIsNoDirectory) {
  EXPECT_THAT(MessageOf(Header(2, 0) + Empty("a") + Empty("/a")), HasSubstr("listed twice"));
  EXPECT_THAT(MessageOf(Header(2, 0) + Directory("a") + Empty("a")), HasSubstr("listed twice"));
  EXPECT_THAT(MessageOf(Header(2, 0) + Empty("a/b") + Empty("a")),
              HasSubstr("'a/b': lies below 'a', which is not a directory"));
  EXPECT_THAT(MessageOf(Header(3, 0) + Empty("a") + Empty("a-x") + Empty("a/b/c")),
              HasSubstr("'a/b/c': lies below 'a'"));
  EXPECT_THAT(MessageOf(Header(2, 0) + Link("a", "b") + Empty("a/x")), HasSubstr("lies below 'a'"));
  EXPECT_THAT(MessageOf(Header(3, 0) + Directory("a") + Link("a/l", "..") + Empty("a/l/x/y")),
              HasSubstr("lies below 'a/l'"));
  EXPECT_EQ(MessageOf(Header(4, 0) + Directory("a") + Empty("a/b") + Empty("a-b") + Empty("c/d")),
            "accepted");
}

TEST(Tree, SymbolicLinksStayInsideAtEveryHop) {
  struct Case {
    std::vector<std::pair<std::string, std::string>> links;
    bool inside;
  };
  const std::vector<Case> table = {
      {{{"l", "a"}}, true},
      {{{"l", "."}}, true},
      {{{"l", "/"}}, true},
      {{{"l", "/a/b"}}, true},
      {{{"a/l", ".."}}, true},
      {{{"a/l", "../b"}}, true},
      {{{"l", "missing/../x"}}, true},
      {{{"l", ".."}}, false},
      {{{"l", "../l"}}, false},
      {{{"l", "/.."}}, false},
      {{{"l", "a/../.."}}, false},
      {{{"a/l", "../.."}}, false},
      {{{"a/l", "../../../etc/passwd"}}, false},
      // Inside by its letters, outside once the first link is followed.
      {{{"a/b/up", "../.."}, {"l", "a/b/up/.."}}, false},
      {{{"a/b/up", "../.."}, {"l", "a/b/up/x"}}, true},
      {{{"d/e/f", "/"}, {"l", "d/e/f/../x"}}, false},
      {{{"root", "/"}, {"a/l", "../root/../x"}}, false},
      {{{"x/y", "../z"}, {"z", "q/r"}, {"l", "x/y/../../.."}}, false},
      {{{"x/y", "../z"}, {"z", "q/r"}, {"l", "x/y/../.."}}, true},
      // Loops have no end.
      {{{"l", "l"}}, false},
      {{{"a", "b"}, {"b", "a"}}, false},
      {{{"a/l", "../a/l/x"}}, false},
      {{{"l", ""}}, false},
  };
  for (const Case& c : table) {
    std::vector<ManifestEntry> entries;
    std::string text;
    for (const auto& [path, target] : c.links) {
      entries.push_back(Entry(EntryType::kSymlink, path, target));
      text += path + "->" + target + " ";
    }
    EXPECT_EQ(CheckTree(entries).has_value(), c.inside) << text;
    std::reverse(entries.begin(), entries.end());
    EXPECT_EQ(CheckTree(entries).has_value(), c.inside) << "reversed " << text;
  }
}

TEST(Tree, FortyHopsAreTheMost) {
  for (const int links : {kSymlinkHopsMax, kSymlinkHopsMax + 1}) {
    std::vector<ManifestEntry> entries;
    for (int i = 0; i < links; ++i) {
      entries.push_back(Entry(EntryType::kSymlink, fmt::format("l{:02}", i),
                              i + 1 < links ? fmt::format("l{:02}", i + 1) : "file"));
    }
    EXPECT_EQ(CheckTree(entries).has_value(), links == kSymlinkHopsMax) << links;
  }
  // The hops of nested links add up: each of these goes twice through the one before it.
  std::vector<ManifestEntry> nested{Entry(EntryType::kSymlink, "n00", ".")};
  for (int i = 1; i < 30; ++i) {
    nested.push_back(Entry(EntryType::kSymlink, fmt::format("n{:02}", i),
                           fmt::format("n{0:02}/n{0:02}", i - 1)));
  }
  EXPECT_FALSE(CheckTree(nested));
}

TEST(Tree, TargetsHaveLimits) {
  EXPECT_FALSE(CheckTree({Entry(EntryType::kSymlink, "l", std::string("a\0b", 3))}));
  EXPECT_FALSE(CheckTree({Entry(EntryType::kSymlink, "l", std::string(kPathBytesMax, 'a'))}));
  EXPECT_TRUE(CheckTree({Entry(EntryType::kSymlink, "l", std::string(kPathBytesMax - 1, 'a'))}));
  EXPECT_FALSE(
      CheckTree({Entry(EntryType::kSymlink, "a/b/l", "/" + std::string(kPathBytesMax - 4, 'a'))}));
}

TEST(Tree, HostileLinksStayCheap) {
  // Links through long chains of directories: without a limit on steps this takes hours.
  std::vector<ManifestEntry> entries;
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "d/";
  for (int i = 0; i < 20; ++i) {
    entries.push_back(Entry(EntryType::kSymlink, deep + fmt::format("l{:02}", i), "."));
  }
  const std::string target = deep + "l00";
  for (int i = 0; i < 3'000; ++i) {
    entries.push_back(Entry(EntryType::kSymlink, fmt::format("z{:06}", i), "/" + target));
  }
  const Status status = CheckTree(entries);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kResourceExhausted);
}

TEST(Tree, OrderPutsWhatLiesBelowRightAfterItsDirectory) {
  EXPECT_TRUE(PathLess("a", "a/b"));
  EXPECT_TRUE(PathLess("a/b", "a-b"));
  EXPECT_TRUE(PathLess("a/b", "a b"));
  EXPECT_TRUE(PathLess("a", "\xc3\xa9"));
  EXPECT_FALSE(PathLess("a", "a"));
  EXPECT_FALSE(PathLess("b", "a/b"));
}

TEST(RenderSymlinkTarget, MakesAbsoluteTargetsRelativeToTheLink) {
  EXPECT_EQ(RenderSymlinkTarget("l", "x/y"), "x/y");
  EXPECT_EQ(RenderSymlinkTarget("l", "/x/y"), "x/y");
  EXPECT_EQ(RenderSymlinkTarget("a/b/l", "/x"), "../../x");
  EXPECT_EQ(RenderSymlinkTarget("l", "/"), ".");
  EXPECT_EQ(RenderSymlinkTarget("a/l", "/"), "../");
  EXPECT_EQ(RenderSymlinkTarget("a/l", "//x"), "../x");
}

TEST(Chunkmap, RefusesGapsOverlapsAndWrongSums) {
  const auto header = [](int count, long long size) {
    return fmt::format("{{\"_type\":\"chunkmap_header\",\"chunk_count\":{},\"file_size\":{}}}\n",
                       count, size);
  };
  const auto chunk = [](long long offset, long long length) {
    return fmt::format("{{\"_type\":\"chunk\",\"digest\":\"b3:{}\",\"length\":{},\"offset\":{}}}\n",
                       kHexA, length, offset);
  };
  const auto message = [](const std::string& text) {
    const auto chunkmap = ParseChunkmap(text);
    return chunkmap ? "accepted" : chunkmap.error().message();
  };
  EXPECT_EQ(message(header(2, 7) + chunk(0, 4) + chunk(4, 3)), "accepted");
  EXPECT_EQ(message(chunk(4, 3) + header(2, 7) + chunk(0, 4)), "accepted");
  EXPECT_EQ(message(header(0, 0)), "accepted");
  EXPECT_THAT(message(header(2, 7) + chunk(0, 4) + chunk(5, 3)), HasSubstr("begins at 5"));
  EXPECT_THAT(message(header(2, 7) + chunk(0, 4) + chunk(3, 4)), HasSubstr("begins at 3"));
  EXPECT_THAT(message(header(2, 8) + chunk(0, 4) + chunk(0, 4)), HasSubstr("begins at 0"));
  EXPECT_THAT(message(header(1, 3) + chunk(1, 3)), HasSubstr("begins at 1"));
  EXPECT_THAT(message(header(1, 5) + chunk(0, 4)), HasSubstr("have 4 bytes, the header says 5"));
  EXPECT_THAT(message(header(2, 4) + chunk(0, 4)), HasSubstr("counts 2 chunks"));
  EXPECT_THAT(message(header(1, 0) + chunk(0, 0)), HasSubstr("at least 1"));
  EXPECT_THAT(message(chunk(0, 4)), HasSubstr("header is missing"));
  EXPECT_THAT(message(header(1, 4) + header(1, 4) + chunk(0, 4)), HasSubstr("second header"));
  EXPECT_THAT(message(header(2, 4) + chunk(0, 9223372036854775807) + chunk(9223372036854775807, 1)),
              HasSubstr("overflow"));
  EXPECT_THAT(message("{\"_type\":\"slab\"}"), HasSubstr("not supported"));
}

}  // namespace
}  // namespace bdn::model
