#include "cloud/s3_xml.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include <expat.h>
#include <fmt/format.h>

#include "net/http.h"

namespace bdn::cloud {
namespace {

// What the callbacks of expat see. They end the parsing by setting `failure`.
struct Document {
  XML_Parser parser = nullptr;
  std::vector<std::string> path;
  std::string text;
  std::string root;
  S3ListPage page;
  S3ErrorBody error;
  S3Object object;
  bool has_key = false;
  bool has_size = false;
  bool composite = false;
  bool url_encoded = false;
  std::optional<Error> failure;

  void Fail(Code code, std::string message) {
    if (!failure) failure = Error(code, std::move(message));
    XML_StopParser(parser, XML_FALSE);
  }
  void OnValue(const std::string& where);
};

void Document::OnValue(const std::string& where) {
  if (where == "Error/Code") {
    error.code = text;
  } else if (where == "Error/Message") {
    error.message = text;
  } else if (where == "Error/Region") {
    error.region = text;
  } else if (where == "Error/RequestId") {
    error.request_id = text;
  } else if (where == "ListBucketResult/IsTruncated") {
    page.truncated = text == "true";
  } else if (where == "ListBucketResult/NextContinuationToken") {
    page.next_token = text;
  } else if (where == "ListBucketResult/EncodingType") {
    url_encoded = text == "url";
  } else if (where == "ListBucketResult/Contents/Key") {
    object.key = text;
    has_key = true;
  } else if (where == "ListBucketResult/Contents/ETag") {
    std::string_view etag = text;
    if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
      etag = etag.substr(1, etag.size() - 2);
    }
    object.etag = etag;
  } else if (where == "ListBucketResult/Contents/Size") {
    const char* end = text.data() + text.size();
    const auto [rest, bad] = std::from_chars(text.data(), end, object.size);
    has_size = bad == std::errc() && rest == end;
  } else if (where == "ListBucketResult/Contents/StorageClass") {
    object.storage_class = text;
  } else if (where == "ListBucketResult/Contents/RestoreStatus/RestoreExpiryDate") {
    object.restored = true;
  } else if (where == "ListBucketResult/Contents/ChecksumAlgorithm") {
    object.has_checksum = true;
  } else if (where == "ListBucketResult/Contents/ChecksumType") {
    composite = text == "COMPOSITE";
  } else if (where == "ListBucketResult/Contents") {
    if (std::exchange(composite, false)) object.has_checksum = false;
    if (!has_key || !has_size) {
      return Fail(Code::kUnavailable, "an object without a key or a size is listed");
    }
    page.objects.push_back(std::exchange(object, {}));
    has_key = has_size = false;
  }
}

void OnStart(void* user, const XML_Char* name, const XML_Char** /*attributes*/) {
  auto& doc = *static_cast<Document*>(user);
  if (doc.path.size() >= kS3XmlDepthMax) {
    return doc.Fail(Code::kResourceExhausted,
                    fmt::format("XML deeper than {} elements", kS3XmlDepthMax));
  }
  if (doc.path.empty()) doc.root = name;
  doc.path.emplace_back(name);
  doc.text.clear();
}

void OnEnd(void* user, const XML_Char* /*name*/) {
  auto& doc = *static_cast<Document*>(user);
  std::string where;
  for (const auto& name : doc.path) where += (where.empty() ? "" : "/") + name;
  doc.OnValue(where);
  doc.path.pop_back();
  doc.text.clear();
}

void OnCharacters(void* user, const XML_Char* text, int size) {
  auto& doc = *static_cast<Document*>(user);
  if (doc.text.size() + static_cast<std::size_t>(size) > kS3XmlValueBytesMax) {
    return doc.Fail(Code::kResourceExhausted,
                    fmt::format("an XML value longer than {} bytes", kS3XmlValueBytesMax));
  }
  doc.text.append(text, static_cast<std::size_t>(size));
}

// Entities are declared in a document type only, so this ends every expansion before it begins.
void OnDoctype(void* user,
               const XML_Char* /*name*/,
               const XML_Char* /*sysid*/,
               const XML_Char* /*pubid*/,
               int /*has_internal_subset*/) {
  static_cast<Document*>(user)->Fail(Code::kUnsupported, "XML with a document type is refused");
}

Status Parse(std::string_view xml, Document& doc) {
  const std::unique_ptr<std::remove_pointer_t<XML_Parser>, decltype(&XML_ParserFree)> parser(
      XML_ParserCreate("UTF-8"), &XML_ParserFree);
  if (!parser) return Error(Code::kResourceExhausted, "no memory for an XML parser");
  doc.parser = parser.get();
  XML_SetUserData(doc.parser, &doc);
  XML_SetElementHandler(doc.parser, &OnStart, &OnEnd);
  XML_SetCharacterDataHandler(doc.parser, &OnCharacters);
  XML_SetStartDoctypeDeclHandler(doc.parser, &OnDoctype);
  // The size is an int for expat; answers are far smaller (kS3PageBytesMax).
  constexpr std::size_t kPieceBytes = 1 << 20;
  do {
    const std::string_view piece = xml.substr(0, kPieceBytes);
    xml.remove_prefix(piece.size());
    const auto status =
        XML_Parse(doc.parser, piece.data(), static_cast<int>(piece.size()), xml.empty() ? 1 : 0);
    if (doc.failure) return *doc.failure;
    if (status != XML_STATUS_OK) {
      return Error(Code::kUnavailable, fmt::format("not well-formed XML (line {}: {})",
                                                   XML_GetCurrentLineNumber(doc.parser),
                                                   XML_ErrorString(XML_GetErrorCode(doc.parser))));
    }
  } while (!xml.empty());
  return {};
}

// encoding-type=url: '+' is a blank for some servers, others write %20; a plus is %2B for all.
Status DecodeKeys(S3ListPage& page) {
  for (S3Object& object : page.objects) {
    std::replace(object.key.begin(), object.key.end(), '+', ' ');
    auto decoded = net::PercentDecode(object.key);
    if (!decoded) return Error(Code::kUnavailable, "a key with a broken %-escape is listed");
    object.key = *std::move(decoded);
  }
  return {};
}

}  // namespace

Result<S3ListPage> ParseS3ListPage(std::string_view xml) {
  Document doc;
  BDN_TRY(Parse(xml, doc));
  if (doc.root == "Error") {
    doc.page.error = std::move(doc.error);
    return std::move(doc.page);
  }
  if (doc.root != "ListBucketResult") {
    return Error(Code::kUnavailable, "the answer is XML but no listing");
  }
  if (doc.url_encoded) BDN_TRY(DecodeKeys(doc.page));
  return std::move(doc.page);
}

S3ErrorBody ParseS3Error(std::string_view xml) {
  Document doc;
  if (xml.empty() || !Parse(xml, doc)) return {};
  return std::move(doc.error);
}

}  // namespace bdn::cloud
