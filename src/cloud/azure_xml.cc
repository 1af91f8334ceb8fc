#include "cloud/azure_xml.h"

#include <charconv>
#include <memory>
#include <utility>

#include <expat.h>
#include <fmt/format.h>

#include "net/http.h"

namespace bdn::cloud {
namespace {

constexpr std::string_view kBlobPath = "EnumerationResults/Blobs/Blob/";

// What the callbacks of expat see. They end the parsing by setting `failure`.
struct AzureDocument {
  XML_Parser parser = nullptr;
  std::vector<std::string> path;
  std::string text;
  std::string root;
  AzureListPage page;
  AzureErrorBody error;
  AzureBlob blob;
  bool has_name = false;
  bool has_size = false;
  bool encoded = false;  // of the element that is open
  bool skip = false;     // a snapshot, an old version or a deleted blob
  std::optional<Error> failure;

  void Fail(Code code, std::string message) {
    if (!failure) failure = Error(code, std::move(message));
    XML_StopParser(parser, XML_FALSE);
  }
  void OnValue(const std::string& where);
  void OnBlobValue(std::string_view name);
  void OnBlobEnd();
};

std::string UnquotedEtag(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return std::string(etag);
}

void AzureDocument::OnBlobValue(std::string_view name) {
  if (name == "Name") {
    blob.name = text;
    has_name = true;
    if (!encoded) return;
    // Names with characters that XML cannot hold (from version 2021-02-12 on).
    auto decoded = net::PercentDecode(blob.name);
    if (!decoded) return Fail(Code::kUnavailable, "a name with a broken %-escape is listed");
    blob.name = *std::move(decoded);
  } else if (name == "Snapshot") {
    skip = skip || !text.empty();
  } else if (name == "Deleted") {
    skip = skip || text == "true";
  } else if (name == "IsCurrentVersion") {
    skip = skip || text == "false";
  } else if (name == "Properties/Etag") {
    blob.etag = UnquotedEtag(text);
  } else if (name == "Properties/Content-Length") {
    const char* end = text.data() + text.size();
    const auto [rest, bad] = std::from_chars(text.data(), end, blob.size);
    has_size = bad == std::errc() && rest == end;
  } else if (name == "Properties/Content-MD5") {
    blob.content_md5 = text;
  } else if (name == "Properties/AccessTier") {
    blob.tier = text;
  } else if (name == "Properties/CustomerProvidedKeySha256") {
    blob.customer_key = !text.empty();
  } else if (name == "Properties/ResourceType") {
    blob.is_folder = blob.is_folder || text == "directory";
  } else if (name == "Metadata/hdi_isfolder" || name == "Metadata/Hdi_isfolder") {
    blob.is_folder = blob.is_folder || text == "true" || text == "True";
  }
}

void AzureDocument::OnBlobEnd() {
  if (!has_name || !has_size) {
    return Fail(Code::kUnavailable, "a blob without a name or a size is listed");
  }
  if (!skip) page.blobs.push_back(std::move(blob));
  blob = {};
  has_name = has_size = skip = false;
}

void AzureDocument::OnValue(const std::string& where) {
  if (where == kBlobPath.substr(0, kBlobPath.size() - 1)) {
    OnBlobEnd();
  } else if (where.starts_with(kBlobPath)) {
    OnBlobValue(std::string_view(where).substr(kBlobPath.size()));
  } else if (where == "EnumerationResults/NextMarker") {
    page.next_marker = text;
  } else if (where == "Error/Code") {
    error.code = text;
  } else if (where == "Error/Message") {
    error.message = text;
  } else if (where == "Error/AuthenticationErrorDetail") {
    error.detail = text;
  }
}

void AzureOnStart(void* user, const XML_Char* name, const XML_Char** attributes) {
  auto& doc = *static_cast<AzureDocument*>(user);
  if (doc.path.size() >= kAzureXmlDepthMax) {
    return doc.Fail(Code::kResourceExhausted,
                    fmt::format("XML deeper than {} elements", kAzureXmlDepthMax));
  }
  if (doc.path.empty()) doc.root = name;
  doc.path.emplace_back(name);
  doc.text.clear();
  doc.encoded = false;
  for (; *attributes != nullptr; attributes += 2) {
    doc.encoded = doc.encoded || (std::string_view(attributes[0]) == "Encoded" &&
                                  std::string_view(attributes[1]) == "true");
  }
}

void AzureOnEnd(void* user, const XML_Char* /*name*/) {
  auto& doc = *static_cast<AzureDocument*>(user);
  std::string where;
  for (const auto& name : doc.path) where += (where.empty() ? "" : "/") + name;
  doc.OnValue(where);
  doc.path.pop_back();
  doc.text.clear();
}

void AzureOnCharacters(void* user, const XML_Char* text, int size) {
  auto& doc = *static_cast<AzureDocument*>(user);
  if (doc.text.size() + static_cast<std::size_t>(size) > kAzureXmlValueBytesMax) {
    return doc.Fail(Code::kResourceExhausted,
                    fmt::format("an XML value longer than {} bytes", kAzureXmlValueBytesMax));
  }
  doc.text.append(text, static_cast<std::size_t>(size));
}

// Entities are declared in a document type only, so this ends every expansion before it begins.
void AzureOnDoctype(void* user,
                    const XML_Char* /*name*/,
                    const XML_Char* /*sysid*/,
                    const XML_Char* /*pubid*/,
                    int /*has_internal_subset*/) {
  static_cast<AzureDocument*>(user)->Fail(Code::kUnsupported,
                                          "XML with a document type is refused");
}

Status ParseAzureXml(std::string_view xml, AzureDocument& doc) {
  // Some services put a byte order mark in front.
  if (xml.starts_with("\xef\xbb\xbf")) xml.remove_prefix(3);
  const std::unique_ptr<std::remove_pointer_t<XML_Parser>, decltype(&XML_ParserFree)> parser(
      XML_ParserCreate("UTF-8"), &XML_ParserFree);
  if (!parser) return Error(Code::kResourceExhausted, "no memory for an XML parser");
  doc.parser = parser.get();
  XML_SetUserData(doc.parser, &doc);
  XML_SetElementHandler(doc.parser, &AzureOnStart, &AzureOnEnd);
  XML_SetCharacterDataHandler(doc.parser, &AzureOnCharacters);
  XML_SetStartDoctypeDeclHandler(doc.parser, &AzureOnDoctype);
  constexpr std::size_t kPieceBytes = 1 << 20;  // the size is an int for expat
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

}  // namespace

Result<AzureListPage> ParseAzureListPage(std::string_view xml) {
  AzureDocument doc;
  BDN_TRY(ParseAzureXml(xml, doc));
  if (doc.root != "EnumerationResults") {
    return Error(Code::kUnavailable, "the answer is XML but no listing");
  }
  return std::move(doc.page);
}

AzureErrorBody ParseAzureError(std::string_view xml) {
  AzureDocument doc;
  if (xml.empty() || !ParseAzureXml(xml, doc)) return {};
  return std::move(doc.error);
}

}  // namespace bdn::cloud
