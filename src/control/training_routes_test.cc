#include "control/training_routes.h"

#include <string>

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/testing/live_api.h"
#include "api/testing/openapi_document.h"
#include "control/http_api.h"
#include "control/testing/control_world.h"

namespace bdn::control {
namespace {

using ::testing::HasSubstr;
using Strings = std::vector<std::string>;

constexpr const char* kTrainingNs = "training";
constexpr const char* kJobPath = "/v1/training_projects/demo/jobs/j";

class TrainingRoutesTest : public ::testing::Test, public testing::ControlWorld {
 protected:
  TrainingRoutesTest() {
    key = store::CreateApiKey(*metadata, "default", "operator", clock.Now())->text;
    net::Router router;
    AddControlRoutes(router, deps);
    AddAuthentication(router, deps);
    api.emplace(std::move(router));
  }
  net::HttpResponse Send(const std::string& method,
                         const std::string& path,
                         const std::string& body = "",
                         net::Headers headers = {}) {
    headers.Set("Authorization", "Bearer " + key);
    if (!body.empty()) headers.Set("Content-Type", "application/json");
    return api->Send(wall, method, path, headers, body);
  }
  // Sends, and holds the answer against the document.
  net::HttpResponse Documented(const std::string& operation,
                               const std::string& path,
                               const std::string& body = "") {
    auto answer = Send(operation.substr(0, operation.find(' ')), path, body);
    EXPECT_EQ(api::testing::Deviations(operation, answer.status, answer.body), Strings())
        << answer.status << " " << answer.body;
    return answer;
  }
  void MakeJob() {
    EXPECT_EQ(Send("POST", "/v1/training_projects", R"({"name":"demo"})").status, 200);
    EXPECT_EQ(Send("POST", "/v1/training_projects/demo/jobs", R"({"id":"j"})").status, 200);
  }
  void PushVersion(const std::string& name, const crypto::Digest& manifest) {
    clock.Advance(std::chrono::seconds(1));
    const std::string list = std::string(kJobPath) + "/checkpoints";
    EXPECT_EQ(Send("POST", list, R"({"checkpoint_id":")" + name + "\"}").status, 200);
    const auto done = Send("POST", list + "/" + net::PercentEncode(name) + "/complete",
                           R"({"manifest":")" + manifest.ToString() + "\"}");
    EXPECT_EQ(done.status, 200) << done.body;
  }
  api::CheckpointFilesBody Files(const std::string& query = "") {
    const auto answer = Send("GET", std::string(kJobPath) + "/checkpoint_files" + query);
    const auto page = api::CheckpointFilesFromJson(answer.body);
    EXPECT_TRUE(page) << answer.body;
    return page ? *page : api::CheckpointFilesBody{};
  }
  // Without a key, as whoever got the URL.
  net::HttpResponse Fetch(const std::string& url,
                          net::Headers headers = {},
                          const std::string& method = "GET") {
    const auto parsed = net::ParseUrl(url);
    EXPECT_TRUE(parsed) << url;
    return api->Send(wall, method, parsed->path + "?" + parsed->query, headers, "");
  }
  // A version with a file of three chunks, the last one short.
  crypto::Digest PutLarge(const std::string& content, std::size_t chunk) {
    model::Chunkmap map;
    map.file_size = content.size();
    for (std::size_t at = 0; at < content.size(); at += chunk) {
      const std::string piece = content.substr(at, chunk);
      map.chunks.push_back({Put(kTrainingNs, store::ObjectKind::kChunk, piece), at, piece.size()});
    }
    model::ManifestEntry entry;
    entry.path = "sub/large";
    entry.size = content.size();
    entry.chunked = true;
    entry.digest = Put(kTrainingNs, store::ObjectKind::kChunkmap, model::WriteChunkmap(map));
    model::ManifestEntry empty;
    empty.path = "empty";
    model::Manifest manifest;
    manifest.entries = {empty, entry};
    return Put(kTrainingNs, store::ObjectKind::kManifest, model::WriteManifest(manifest));
  }

  const Context wall{RealClock()};
  TrainingStore training{*metadata, *objects, clock, {"default", kTrainingNs}};
  Wakeup mirror_changed;
  const HttpApiDeps deps{*plane,         *metadata, *objects, clock, std::string(32, 'g'),
                         mirror_changed, &training, "",       false};
  std::string key;
  std::optional<api::testing::LiveApi> api;
};

TEST_F(TrainingRoutesTest, AnswersHaveTheDocumentedFields) {
  const std::string p = "/v1/training_projects";
  EXPECT_EQ(Documented("POST " + p, p, R"({"training_project":{"name":"demo"}})").status, 200);
  Documented("GET " + p, p);
  Documented("GET " + p + "/{project}", p + "/demo");
  EXPECT_EQ(Documented("GET " + p + "/{project}", p + "/nothing").status, 404);
  const std::string jobs = p + "/{project}/jobs";
  Documented("POST " + jobs, p + "/demo/jobs", R"({"training_job":{"id":"j"}})");
  Documented("GET " + jobs, p + "/demo/jobs");
  Documented("GET " + jobs + "/{job}", kJobPath);
  const std::string list = jobs + "/{job}/checkpoints";
  const std::string list_path = std::string(kJobPath) + "/checkpoints";
  Documented("POST " + list, list_path,
             R"({"checkpoint_id":"weights/a","checkpoint_type":"lora","base_model":"b",)"
             R"("lora_adapter_config":{"r":8}})");
  Documented("GET " + list, list_path);
  const auto manifest = PutVersion(kTrainingNs, "content");
  const std::string one = list_path + "/weights%2Fa";
  EXPECT_EQ(Documented("POST " + list + "/{checkpoint}/complete", one + "/complete",
                       R"({"manifest":")" + manifest.ToString() + "\"}")
                .status,
            200);
  Documented("GET " + list + "/{checkpoint}", one);
  Documented("GET " + jobs + "/{job}/checkpoint_files",
             std::string(kJobPath) + "/checkpoint_files?page_size=1");
  Documented("POST /v1/training_jobs/search", "/v1/training_jobs/search", R"({"job_id":"j"})");
  const auto loops = Documented("GET /v1/loops/checkpoints", "/v1/loops/checkpoints?run_id=j");
  const auto found = api::CheckpointsFromJson(loops.body);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->at(0).name, "a");
  EXPECT_EQ(found->at(0).target, "trainer");
  Documented("GET /v1/loops/checkpoints/{id}/files",
             "/v1/loops/checkpoints/" + found->at(0).id + "/files");
  EXPECT_EQ(Send("DELETE", one).status, 204);
  EXPECT_EQ(Documented("GET " + list + "/{checkpoint}", one).status, 404);
}

TEST_F(TrainingRoutesTest, FilesArePagedAndTheirUrlsNeedNoKey) {
  MakeJob();
  PushVersion("c-1", PutVersion(kTrainingNs, "one"));
  PushVersion("c-2", PutVersion(kTrainingNs, "two"));
  const auto first = Files("?page_size=1");
  EXPECT_EQ(first.total_count, 2u);
  EXPECT_EQ(first.next_page_token, 1u);
  const auto second = Files("?page_size=1&page_token=1");
  EXPECT_FALSE(second.next_page_token);
  EXPECT_EQ(second.files.at(0).name, "rank-0/c-2/w");
  const auto answer = Fetch(second.files.at(0).url);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "two");
  for (const char* query : {"?page_size=0", "?page_size=1001", "?page_token=-1", "?page_token=x"}) {
    EXPECT_EQ(Send("GET", std::string(kJobPath) + "/checkpoint_files" + query).status, 400)
        << query;
  }
}

TEST_F(TrainingRoutesTest, AUrlServesRangesAndTagsOfOneFileUntilItExpires) {
  MakeJob();
  std::string content;
  for (int i = 0; i < 2500; ++i) content += static_cast<char>('a' + i % 26);
  PushVersion("c", PutLarge(content, 1000));
  const auto files = Files().files;
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].name, "rank-0/c/empty");
  EXPECT_EQ(Fetch(files[0].url).status, 200);
  const std::string& url = files[1].url;
  const auto whole = Fetch(url);
  ASSERT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, content);
  const std::string etag(whole.headers.Get("ETag").value_or(""));
  EXPECT_THAT(etag, HasSubstr("b3:"));
  for (const auto& [begin, last] : std::vector<std::pair<std::size_t, std::size_t>>{
           {0, 0}, {999, 1000}, {0, 999}, {1000, 1999}, {500, 2200}, {2499, 2499}}) {
    const auto part =
        Fetch(url, {{"Range", "bytes=" + std::to_string(begin) + "-" + std::to_string(last)},
                    {"If-Match", etag}});
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.body, content.substr(begin, last - begin + 1));
    EXPECT_EQ(part.headers.Get("Content-Range"),
              "bytes " + std::to_string(begin) + "-" + std::to_string(last) + "/2500");
  }
  EXPECT_EQ(Fetch(url, {{"Range", "bytes=2500-"}}).status, 416);
  EXPECT_EQ(Fetch(url, {{"If-Match", "\"other\""}}).status, 412);
  EXPECT_EQ(Fetch(url, {{"If-None-Match", etag}}).status, 304);
  const auto head = Fetch(url, {}, "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.Get("Content-Length"), "2500");
  EXPECT_EQ(Fetch(url + "x").status, 403);
  EXPECT_EQ(Fetch(url.substr(0, url.find('?')) + "?ticket=").status, 403);
  clock.Advance(std::chrono::hours(1));
  const auto late = Fetch(url);
  EXPECT_EQ(late.status, 403);
  EXPECT_THAT(late.body, HasSubstr("has expired"));
  EXPECT_EQ(Fetch(Files().files[1].url).status, 200);
}

TEST_F(TrainingRoutesTest, EverythingElseNeedsAKey) {
  MakeJob();
  for (const char* path : {"/v1/training_projects", "/v1/training_projects/demo/jobs",
                           "/v1/loops/checkpoints?run_id=j"}) {
    EXPECT_EQ(api->Send(wall, "GET", path, {}, "").status, 401) << path;
  }
}

TEST_F(TrainingRoutesTest, ADamagedObjectIsNeverServedAsGood) {
  MakeJob();
  const auto manifest = PutLarge(std::string(3000, 'x'), 1000);
  PushVersion("c", manifest);
  const std::string url = Files().files[1].url;
  ASSERT_TRUE(
      objects->Delete(ctx, {"default", kTrainingNs}, crypto::Blake3Of(std::string(1000, 'x'))));
  EXPECT_NE(Fetch(url).status, 200) << "the connection is cut before the end";
}

}  // namespace
}  // namespace bdn::control
