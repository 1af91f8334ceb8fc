#include "cloud/xml_values.h"

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <expat.h>
#include <fmt/format.h>

namespace bdn::cloud {
namespace {

using OnValue = std::function<void(const std::string&, const std::string&)>;

// What the callbacks of expat see. They end the parsing by setting `failure`.
struct Walk {
  XML_Parser parser = nullptr;
  const OnValue& on_value;
  const XmlLimits& limits;
  std::string path;
  std::vector<std::size_t> starts;  // of each element's name in `path`
  std::string text;
  std::optional<Error> failure;

  void Fail(Code code, std::string message) {
    if (!failure) failure = Error(code, std::move(message));
    XML_StopParser(parser, XML_FALSE);
  }
};

void OnValueStart(void* user, const XML_Char* name, const XML_Char** /*attributes*/) {
  auto& walk = *static_cast<Walk*>(user);
  if (walk.starts.size() >= walk.limits.depth_max) {
    return walk.Fail(Code::kResourceExhausted,
                     fmt::format("XML deeper than {} elements", walk.limits.depth_max));
  }
  walk.starts.push_back(walk.path.size());
  if (!walk.path.empty()) walk.path += '/';
  walk.path += name;
  walk.text.clear();
}

void OnValueEnd(void* user, const XML_Char* /*name*/) {
  auto& walk = *static_cast<Walk*>(user);
  walk.on_value(walk.path, walk.text);
  walk.path.resize(walk.starts.back());
  walk.starts.pop_back();
  walk.text.clear();
}

void OnValueText(void* user, const XML_Char* text, int size) {
  auto& walk = *static_cast<Walk*>(user);
  if (walk.text.size() + static_cast<std::size_t>(size) > walk.limits.value_bytes_max) {
    return walk.Fail(Code::kResourceExhausted,
                     fmt::format("an XML value longer than {} bytes", walk.limits.value_bytes_max));
  }
  walk.text.append(text, static_cast<std::size_t>(size));
}

// Entities are declared in a document type only, so this ends every expansion before it begins.
void OnValueDoctype(void* user,
                    const XML_Char* /*name*/,
                    const XML_Char* /*sysid*/,
                    const XML_Char* /*pubid*/,
                    int /*has_internal_subset*/) {
  static_cast<Walk*>(user)->Fail(Code::kUnsupported, "XML with a document type is refused");
}

}  // namespace

Status ReadXmlValues(std::string_view xml, const OnValue& on_value, const XmlLimits& limits) {
  const std::unique_ptr<std::remove_pointer_t<XML_Parser>, decltype(&XML_ParserFree)> parser(
      XML_ParserCreate("UTF-8"), &XML_ParserFree);
  if (!parser) return Error(Code::kResourceExhausted, "no memory for an XML parser");
  Walk walk{.parser = parser.get(), .on_value = on_value, .limits = limits};
  XML_SetUserData(parser.get(), &walk);
  XML_SetElementHandler(parser.get(), &OnValueStart, &OnValueEnd);
  XML_SetCharacterDataHandler(parser.get(), &OnValueText);
  XML_SetStartDoctypeDeclHandler(parser.get(), &OnValueDoctype);
  constexpr std::size_t kPieceBytes = 1 << 20;  // the size is an int for expat
  do {
    const std::string_view piece = xml.substr(0, kPieceBytes);
    xml.remove_prefix(piece.size());
    const auto status =
        XML_Parse(parser.get(), piece.data(), static_cast<int>(piece.size()), xml.empty() ? 1 : 0);
    if (walk.failure) return *walk.failure;
    if (status != XML_STATUS_OK) {
      return Error(
          Code::kUnavailable,
          fmt::format("not well-formed XML (line {}: {})", XML_GetCurrentLineNumber(parser.get()),
                      XML_ErrorString(XML_GetErrorCode(parser.get()))));
    }
  } while (!xml.empty());
  return {};
}

}  // namespace bdn::cloud
