#pragma once
// A bucket in memory that answers like S3 on http://s3.test/bucket/, for the tests of s3://.
#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/guarded.h"
#include "net/testing/memory_transport.h"

namespace bdn::source::testing {

// Thread-safe; set the plain members before the first request.
class MemoryBucket {
 public:
  using Intercept =
      std::function<std::optional<Result<net::HttpResponse>>(const net::HttpRequest&)>;

  void Put(const std::string& key, const std::string& content, const std::string& storage = "") {
    objects_.With([&](Objects& o) {
      o.by_key[key] = {content, "etag-" + std::to_string(++o.puts), storage, {}, {}};
    });
  }
  // Adds to an object what HEAD tells ("x-amz-checksum-sha256", …) and what its listing tells
  // (XML).
  void Tell(const std::string& key, net::Headers by_head, const std::string& by_listing = "") {
    objects_.With([&](Objects& o) {
      o.by_key.at(key).by_head = std::move(by_head);
      o.by_key.at(key).by_listing = by_listing;
    });
  }
  net::testing::MemoryTransport& transport() { return transport_; }

  std::size_t page_size = 1000;
  bool plus_style = false;  // a blank in a key is '+' instead of %20
  bool ignore_if_match = false;
  Intercept intercept;  // answers instead of the bucket when it wants to

 private:
  struct Object {
    std::string content, etag, storage;
    net::Headers by_head;
    std::string by_listing;
  };
  struct Objects {
    std::map<std::string, Object> by_key;
    int puts = 0;
  };

  static std::string Error(const std::string& code) {
    return "<Error><Code>" + code + "</Code></Error>";
  }
  static std::string QueryValue(const std::string& query, const std::string& name) {
    const std::string text = "&" + query;
    const auto at = text.find("&" + name + "=");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 2;
    const auto decoded = net::PercentDecode(text.substr(begin, text.find('&', begin) - begin));
    return decoded ? *decoded : "";
  }

  Result<net::HttpResponse> Answer(const net::HttpRequest& request) {
    if (intercept) {
      if (auto answer = intercept(request)) return *std::move(answer);
    }
    if (!request.headers.Has("Authorization") || !request.headers.Has("X-Amz-Content-Sha256")) {
      return net::HttpResponse{403, {}, Error("AccessDenied")};
    }
    const std::string root = "/bucket/";
    const auto path = net::PercentDecode(request.url.path);
    if (!path || !path->starts_with(root)) return net::HttpResponse{404, {}, Error("NoSuchBucket")};
    const std::string key = path->substr(root.size());
    return objects_.With(
        [&](Objects& o) { return key.empty() ? List(o, request) : Get(o, key, request); });
  }

  net::HttpResponse List(const Objects& o, const net::HttpRequest& request) const {
    const std::string prefix = QueryValue(request.url.query, "prefix");
    const std::string after = QueryValue(request.url.query, "continuation-token");
    std::string text = "<ListBucketResult><EncodingType>url</EncodingType>";
    std::size_t count = 0;
    for (auto it = o.by_key.upper_bound(after); it != o.by_key.end(); ++it) {
      if (!it->first.starts_with(prefix)) continue;
      if (count++ == page_size) {
        text += "<IsTruncated>true</IsTruncated><NextContinuationToken>" + std::prev(it)->first +
                "</NextContinuationToken>";
        break;
      }
      std::string name = net::PercentEncode(it->first, "/");
      for (auto at = name.find("%20"); plus_style && at != name.npos; at = name.find("%20")) {
        name.replace(at, 3, "+");
      }
      text += "<Contents><Key>" + name + "</Key><ETag>&quot;" + it->second.etag +
              "&quot;</ETag><Size>" + std::to_string(it->second.content.size()) +
              "</Size><StorageClass>" + it->second.storage + "</StorageClass>" +
              it->second.by_listing + "</Contents>";
    }
    return {200, {}, text + "</ListBucketResult>"};
  }

  net::HttpResponse Get(const Objects& o,
                        const std::string& key,
                        const net::HttpRequest& request) const {
    const auto it = o.by_key.find(key);
    if (it == o.by_key.end()) return {404, {}, Error("NoSuchKey")};
    const std::string& content = it->second.content;
    const std::string etag = "\"" + it->second.etag + "\"";
    if (request.method == "HEAD") {
      net::HttpResponse answer{
          200, {{"Content-Length", std::to_string(content.size())}, {"ETag", etag}}, ""};
      if (request.headers.Get("x-amz-checksum-mode") == "ENABLED") {
        for (const auto& [name, value] : it->second.by_head.fields()) {
          answer.headers.Set(name, value);
        }
      }
      return answer;
    }
    const auto match = request.headers.Get("If-Match");
    if (!ignore_if_match && match && *match != etag) {
      return {412, {}, Error("PreconditionFailed")};
    }
    const std::string range(request.headers.Get("Range").value_or(""));
    const std::size_t begin = std::stoul(range.substr(6));
    const std::size_t last = std::stoul(range.substr(range.find('-') + 1));
    if (begin >= content.size()) return {416, {}, Error("InvalidRange")};
    const std::size_t end = std::min(last + 1, content.size());
    return {206,
            {{"ETag", etag},
             {"Content-Length", std::to_string(end - begin)},
             {"Content-Range", "bytes " + std::to_string(begin) + "-" + std::to_string(end - 1) +
                                   "/" + std::to_string(content.size())}},
            content.substr(begin, end - begin)};
  }

  Guarded<Objects> objects_;
  net::testing::MemoryTransport transport_{
      [this](const net::HttpRequest& request) { return Answer(request); }};
};

}  // namespace bdn::source::testing
