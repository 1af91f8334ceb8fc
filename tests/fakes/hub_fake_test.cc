// What clients of other languages see of the stand-in: answers that our own source never asks for,
// and the control interface.
#include "fakes/hub_fake.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/testing/manual_clock.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "net/curl_transport.h"
#include "os/testing/temp_dir.h"

namespace bdn::fakes {
namespace {

class HubFakeTest : public ::testing::Test {
 protected:
  void Start(HubFakeOptions options = {}) {
    auto hub = HubFake::Start(std::move(options));
    ASSERT_TRUE(hub) << hub.error().message();
    hub_ = *std::move(hub);
    ASSERT_TRUE(hub_->AddRepository({.id = "owner/name"}));
    ASSERT_TRUE(hub_->Commit(
        "models", "owner/name",
        {.files = {{"config.json", MakeContent("{}")}, {"sub/m.bin", MakeContent("0123456789")}}}));
  }
  net::HttpResponse Ask(const std::string& method,
                        const std::string& url,
                        const net::Headers& headers = {},
                        const std::string& body = "") {
    net::HttpRequest request{.method = method, .headers = headers, .body = body};
    request.url = net::ParseUrl(url.starts_with("/") ? hub_->url() + url : url).value();
    auto response = net::FetchAll(ctx_, *transport_, request, 1 << 20);
    EXPECT_TRUE(response) << url << ": " << (response ? "" : response.error().message());
    return response ? *std::move(response) : net::HttpResponse{};
  }
  net::HttpResponse Control(const std::string& call, const std::string& body) {
    return Ask("POST", "/_fake/" + call, {}, body);
  }
  // Paths of a listing.
  std::vector<std::string> List(const std::string& url) {
    std::vector<std::string> paths;
    const auto json = codec::ParseJson(Ask("GET", url).body);
    EXPECT_TRUE(json);
    if (!json) return paths;
    const auto items = codec::JsonView(*json).Items();
    EXPECT_TRUE(items);
    if (!items) return paths;
    for (const auto& item : *items) paths.push_back(*item.String("path"));
    return paths;
  }

  Context ctx_{RealClock()};
  std::unique_ptr<net::Transport> transport_ = net::MakeCurlTransport(
      {.addresses = *net::AddressPolicy::WithAllowed({"127.0.0.1"}), .ca_file = {}});
  std::unique_ptr<HubFake> hub_;
};

TEST(Gzip, HasTheFramingOfStoredBlocks) {
  EXPECT_EQ(Gzip("").size(), 10u + 5 + 8);
  const std::string text(70'000, 'x');
  EXPECT_EQ(Gzip(text).size(), 10u + 2 * 5 + 70'000 + 8);
  // The CRC-32 of "123456789" is 0xCBF43926 (RFC 1952 §8 and every catalogue of CRCs).
  const std::string check = Gzip("123456789");
  EXPECT_EQ(check.substr(check.size() - 8), std::string("\x26\x39\xf4\xcb\x09\0\0\0", 8));
}

TEST_F(HubFakeTest, ListingsHaveDirectoriesAndCanBeFlat) {
  Start();
  using Paths = std::vector<std::string>;
  EXPECT_EQ(List("/api/models/owner/name/tree/main?recursive=true"),
            (Paths{"config.json", "sub", "sub/m.bin"}));
  EXPECT_EQ(List("/api/models/owner/name/tree/main"), (Paths{"config.json", "sub"}));
  EXPECT_EQ(List("/api/models/owner/name/tree/main/sub"), (Paths{"sub/m.bin"}));
  const auto page = Ask("GET", "/api/models/owner/name/tree/main?recursive=true&limit=2");
  const auto next = net::NextLink(page.headers);
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->starts_with(hub_->url() + "/api/")) << *next;
  EXPECT_EQ(List(*next), (Paths{"sub/m.bin"}));
  EXPECT_EQ(Ask("GET", "/api/models/owner/name/tree/main/none").status, 404);
}

TEST_F(HubFakeTest, MetadataStandsOnTheFirstAnswerOnly) {
  Start();
  const auto first = Ask("HEAD", "/owner/name/resolve/main/sub/m.bin");
  EXPECT_EQ(first.status, 302);
  EXPECT_EQ(first.headers.Get("X-Linked-Etag"), "\"" + crypto::Sha256Hex("0123456789") + "\"");
  EXPECT_EQ(first.headers.Get("X-Linked-Size"), "10");
  const std::string address(first.headers.Get("Location").value_or(""));
  ASSERT_TRUE(address.starts_with(hub_->cdn_url() + "/repos/")) << address;
  const auto object = Ask("GET", address, {{"Range", "bytes=2-3"}});
  EXPECT_EQ(object.status, 206);
  EXPECT_EQ(object.body, "23");
  EXPECT_FALSE(object.headers.Has("X-Repo-Commit"));
  EXPECT_NE(object.headers.Get("ETag"), first.headers.Get("X-Linked-Etag"));
  EXPECT_EQ(object.headers.Get("ETag")->size(), 66u);
  EXPECT_EQ(Ask("GET", address, {{"Authorization", "Bearer x"}}).status, 400);
  std::string later = address;
  later.replace(later.find("Expires=1"), 9, "Expires=9");
  EXPECT_EQ(Ask("GET", later).status, 403);
}

TEST_F(HubFakeTest, GzipMakesRangesDisappear) {
  Start();
  const net::Headers asked{{"Range", "bytes=2-3"}, {"Accept-Encoding", "gzip"}};
  const auto first = Ask("GET", "/owner/name/resolve/main/sub/m.bin");
  const auto whole = Ask("GET", std::string(*first.headers.Get("Location")), asked);
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, "0123456789");
  const auto small = Ask("GET", "/owner/name/resolve/main/config.json", asked);
  const auto encoded = Ask("GET", hub_->url() + std::string(*small.headers.Get("Location")), asked);
  EXPECT_EQ(encoded.status, 200);
  EXPECT_EQ(encoded.headers.Get("Content-Encoding"), "gzip");
  EXPECT_TRUE(encoded.headers.Get("ETag")->starts_with("W/\""));
  EXPECT_EQ(encoded.body, Gzip("{}"));
}

TEST_F(HubFakeTest, RawIsWhatGitHolds) {
  Start();
  const auto pointer = Ask("GET", "/owner/name/raw/main/sub/m.bin");
  EXPECT_EQ(pointer.status, 200);
  EXPECT_TRUE(pointer.body.starts_with("version https://git-lfs.github.com/spec/v1\noid sha256:"));
  EXPECT_TRUE(pointer.body.ends_with("\nsize 10\n"));
}

TEST_F(HubFakeTest, AddressesEndByTheClock) {
  bdn::testing::ManualClock clock;
  Start({.signed_url_life = std::chrono::seconds(10), .clock = &clock});
  const auto first = Ask("GET", "/owner/name/resolve/main/sub/m.bin");
  const std::string address(*first.headers.Get("Location"));
  EXPECT_EQ(Ask("GET", address).status, 200);
  clock.Advance(std::chrono::seconds(11));
  EXPECT_EQ(Ask("GET", address).status, 403);
}

TEST_F(HubFakeTest, QuotasAreCountedAndEnd) {
  bdn::testing::ManualClock clock;
  Start({.api_quota = 2, .window = std::chrono::seconds(30), .clock = &clock});
  EXPECT_EQ(Ask("GET", "/api/models/owner/name").headers.Get("RateLimit"), "\"api\";r=1;t=30");
  clock.Advance(std::chrono::seconds(10));
  EXPECT_EQ(Ask("GET", "/api/models/owner/name").headers.Get("RateLimit"), "\"api\";r=0;t=20");
  const auto limited = Ask("GET", "/api/models/owner/name");
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(limited.headers.Get("RateLimit-Policy"), "\"fixed window\";\"api\";q=2;w=30");
  clock.Advance(std::chrono::seconds(20));
  EXPECT_EQ(Ask("GET", "/api/models/owner/name").status, 200);
}

TEST_F(HubFakeTest, IsControlledFromOutside) {
  Start();
  const auto committed =
      Control("commit", R"({"repo":"owner/name","branch":"dev","files":{"a.txt":"new"}})");
  ASSERT_EQ(committed.status, 200) << committed.body;
  EXPECT_EQ(List("/api/models/owner/name/tree/dev?recursive=true").size(), 1u);
  EXPECT_EQ(Control("repository", R"({"repo":"owner/name","private":true})").status, 204);
  EXPECT_EQ(Ask("GET", "/api/models/owner/name").status, 401);
  EXPECT_EQ(Control("repository", R"({"repo":"owner/name","private":false,
                                      "rename_to":"owner/other"})")
                .status,
            204);
  const auto moved = Ask("GET", "/api/models/owner/name/revision/main?x=1");
  EXPECT_EQ(moved.status, 307);
  EXPECT_EQ(moved.headers.Get("Location"), "/api/models/owner/other/revision/main?x=1");
  EXPECT_EQ(Control("throttle", R"({"bytes_per_second":1000000})").status, 204);
  EXPECT_EQ(Control("throttle", R"({"bytes_per_second":"many"})").status, 400);
  EXPECT_EQ(Control("nothing", "{}").status, 404);
}

TEST_F(HubFakeTest, FaultsAndTheLogWorkFromOutside) {
  Start();
  EXPECT_EQ(Ask("DELETE", "/_fake/log").status, 204);
  EXPECT_EQ(Control("faults", R"({"kind":"status","path_part":"/revision/","status":429,
                                  "headers":{"RateLimit":"\"api\";r=0;t=2"}})")
                .status,
            204);
  const auto limited = Ask("GET", "/api/models/owner/name/revision/main",
                           {{"Authorization", "Bearer x"}, {"Range", "bytes=0-1"}});
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(limited.headers.Get("RateLimit"), "\"api\";r=0;t=2");
  EXPECT_EQ(Ask("GET", "/api/models/owner/name/revision/main").status, 200);
  const auto log = codec::ParseJson(Ask("GET", "/_fake/log").body);
  ASSERT_TRUE(log);
  const auto entries = *codec::JsonView(*log).Items();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(*entries[0].String("fault"), "status");
  EXPECT_EQ(*entries[0].String("range"), "bytes=0-1");
  EXPECT_EQ(*entries[0].Int("status"), 429);
  EXPECT_TRUE(*entries[0].Bool("authorization"));
  EXPECT_FALSE(*entries[1].Bool("authorization"));
  EXPECT_GT(*entries[1].Uint("bytes"), 100u);

  const auto unknown = Control("faults", R"({"kind":"earthquake"})");
  EXPECT_EQ(unknown.status, 400);
  EXPECT_NE(unknown.body.find("reset-after"), std::string::npos) << unknown.body;
  Control("faults", R"({"kind":"status","count":-1})");
  EXPECT_EQ(Ask("GET", "/api/models/owner/name").status, 503);
  EXPECT_EQ(Ask("DELETE", "/_fake/faults").status, 204);
  EXPECT_EQ(Ask("GET", "/api/models/owner/name").status, 200);
}

TEST_F(HubFakeTest, ARateIsKept) {
  bdn::testing::ManualClock clock;  // its sleeps are as long as they are asked to be
  Start({.bytes_per_second = 50'000, .clock = &clock});
  ASSERT_TRUE(hub_->Commit("models", "owner/name",
                           {.files = {{"m.bin", MakeContent(std::string(200'000, 'x'))}}}));
  const auto first = Ask("GET", "/owner/name/resolve/main/m.bin");
  EXPECT_EQ(Ask("GET", std::string(*first.headers.Get("Location"))).body.size(), 200'000u);
  Duration slept{};
  for (const Duration sleep : clock.sleeps()) slept += sleep;
  EXPECT_GE(slept, std::chrono::milliseconds(3990));
  EXPECT_LE(slept, std::chrono::milliseconds(4010));
}

TEST_F(HubFakeTest, ADirectoryIsServedFromItsFiles) {
  Start({.lfs = {.bytes_min = 1000, .suffixes = {}}});
  const os::testing::TempDir directory;
  const std::string large(kInMemoryBytesMax + 10, 'x');
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(directory.path() + "/" + name) << text;
  };
  std::filesystem::create_directory(directory.path() + "/sub");
  write("sub/large", large);
  write("small", "12345");
  ASSERT_TRUE(hub_->CommitDirectory("models", "owner/name", directory.path()));
  EXPECT_EQ(List("/api/models/owner/name/tree/main?recursive=true"),
            (std::vector<std::string>{"small", "sub", "sub/large"}));
  const auto first = Ask("GET", "/owner/name/resolve/main/sub/large");
  EXPECT_EQ(first.headers.Get("X-Linked-Etag"), "\"" + crypto::Sha256Hex(large) + "\"");
  const std::string address(*first.headers.Get("Location"));
  const auto part = Ask("GET", address, {{"Range", "bytes=1048570-1048599"}});
  EXPECT_EQ(part.headers.Get("Content-Range"), "bytes 1048570-1048585/1048586");
  EXPECT_EQ(part.body, std::string(16, 'x'));

  std::filesystem::create_symlink("small", directory.path() + "/link");
  const auto refused = hub_->CommitDirectory("models", "owner/name", directory.path());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_FALSE(hub_->CommitDirectory("models", "owner/name", directory.path() + "/none"));
}

TEST_F(HubFakeTest, TheLogGoesToAFileToo) {
  Start();
  const os::testing::TempDir directory;
  const std::string file = directory.path() + "/log";
  ASSERT_TRUE(hub_->log().WriteTo(file));
  Ask("GET", "/api/models/owner/name");
  hub_->Stop();
  std::ifstream in(file);
  std::string line;
  ASSERT_TRUE(std::getline(in, line));
  const auto entry = codec::ParseJson(line);
  ASSERT_TRUE(entry) << line;
  EXPECT_EQ(*codec::JsonView(*entry).String("path"), "/api/models/owner/name");
  EXPECT_FALSE(std::getline(in, line));
  EXPECT_FALSE(hub_->log().WriteTo(directory.path() + "/none/log"));
}

}  // namespace
}  // namespace bdn::fakes
