#pragma once
// A training store in memory that answers like http://train.test, with files at
// http://files.test/<n>?sig=<generation>, for the tests of bt://.
#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/training.h"
#include "base/clock.h"
#include "base/guarded.h"
#include "net/testing/memory_transport.h"

namespace bdn::source::testing {

// One project "demo" (prj_1) with one job "run". Thread-safe; set the plain members before the
// first request.
class MemoryTraining {
 public:
  using Intercept =
      std::function<std::optional<Result<net::HttpResponse>>(const net::HttpRequest&)>;

  MemoryTraining() { AddCheckpoint("c-1"); }

  void AddCheckpoint(const std::string& name, const std::string& status = "COMPLETE") {
    state_.With([&](State& s) {
      api::CheckpointBody c;
      c.id = "ckpt_" + name;
      c.name = name;
      c.created_at = FormatRfc3339(Tick(s));
      c.sync_status = status;
      std::erase_if(s.checkpoints, [&](const auto& old) { return old.name == name; });
      s.checkpoints.push_back(std::move(c));
    });
  }
  // A file of the checkpoint c-1 unless `path` is a whole name, "rank-1/c-2/w".
  void Put(const std::string& path, const std::string& content, std::int64_t rank = 0) {
    state_.With([&](State& s) {
      const std::string name = path.starts_with("rank-") ? path : "rank-0/c-1/" + path;
      const auto it = std::find_if(s.files.begin(), s.files.end(),
                                   [&](const File& f) { return f.name == name && f.rank == rank; });
      File& file = it == s.files.end() ? s.files.emplace_back() : *it;
      file = {name, rank, content, Tick(s), "\"e" + std::to_string(++s.puts) + "\""};
    });
  }
  void Remove(const std::string& name) {
    state_.With([&](State& s) {
      std::erase_if(s.files, [&](const File& file) { return file.name == name; });
    });
  }
  // Every URL that was given out so far is refused from now on.
  void ExpireUrls() {
    state_.With([](State& s) { s.generation += 1; });
  }
  net::testing::MemoryTransport& transport() { return transport_; }

  std::size_t page_size = 1000;
  std::string key = "secret";
  bool serve_last_modified = true;
  Intercept intercept;  // answers instead of the store when it wants to

 private:
  struct File {
    std::string name;
    std::int64_t rank = 0;
    std::string content;
    WallTime modified;
    std::string etag;
  };
  struct State {
    std::vector<api::CheckpointBody> checkpoints;
    std::vector<File> files;
    int puts = 0;
    int ticks = 0;
    int generation = 1;
  };

  static WallTime Tick(State& s) {
    return WallTime(std::chrono::seconds(1'767'225'600 + ++s.ticks));
  }
  static std::uint64_t QueryNumber(const std::string& query, const std::string& name) {
    const std::string text = "&" + query;
    const auto at = text.find("&" + name + "=");
    return at == std::string::npos ? 0 : std::stoull(text.substr(at + name.size() + 2));
  }

  Result<net::HttpResponse> Answer(const net::HttpRequest& request) {
    if (intercept) {
      if (auto answer = intercept(request)) return *std::move(answer);
    }
    return state_.With([&](State& s) -> net::HttpResponse {
      if (request.url.host == "files.test") return Serve(s, request);
      if (request.headers.Get("Authorization") != "Bearer " + key) return {401, {}, "{}"};
      return List(s, request);
    });
  }

  net::HttpResponse List(const State& s, const net::HttpRequest& request) const {
    const std::string root = "/v1/training_projects";
    const std::string job_path = root + "/prj_1/jobs/run";
    const std::string& path = request.url.path;
    const api::TrainingProjectBody project{"prj_1", "demo", ""};
    const api::TrainingJobBody job{"run", "prj_1", "demo", "", ""};
    if (path == root) return {200, {}, api::ProjectsJson({project})};
    if (path == root + "/prj_1/jobs") return {200, {}, api::JobsJson(project, {job})};
    if (path == job_path + "/checkpoints") {
      return {200, {}, api::CheckpointsJson(job, s.checkpoints)};
    }
    if (path == "/v1/loops/checkpoints") {
      auto loops = s.checkpoints;
      for (auto& c : loops) {
        c.target = "sampler";
        c.sync_status.clear();
        c.job_id = "run";
      }
      return {200, {}, api::LoopsCheckpointsJson(loops)};
    }
    std::string only;
    if (path.starts_with("/v1/loops/checkpoints/ckpt_")) {
      only = "/" + path.substr(27, path.rfind('/') - 27) + "/";
    } else if (path != job_path + "/checkpoint_files") {
      return {404, {}, "{}"};
    }
    return Page(s, request, only);
  }

  net::HttpResponse Page(const State& s,
                         const net::HttpRequest& request,
                         const std::string& only) const {
    const std::uint64_t offset = QueryNumber(request.url.query, "page_token");
    const std::uint64_t size =
        std::min<std::uint64_t>(page_size, QueryNumber(request.url.query, "page_size"));
    api::CheckpointFilesBody page;
    for (std::size_t i = 0; i < s.files.size(); ++i) {
      const File& file = s.files[i];
      if (file.name.find(only) == std::string::npos) continue;
      if (page.total_count++ < offset || page.files.size() >= size) continue;
      page.files.push_back(
          {"http://files.test/" + std::to_string(i) + "?sig=" + std::to_string(s.generation),
           file.name, file.rank, file.content.size(), FormatRfc3339(file.modified)});
    }
    if (offset + page.files.size() < page.total_count) {
      page.next_page_token = offset + page.files.size();
    }
    return {200, {}, api::CheckpointFilesJson(page)};
  }

  net::HttpResponse Serve(const State& s, const net::HttpRequest& request) const {
    if (request.headers.Has("Authorization")) return {400, {}, "a credential came here"};
    if (QueryNumber(request.url.query, "sig") != static_cast<std::uint64_t>(s.generation)) {
      return {403, {}, "<Error><Code>AccessDenied</Code></Error>"};
    }
    const std::size_t number = std::stoul(request.url.path.substr(1));
    if (number >= s.files.size()) return {404, {}, ""};
    const File& file = s.files[number];
    const auto match = request.headers.Get("If-Match");
    if (match && *match != file.etag) return {412, {}, ""};
    const std::string range(request.headers.Get("Range").value_or(""));
    const std::size_t begin = std::stoul(range.substr(6));
    const std::size_t last = std::stoul(range.substr(range.find('-') + 1));
    if (begin >= file.content.size()) return {416, {}, ""};
    const std::size_t end = std::min(last + 1, file.content.size());
    net::Headers headers{
        {"ETag", file.etag},
        {"Content-Length", std::to_string(end - begin)},
        {"Content-Range", "bytes " + std::to_string(begin) + "-" + std::to_string(end - 1) + "/" +
                              std::to_string(file.content.size())}};
    if (serve_last_modified) headers.Set("Last-Modified", FormatHttpDate(file.modified));
    return {206, headers, file.content.substr(begin, end - begin)};
  }

  Guarded<State> state_;
  net::testing::MemoryTransport transport_{
      [this](const net::HttpRequest& request) { return Answer(request); }};
};

}  // namespace bdn::source::testing
