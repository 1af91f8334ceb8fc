// Cloud Storage of the stand-in: objects.list, objects.get, media, and their rules.
#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "codec/gzip.h"
#include "crypto/digest.h"
#include "fakes/google_fake.h"

namespace bdn::fakes {
namespace {

constexpr std::string_view kMetadataRoot = "/storage/v1/b/";
constexpr std::string_view kDownloadRoot = "/download/storage/v1/b/";
constexpr std::uint64_t kGoogleGunzipBytesMax = 1ull << 30;

Answer GoogleStorageError(int status, std::string_view reason, std::string_view message) {
  const boost::json::object body{
      {"error",
       {{"code", status},
        {"message", message},
        {"errors", {{{"message", message}, {"domain", "global"}, {"reason", reason}}}}}}};
  return {.status = status,
          .headers = {{"Content-Type", "application/json; charset=UTF-8"}},
          .body = boost::json::serialize(body)};
}

Answer PlainGoogleError(int status, std::string text) {
  return {.status = status,
          .headers = {{"Content-Type", "text/html; charset=UTF-8"}},
          .body = std::move(text)};
}

Answer StorageJson(const boost::json::object& body) {
  return {.headers = {{"Content-Type", "application/json; charset=UTF-8"}},
          .body = boost::json::serialize(body)};
}

struct GoogleTarget {
  bool download = false;
  std::string bucket;
  std::string name;  // empty: the list
};

// A name is one segment: with a slash in it, the path is another one.
std::optional<GoogleTarget> ParseGoogleTarget(std::string_view path) {
  GoogleTarget target;
  if (path.starts_with(kDownloadRoot)) {
    target.download = true;
    path.remove_prefix(kDownloadRoot.size());
  } else if (path.starts_with(kMetadataRoot)) {
    path.remove_prefix(kMetadataRoot.size());
  } else {
    return std::nullopt;
  }
  const auto slash = path.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  target.bucket = net::PercentDecode(path.substr(0, slash)).value_or("");
  path.remove_prefix(slash + 1);
  if (path == "o" && !target.download) return target;
  if (!path.starts_with("o/")) return std::nullopt;
  path.remove_prefix(2);
  if (path.empty() || path.find('/') != std::string_view::npos) return std::nullopt;
  target.name = net::PercentDecode(path).value_or("");
  if (target.name.empty()) return std::nullopt;
  return target;
}

// "items(name,size),nextPageToken": the names in the brackets; empty: all.
std::set<std::string> ListFieldsOf(std::string_view fields) {
  std::set<std::string> names;
  const auto open = fields.find("items(");
  if (open == std::string_view::npos) return names;
  fields.remove_prefix(open + 6);
  fields = fields.substr(0, fields.find(')'));
  while (!fields.empty()) {
    const auto comma = fields.find(',');
    names.insert(std::string(fields.substr(0, comma)));
    fields = comma == std::string_view::npos ? std::string_view() : fields.substr(comma + 1);
  }
  return names;
}

bool GoogleAcceptsGzip(const net::ServerRequest& request) {
  return request.headers().Get("Accept-Encoding").value_or("").find("gzip") !=
         std::string_view::npos;
}

std::optional<std::string> GoogleDecompress(const Content& content) {
  const auto bytes = content.Read(0, content.size);
  if (!bytes) return std::nullopt;
  codec::Gunzip gunzip(kGoogleGunzipBytesMax);
  std::string out;
  const Status status =
      gunzip.Update(std::as_bytes(std::span(*bytes)), [&](std::span<const std::byte> piece) {
        out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        return Status();
      });
  if (!status || !gunzip.Finish()) return std::nullopt;
  return out;
}

}  // namespace

boost::json::object GoogleFake::Describe(const std::string& bucket,
                                         const std::string& name,
                                         const Stored& stored) const {
  const std::string generation = std::to_string(stored.generation);
  const std::string link =
      fmt::format("{}/storage/v1/b/{}/o/{}", url(), bucket, net::PercentEncode(name));
  boost::json::object item{
      {"kind", "storage#object"},
      {"id", fmt::format("{}/{}/{}", bucket, name, generation)},
      {"selfLink", link},
      {"mediaLink", fmt::format("{}/download/storage/v1/b/{}/o/{}?generation={}&alt=media", url(),
                                bucket, net::PercentEncode(name), generation)},
      {"name", name},
      {"bucket", bucket},
      {"generation", generation},
      {"metageneration", "1"},
      {"contentType", "application/octet-stream"},
      {"storageClass", "STANDARD"},
      {"size", std::to_string(stored.object.content->size)},
      {"crc32c", stored.crc32c},
      {"etag", "CJ" + crypto::Base64Encode(generation)},
      {"timeCreated", stored.updated},
      {"updated", stored.updated}};
  if (!stored.md5.empty()) item["md5Hash"] = stored.md5;
  if (stored.object.composed) item["componentCount"] = 2;
  if (!stored.object.content_encoding.empty()) {
    item["contentEncoding"] = stored.object.content_encoding;
  }
  return item;
}

std::optional<Answer> GoogleFake::DenyStorage(State& state,
                                              const net::ServerRequest& request,
                                              const Bucket* bucket,
                                              std::string_view right) {
  const auto field = request.headers().Get("Authorization");
  if (!field) {
    return GoogleStorageError(
        401, "required",
        fmt::format("Anonymous caller does not have {} access to the Google Cloud "
                    "Storage object.",
                    right));
  }
  const auto it = field->starts_with("Bearer ") ? state.tokens.find(std::string(field->substr(7)))
                                                : state.tokens.end();
  if (it == state.tokens.end() || it->second.email.empty() ||
      it->second.expires <= options_.clock->Now()) {
    return GoogleStorageError(401, "authError", "Invalid Credentials");
  }
  if (bucket == nullptr) {
    return GoogleStorageError(404, "notFound", "The specified bucket does not exist.");
  }
  const auto& readers = bucket->about.readers;
  if (!readers.empty() && !readers.contains(it->second.email)) {
    return GoogleStorageError(
        403, "forbidden",
        fmt::format("{} does not have {} access to the Google Cloud Storage bucket. "
                    "Permission '{}' denied on resource (or it may not exist).",
                    it->second.email, right, right));
  }
  if (bucket->about.requester_pays && !request.query_param("userProject")) {
    return GoogleStorageError(400, "required",
                              "Bucket is a requester pays bucket but no user project provided.");
  }
  return std::nullopt;
}

Answer GoogleFake::List(const Bucket& bucket, const net::ServerRequest& request) const {
  const std::string prefix = request.query_param("prefix").value_or("");
  const std::string token = request.query_param("pageToken").value_or("");
  const std::string asked = request.query_param("maxResults").value_or("1000");
  const std::set<std::string> fields = ListFieldsOf(request.query_param("fields").value_or(""));
  const std::size_t limit =
      std::clamp<std::size_t>(static_cast<std::size_t>(std::atoll(asked.c_str())), 1,
                              std::max<std::size_t>(options_.page_entries, 1));
  const std::string after = crypto::Base64UrlDecode(token).value_or("");
  boost::json::object body{{"kind", "storage#objects"}};
  boost::json::array items;
  std::string last;
  for (auto it = bucket.objects.upper_bound(after); it != bucket.objects.end(); ++it) {
    if (!it->first.starts_with(prefix)) continue;
    if (items.size() == limit) {
      body["nextPageToken"] = crypto::Base64UrlEncode(last);
      break;
    }
    last = it->first;
    boost::json::object item = Describe(bucket.about.name, it->first, *it->second);
    boost::json::object shown;
    for (const auto& member : item) {
      if (fields.empty() || fields.contains(std::string(member.key()))) {
        shown[member.key()] = member.value();
      }
    }
    items.push_back(std::move(shown));
  }
  if (!items.empty()) body["items"] = std::move(items);
  return StorageJson(body);
}

Answer GoogleFake::Download(const Bucket& bucket,
                            const std::string& name,
                            const Stored& stored,
                            const net::ServerRequest& request) const {
  const GoogleObject& object = stored.object;
  const std::string generation = std::to_string(stored.generation);
  Answer answer;
  answer.headers.Set("x-goog-generation", generation);
  answer.headers.Set("x-goog-metageneration", "1");
  answer.headers.Add("x-goog-hash", "crc32c=" + stored.crc32c);
  if (!stored.md5.empty()) answer.headers.Add("x-goog-hash", "md5=" + stored.md5);
  answer.headers.Set("x-goog-storage-class", "STANDARD");
  answer.headers.Set("x-goog-stored-content-encoding",
                     object.content_encoding.empty() ? "identity" : object.content_encoding);
  answer.headers.Set("x-goog-stored-content-length", std::to_string(object.content->size));
  answer.content = object.content;
  answer.etag = "\"CJ" + crypto::Base64Encode(generation) + "\"";
  if (object.content_encoding != "gzip") return answer;
  if (GoogleAcceptsGzip(request)) {
    answer.headers.Set("Content-Encoding", "gzip");
    return answer;
  }
  // Decompressive transcoding: ranges are ignored, and the hashes are still those of what is
  // stored.
  auto plain = GoogleDecompress(*object.content);
  if (!plain) {
    return PlainGoogleError(
        503, fmt::format("{}/{} could not be decompressed", bucket.about.name, name));
  }
  answer.headers.Set("x-guploader-response-body-transformations", "gunzipped");
  answer.headers.Set("Warning", "214 UploadServer gunzipped");
  answer.content = MakeContent(*std::move(plain));
  answer.ignore_range = true;
  return answer;
}

Answer GoogleFake::AnswerStorage(net::ServerRequest& request) {
  const auto target = ParseGoogleTarget(request.path());
  if (!target || request.method() == "POST") return PlainGoogleError(404, "Not Found");
  return state_.With([&](State& s) -> Answer {
    const auto it = s.buckets.find(target->bucket);
    const Bucket* bucket = it == s.buckets.end() ? nullptr : &it->second;
    const std::string_view right =
        target->name.empty() ? "storage.objects.list" : "storage.objects.get";
    if (auto denied = DenyStorage(s, request, bucket, right)) return *std::move(denied);
    if (target->name.empty()) return List(*bucket, request);
    const bool media = target->download || request.query_param("alt").value_or("json") == "media";
    const auto found = bucket->objects.find(target->name);
    const std::string wanted = request.query_param("generation").value_or("");
    const bool gone = found == bucket->objects.end() ||
                      (!wanted.empty() && wanted != std::to_string(found->second->generation));
    if (gone) {
      const std::string text = fmt::format("No such object: {}/{}", target->bucket, target->name);
      return media ? PlainGoogleError(404, text) : GoogleStorageError(404, "notFound", text);
    }
    const Stored& stored = *found->second;
    const std::string match = request.query_param("ifGenerationMatch").value_or("");
    if (!match.empty() && match != std::to_string(stored.generation)) {
      return GoogleStorageError(412, "conditionNotMet",
                                "At least one of the pre-conditions you specified did not hold.");
    }
    if (media) return Download(*bucket, target->name, stored, request);
    return StorageJson(Describe(target->bucket, target->name, stored));
  });
}

}  // namespace bdn::fakes
