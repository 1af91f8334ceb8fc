#pragma once
// Google in memory for the tests of gs://: one bucket, the two token services and IAM, at Google's
// own addresses. It gives tokens to whoever asks and takes only the last one of each kind.
#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "auth/identity_tokens.h"
#include "base/guarded.h"
#include "crypto/digest.h"
#include "crypto/hash.h"
#include "net/testing/memory_transport.h"

namespace bdn::source::testing {

// Tokens of an issuer: "jwt-1 for AUDIENCE", "jwt-2 …".
class CountingIdentity final : public auth::IdentityTokens {
 public:
  Result<std::string> Mint(std::string_view audience) override {
    const int n = minted_.With([](int& count) { return ++count; });
    return "jwt-" + std::to_string(n) + "-for-" + std::string(audience);
  }
  int minted() const {
    return minted_.With([](int count) { return count; });
  }

 private:
  Guarded<int> minted_{0};
};

// Thread-safe; set the plain members before the first request, or between requests.
class MemoryGoogle {
 public:
  using Intercept =
      std::function<std::optional<Result<net::HttpResponse>>(const net::HttpRequest&)>;

  struct Object {
    std::string content;  // as it is stored
    std::string encoding = {};
    bool composed = false;  // has no MD5
    std::string generation = {};
  };

  void PutObject(const std::string& name, Object object) {
    state_.With([&](State& s) {
      object.generation = std::to_string(9'007'199'254'740'993 + ++s.puts);  // more than 2^53
      s.objects[name] = std::move(object);
    });
  }
  void Put(const std::string& name, const std::string& content) {
    PutObject(name, Object{.content = content});
  }
  // No token that was given so far is taken any more.
  void RevokeTokens() {
    state_.With([](State& s) { s.tokens.clear(); });
  }
  net::testing::MemoryTransport& transport() { return transport_; }
  // Requests whose URL contains `part`.
  std::vector<net::HttpRequest> Requests(const std::string& part) const {
    auto all = transport_.requests();
    std::erase_if(all, [&](const net::HttpRequest& r) {
      return r.url.ToString().find(part) == std::string::npos;
    });
    return all;
  }

  std::size_t page_size = 1000;
  int token_life = 3600;
  bool life_as_text = false;
  std::string expire_time = "2100-01-01T00:00:00Z";  // of generateAccessToken
  Intercept intercept;                               // answers instead of Google when it wants to

  static std::string ApiError(int code, const std::string& reason, const std::string& message) {
    return boost::json::serialize(boost::json::object{
        {"error", {{"code", code}, {"message", message}, {"errors", {{{"reason", reason}}}}}}});
  }
  static std::string OAuthError(const std::string& code, const std::string& text) {
    return boost::json::serialize(
        boost::json::object{{"error", code}, {"error_description", text}});
  }

 private:
  struct State {
    std::map<std::string, Object> objects;
    std::vector<std::string> tokens;  // of storage
    int puts = 0;
    int given = 0;
  };

  static std::string Base64OfHex(const std::string& hex) {
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2) {
      bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
    std::string text = crypto::Base64UrlEncode(bytes);
    std::replace(text.begin(), text.end(), '-', '+');
    std::replace(text.begin(), text.end(), '_', '/');
    while (text.size() % 4 != 0) text += '=';
    return text;
  }
  static std::string HashOf(crypto::HashKind kind, const std::string& content) {
    crypto::Hasher hasher(kind);
    hasher.Update(content);
    return Base64OfHex(hasher.FinishHex());
  }
  static std::string QueryValue(const std::string& query, const std::string& name) {
    const std::string text = "&" + query;
    const auto at = text.find("&" + name + "=");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 2;
    const auto decoded = net::PercentDecode(text.substr(begin, text.find('&', begin) - begin));
    return decoded ? *decoded : "";
  }
  static boost::json::object Describe(const std::string& name, const Object& object) {
    boost::json::object item{{"name", name},
                             {"size", std::to_string(object.content.size())},
                             {"generation", object.generation},
                             {"crc32c", HashOf(crypto::HashKind::kCrc32c, object.content)}};
    if (!object.composed) item["md5Hash"] = HashOf(crypto::HashKind::kMd5, object.content);
    if (!object.encoding.empty()) item["contentEncoding"] = object.encoding;
    return item;
  }

  Result<net::HttpResponse> Answer(const net::HttpRequest& request) {
    if (intercept) {
      if (auto answer = intercept(request)) return *std::move(answer);
    }
    const std::string& host = request.url.host;
    return state_.With([&](State& s) -> net::HttpResponse {
      if (host == "oauth2.googleapis.com" || host == "sts.googleapis.com") {
        const bool storage = host == "oauth2.googleapis.com";
        const std::string token = "token-" + std::to_string(++s.given);
        if (storage) s.tokens.push_back(token);
        boost::json::object body{{"access_token", token}, {"token_type", "Bearer"}};
        if (life_as_text)
          body["expires_in"] = std::to_string(token_life);
        else
          body["expires_in"] = token_life;
        return {200, {}, boost::json::serialize(body)};
      }
      if (host == "iamcredentials.googleapis.com") {
        const std::string token = "token-" + std::to_string(++s.given);
        s.tokens.push_back(token);
        return {200,
                {},
                boost::json::serialize(
                    boost::json::object{{"accessToken", token}, {"expireTime", expire_time}})};
      }
      return Storage(s, request);
    });
  }

  net::HttpResponse Storage(const State& s, const net::HttpRequest& request) const {
    const std::string bearer(request.headers.Get("Authorization").value_or(""));
    const bool known = std::any_of(s.tokens.begin(), s.tokens.end(),
                                   [&](const std::string& t) { return bearer == "Bearer " + t; });
    if (!known) return {401, {}, ApiError(401, "authError", "Invalid Credentials")};
    const std::string list = "/storage/v1/b/bucket/o";
    const std::string media = "/download/storage/v1/b/bucket/o/";
    const std::string& path = request.url.path;
    if (path == list) return List(s, request);
    const bool download = path.starts_with(media);
    if (!download && !path.starts_with(list + "/")) {
      return {404, {}, ApiError(404, "notFound", "The specified bucket does not exist.")};
    }
    const std::string segment = path.substr(download ? media.size() : list.size() + 1);
    const auto name = net::PercentDecode(segment);
    if (segment.find('/') != std::string::npos || !name || !s.objects.contains(*name)) {
      return {404, {}, "No such object: bucket/" + segment};
    }
    const Object& object = s.objects.at(*name);
    if (!download) return {200, {}, boost::json::serialize(Describe(*name, object))};
    if (QueryValue(request.url.query, "generation") != object.generation) {
      return {404, {}, "No such object: bucket/" + segment};
    }
    return Media(object, request);
  }

  net::HttpResponse List(const State& s, const net::HttpRequest& request) const {
    const std::string prefix = QueryValue(request.url.query, "prefix");
    const std::string after = QueryValue(request.url.query, "pageToken");
    boost::json::object body;
    boost::json::array items;
    for (auto it = s.objects.upper_bound(after); it != s.objects.end(); ++it) {
      if (!it->first.starts_with(prefix)) continue;
      if (items.size() == page_size) {
        body["nextPageToken"] = std::prev(it)->first;
        break;
      }
      items.push_back(Describe(it->first, it->second));
    }
    if (!items.empty()) body["items"] = std::move(items);
    return {200, {}, boost::json::serialize(body)};
  }

  static net::HttpResponse Media(const Object& object, const net::HttpRequest& request) {
    net::HttpResponse answer{
        .status = 200,
        .headers = {{"x-goog-generation", object.generation}, {"ETag", "\"another kind of tag\""}},
        .body = object.content};
    if (!object.encoding.empty()) answer.headers.Set("Content-Encoding", object.encoding);
    const std::string accept(request.headers.Get("Accept-Encoding").value_or(""));
    if (object.encoding == "gzip" && accept.find("gzip") == std::string::npos) {
      // Decompressed on the way, ranges ignored.
      answer.headers.Remove("Content-Encoding");
      answer.body = "decompressed by the server";
      return answer;
    }
    const std::string range(request.headers.Get("Range").value_or(""));
    if (range.empty()) return answer;
    const std::size_t begin = std::stoul(range.substr(6));
    const std::size_t last = std::stoul(range.substr(range.find('-') + 1));
    const std::string& content = object.content;
    if (begin >= content.size()) return {416, {}, "Request range not satisfiable"};
    const std::size_t end = std::min(last + 1, content.size());
    answer.status = 206;
    answer.body = content.substr(begin, end - begin);
    answer.headers.Set("Content-Length", std::to_string(end - begin));
    answer.headers.Set("Content-Range", "bytes " + std::to_string(begin) + "-" +
                                            std::to_string(end - 1) + "/" +
                                            std::to_string(content.size()));
    return answer;
  }

  Guarded<State> state_;
  net::testing::MemoryTransport transport_{
      [this](const net::HttpRequest& request) { return Answer(request); }};
};

}  // namespace bdn::source::testing
