#include "api/testing/openapi_document.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include <boost/json.hpp>

#include "base/check.h"

namespace bdn::api::testing {
namespace {

namespace json = boost::json;

const json::object& Document() {
  static const json::value document = [] {
    std::ifstream file(BDN_OPENAPI_JSON);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    boost::system::error_code failed;
    json::value parsed = json::parse(text, failed);
    BDN_CHECK(!failed && parsed.is_object());
    return parsed;
  }();
  return document.get_object();
}

const json::object* Member(const json::object* from, std::string_view name) {
  const json::value* v = from == nullptr ? nullptr : from->if_contains(name);
  return v == nullptr ? nullptr : v->if_object();
}

// Follows "#/components/<kind>/<name>".
const json::object* Resolve(const json::object* node) {
  while (node != nullptr) {
    const json::value* ref = node->if_contains("$ref");
    if (ref == nullptr) return node;
    const std::string path(ref->as_string());
    const std::size_t slash = path.rfind('/');
    const std::size_t kind = path.rfind('/', slash - 1);
    node =
        Member(Member(Member(&Document(), "components"), path.substr(kind + 1, slash - kind - 1)),
               path.substr(slash + 1));
  }
  return nullptr;
}

bool HasType(const json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  return type == "number" && value.is_number();
}

void Check(const json::object* schema,
           const json::value& value,
           const std::string& at,
           std::vector<std::string>& wrong);

void CheckObject(const json::object& schema,
                 const json::object& value,
                 const std::string& at,
                 std::vector<std::string>& wrong) {
  const json::object* properties = Member(&schema, "properties");
  const json::object* others = Member(&schema, "additionalProperties");
  for (const auto& member : value) {
    const std::string name(member.key());
    const json::object* known = Member(properties, name);
    if (known == nullptr) known = others;
    if (known == nullptr) {
      wrong.push_back(at + "." + name + " is not documented");
    } else {
      Check(known, member.value(), at + "." + name, wrong);
    }
  }
  if (const json::value* required = schema.if_contains("required")) {
    for (const auto& name : required->as_array()) {
      if (!value.contains(name.as_string())) {
        wrong.push_back(at + "." + std::string(name.as_string()) + " is missing");
      }
    }
  }
}

void Check(const json::object* schema,
           const json::value& value,
           const std::string& at,
           std::vector<std::string>& wrong) {
  schema = Resolve(schema);
  if (schema == nullptr) {
    wrong.push_back(at + ": the document has no schema");
    return;
  }
  if (const json::value* choices = schema->if_contains("anyOf")) {
    std::vector<std::string> last;
    for (const auto& choice : choices->as_array()) {
      last.clear();
      Check(choice.if_object(), value, at, last);
      if (last.empty()) return;
    }
    wrong.insert(wrong.end(), last.begin(), last.end());
    return;
  }
  const json::value* type = schema->if_contains("type");
  bool fits = type == nullptr;
  if (type != nullptr && type->is_string()) fits = HasType(value, type->as_string());
  if (type != nullptr && type->is_array()) {
    for (const auto& one : type->as_array()) fits = fits || HasType(value, one.as_string());
  }
  if (!fits) {
    wrong.push_back(at + " has another type than documented");
    return;
  }
  if (value.is_object()) CheckObject(*schema, value.get_object(), at, wrong);
  if (value.is_array()) {
    for (const auto& item : value.get_array()) {
      Check(Member(schema, "items"), item, at + "[]", wrong);
    }
  }
}

}  // namespace

std::vector<std::string> SortedRoutes(std::vector<std::string> routes) {
  for (auto& route : routes) {
    for (auto at = route.find("...}"); at != std::string::npos; at = route.find("...}")) {
      route.erase(at, 3);
    }
  }
  std::sort(routes.begin(), routes.end());
  return routes;
}

std::vector<std::string> DocumentedRoutes(std::string_view tag) {
  std::vector<std::string> routes;
  for (const auto& path : *Member(&Document(), "paths")) {
    for (const auto& operation : path.value().as_object()) {
      if (!operation.value().is_object()) continue;  // "parameters", "summary"
      const auto* tags = operation.value().as_object().if_contains("tags");
      if (tags == nullptr) continue;
      const auto& list = tags->as_array();
      if (std::find(list.begin(), list.end(), json::value(tag)) == list.end()) continue;
      std::string method(operation.key());
      std::transform(method.begin(), method.end(), method.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      routes.push_back(method + " " + std::string(path.key()));
    }
  }
  std::sort(routes.begin(), routes.end());
  return routes;
}

std::vector<std::string> Deviations(std::string_view operation, int status, std::string_view text) {
  const std::size_t blank = operation.find(' ');
  std::string method(operation.substr(0, blank));
  std::transform(method.begin(), method.end(), method.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const json::object* responses =
      Member(Member(Member(Member(&Document(), "paths"), operation.substr(blank + 1)), method),
             "responses");
  const json::object* response = Resolve(Member(responses, std::to_string(status)));
  if (response == nullptr) response = Resolve(Member(responses, "default"));
  const json::object* schema =
      Member(Member(Member(response, "content"), "application/json"), "schema");
  if (schema == nullptr) {
    return {std::string(operation) + " documents no JSON answer " + std::to_string(status)};
  }
  boost::system::error_code failed;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), failed);
  if (failed) return {std::string(operation) + " did not answer JSON"};
  std::vector<std::string> wrong;
  Check(schema, value, std::string(operation), wrong);
  return wrong;
}

}  // namespace bdn::api::testing
