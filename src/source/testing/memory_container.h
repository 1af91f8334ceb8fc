#pragma once
// A container of the Azure Blob service in memory, behind a MemoryTransport: enough for one client.
// Not the stand-in for end-to-end tests: no signatures are checked here.
#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/guarded.h"
#include "crypto/digest.h"
#include "net/testing/memory_transport.h"

namespace bdn::source::testing {

struct MemoryBlob {
  std::string content = {};
  std::string etag = {};
  std::string tier = "Hot";
  std::string md5 = {};       // base64
  std::string metadata = {};  // inner XML
  std::string properties = {};
};

// Thread-safe when its switches are set before the first request. Answers at
// http://azure.test/account/models.
class MemoryContainer {
 public:
  using Intercept =
      std::function<std::optional<Result<net::HttpResponse>>(const net::HttpRequest&)>;

  void Put(const std::string& name, const std::string& content, MemoryBlob blob = {}) {
    objects_.With([&](Objects& o) {
      blob.content = content;
      blob.etag = "0x8D" + std::to_string(++o.puts);
      o.by_name[name] = std::move(blob);
    });
  }
  net::testing::MemoryTransport& transport() { return transport_; }

  std::size_t page_size = 5000;
  bool encode_names = false;  // as Encoded="true"
  bool ignore_if_match = false;
  Intercept intercept;  // answers instead of the container when it wants to

  static net::HttpResponse Refuse(int status, const std::string& code) {
    return {status,
            {{"x-ms-error-code", code}, {"x-ms-request-id", "r-1"}},
            "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>" + code +
                "</Code><Message>What it says.\nRequestId:r-1\nTime:2026</Message></Error>"};
  }

 private:
  struct Objects {
    std::map<std::string, MemoryBlob> by_name;
    int puts = 0;
  };

  static std::string QueryValue(const std::string& query, const std::string& name) {
    const std::string text = "&" + query;
    const auto at = text.find("&" + name + "=");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 2;
    const auto decoded = net::PercentDecode(text.substr(begin, text.find('&', begin) - begin));
    return decoded ? *decoded : "";
  }
  static std::string Escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
      if (c == '&') {
        out += "&amp;";
      } else if (c == '<') {
        out += "&lt;";
      } else {
        out += c;
      }
    }
    return out;
  }

  Result<net::HttpResponse> Answer(const net::HttpRequest& request) {
    if (intercept) {
      if (auto answer = intercept(request)) return *std::move(answer);
    }
    if (!request.headers.Has("Authorization") &&
        request.url.query.find("sig=") == std::string::npos) {
      return Refuse(401, "NoAuthenticationInformation");
    }
    const auto path = net::PercentDecode(request.url.path);
    const std::string root = "/account/models";
    if (!path || !path->starts_with(root)) return Refuse(404, "ContainerNotFound");
    return objects_.With([&](Objects& o) {
      return *path == root ? List(o, request) : Get(o, path->substr(root.size() + 1), request);
    });
  }

  net::HttpResponse List(const Objects& o, const net::HttpRequest& request) const {
    const std::string prefix = QueryValue(request.url.query, "prefix");
    const std::string after = QueryValue(request.url.query, "marker");
    std::string text =
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults "
        "ContainerName=\"models\"><Prefix>" +
        Escaped(prefix) + "</Prefix><Blobs>";
    std::size_t count = 0;
    std::string next;
    for (auto it = o.by_name.upper_bound(after); it != o.by_name.end(); ++it) {
      if (!it->first.starts_with(prefix)) continue;
      if (count++ == page_size) {
        next = std::prev(it)->first;
        break;
      }
      const MemoryBlob& blob = it->second;
      text += encode_names ? "<Blob><Name Encoded=\"true\">" + net::PercentEncode(it->first)
                           : "<Blob><Name>" + Escaped(it->first);
      text += "</Name><Properties><Etag>" + blob.etag + "</Etag><Content-Length>" +
              std::to_string(blob.content.size()) + "</Content-Length><Content-MD5>" + blob.md5 +
              "</Content-MD5><AccessTier>" + blob.tier + "</AccessTier>" + blob.properties +
              "</Properties><Metadata>" + blob.metadata + "</Metadata></Blob>";
    }
    return {200,
            {},
            text + "</Blobs><NextMarker>" + Escaped(next) + "</NextMarker></EnumerationResults>"};
  }

  net::HttpResponse Get(const Objects& o,
                        const std::string& name,
                        const net::HttpRequest& request) const {
    const auto it = o.by_name.find(name);
    if (it == o.by_name.end()) return Refuse(404, "BlobNotFound");
    const std::string& content = it->second.content;
    const std::string etag = "\"" + it->second.etag + "\"";
    if (request.method == "HEAD") {
      return {200,
              {{"Content-Length", std::to_string(content.size())},
               {"ETag", etag},
               {"x-ms-access-tier", it->second.tier}},
              ""};
    }
    const auto match = request.headers.Get("If-Match");
    if (!ignore_if_match && match && *match != etag) return Refuse(412, "ConditionNotMet");
    const std::string range(request.headers.Get("Range").value_or(""));
    const std::size_t begin = std::stoul(range.substr(6));
    const std::size_t last = std::stoul(range.substr(range.find('-') + 1));
    if (begin >= content.size()) return Refuse(416, "InvalidRange");
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
