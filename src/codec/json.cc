#include "codec/json.h"

#include <algorithm>

#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

namespace bdn::codec {
namespace json = boost::json;

namespace {

std::string PlaceOf(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto newline = before.rfind('\n');
  const auto column =
      newline == std::string_view::npos ? before.size() + 1 : before.size() - newline;
  return fmt::format("line {} column {}", line, column);
}

std::string_view KindName(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "a value";
}

}  // namespace

Result<json::value> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return Error(Code::kResourceExhausted,
                 fmt::format("JSON text of {} bytes is over the limit of {}", text.size(),
                             limits.bytes_max));
  }
  json::parse_options options;
  options.max_depth = limits.depth_max;
  json::parser parser({}, options);
  json::error_code ec;
  const std::size_t used = parser.write_some(text.data(), text.size(), ec);
  if (ec == json::error::too_deep) {
    return Error(Code::kResourceExhausted,
                 fmt::format("JSON is nested deeper than {} levels, at {}", limits.depth_max,
                             PlaceOf(text, used)));
  }
  if (ec) {
    return Error(Code::kInvalidArgument,
                 fmt::format("not valid JSON at {}: {}", PlaceOf(text, used), ec.message()));
  }
  const auto rest = text.find_first_not_of(" \t\r\n", used);
  if (rest != std::string_view::npos) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("not valid JSON at {}: more text after the value", PlaceOf(text, rest)));
  }
  return parser.release();
}

std::string SerializeJson(const json::value& value) {
  return json::serialize(value);
}

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out += text.substr(done, i - done);
    done = i + 1;
    switch (text[i]) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += fmt::format("\\u{:04x}", byte);
    }
  }
  out += text.substr(done);
  out += '"';
}

Error JsonView::Expected(std::string_view what) const {
  return Error(Code::kInvalidArgument,
               fmt::format("{} must be {}, not {}", path_.empty() ? "the JSON value" : path_, what,
                           KindName(*value_)));
}

std::string JsonView::Below(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

Result<JsonView> JsonView::Get(std::string_view key) const {
  const json::object* object = value_->if_object();
  if (object == nullptr) return Expected("an object");
  const json::value* member = object->if_contains(key);
  if (member == nullptr) {
    return Error(Code::kInvalidArgument, fmt::format("{} is missing", Below(key)));
  }
  return JsonView(*member, Below(key));
}

Result<std::optional<JsonView>> JsonView::Find(std::string_view key) const {
  const json::object* object = value_->if_object();
  if (object == nullptr) return Expected("an object");
  const json::value* member = object->if_contains(key);
  if (member == nullptr || member->is_null()) return std::optional<JsonView>();
  return std::optional<JsonView>(JsonView(*member, Below(key)));
}

Result<std::vector<JsonView>> JsonView::Items() const {
  const json::array* array = value_->if_array();
  if (array == nullptr) return Expected("an array");
  std::vector<JsonView> items;
  items.reserve(array->size());
  for (const json::value& item : *array) {
    items.emplace_back(item, Below(std::to_string(items.size())));
  }
  return items;
}

Result<std::string> JsonView::AsString() const {
  const json::string* text = value_->if_string();
  if (text == nullptr) return Expected("a string");
  return std::string(text->data(), text->size());
}

Result<bool> JsonView::AsBool() const {
  const bool* flag = value_->if_bool();
  if (flag == nullptr) return Expected("true or false");
  return *flag;
}

Result<std::int64_t> JsonView::AsInt() const {
  // The parser keeps a number as int64 whenever it fits, so a uint64 here is too large.
  const std::int64_t* number = value_->if_int64();
  if (number == nullptr) return Expected("a whole number");
  return *number;
}

Result<std::uint64_t> JsonView::AsUint() const {
  if (const std::uint64_t* number = value_->if_uint64()) return *number;
  const std::int64_t* number = value_->if_int64();
  if (number == nullptr || *number < 0) return Expected("a whole number of 0 or more");
  return static_cast<std::uint64_t>(*number);
}

Result<std::string> JsonView::String(std::string_view key) const {
  BDN_ASSIGN(const JsonView member, Get(key));
  return member.AsString();
}

Result<bool> JsonView::Bool(std::string_view key) const {
  BDN_ASSIGN(const JsonView member, Get(key));
  return member.AsBool();
}

Result<std::int64_t> JsonView::Int(std::string_view key) const {
  BDN_ASSIGN(const JsonView member, Get(key));
  return member.AsInt();
}

Result<std::uint64_t> JsonView::Uint(std::string_view key) const {
  BDN_ASSIGN(const JsonView member, Get(key));
  return member.AsUint();
}

Result<std::string> JsonView::StringOr(std::string_view key, std::string_view otherwise) const {
  BDN_ASSIGN(const auto member, Find(key));
  if (!member) return std::string(otherwise);
  return member->AsString();
}

Result<bool> JsonView::BoolOr(std::string_view key, bool otherwise) const {
  BDN_ASSIGN(const auto member, Find(key));
  if (!member) return otherwise;
  return member->AsBool();
}

Result<std::int64_t> JsonView::IntOr(std::string_view key, std::int64_t otherwise) const {
  BDN_ASSIGN(const auto member, Find(key));
  if (!member) return otherwise;
  return member->AsInt();
}

Result<std::uint64_t> JsonView::UintOr(std::string_view key, std::uint64_t otherwise) const {
  BDN_ASSIGN(const auto member, Find(key));
  if (!member) return otherwise;
  return member->AsUint();
}

Result<std::vector<std::string>> JsonView::StringsOr(std::string_view key) const {
  std::vector<std::string> strings;
  BDN_ASSIGN(const auto member, Find(key));
  if (!member) return strings;
  BDN_ASSIGN(const auto items, member->Items());
  for (const JsonView& item : items) {
    BDN_ASSIGN(std::string text, item.AsString());
    strings.push_back(std::move(text));
  }
  return strings;
}

}  // namespace bdn::codec
