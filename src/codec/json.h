#pragma once
// JSON over Boost.JSON: parsing with limits, getters whose errors name the place, and one-line
// output. Boost.JSON throws from many accessors; code that stays with the functions of this file
// never meets an exception, whatever the input.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "base/result.h"

namespace bdn::codec {

struct JsonLimits {
  std::size_t bytes_max = 64u << 20;
  std::size_t depth_max = 32;  // arrays and objects inside one another
};

// RFC 8259, strictly: no comments, no trailing commas, UTF-8 only, one value. Of duplicate keys the
// last wins. Errors: kInvalidArgument with line and column; kResourceExhausted over a limit.
Result<boost::json::value> ParseJson(std::string_view text, const JsonLimits& limits = {});

// Minified, on one line, keys in insertion order, not ended by a newline.
std::string SerializeJson(const boost::json::value& value);
// Appends `text` as a JSON string with its quotes. `text` is UTF-8; it is not checked.
void AppendJsonString(std::string& out, std::string_view text);

// A value together with its path in the document ("resolved.target.relative_key"), for readers of
// API bodies. Borrows the value. Every error is kInvalidArgument and names the path.
class JsonView {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): a value is a view of itself at the root.
  JsonView(const boost::json::value& value, std::string path = {})
      : value_(&value), path_(std::move(path)) {}

  const boost::json::value& value() const { return *value_; }
  const std::string& path() const { return path_; }

  // A member of this object. Get: an error when it is missing. Find: nullopt when it is missing or
  // null; an error only when this value is not an object.
  Result<JsonView> Get(std::string_view key) const;
  Result<std::optional<JsonView>> Find(std::string_view key) const;
  // The elements of this array.
  Result<std::vector<JsonView>> Items() const;

  Result<std::string> AsString() const;
  Result<bool> AsBool() const;
  // Whole numbers only; 1.0 is not one.
  Result<std::int64_t> AsInt() const;
  Result<std::uint64_t> AsUint() const;

  // Shorthands: required members of this object.
  Result<std::string> String(std::string_view key) const;
  Result<bool> Bool(std::string_view key) const;
  Result<std::int64_t> Int(std::string_view key) const;
  Result<std::uint64_t> Uint(std::string_view key) const;
  // Optional members: the default when missing or null, an error when of another type.
  Result<std::string> StringOr(std::string_view key, std::string_view otherwise) const;
  Result<bool> BoolOr(std::string_view key, bool otherwise) const;
  Result<std::int64_t> IntOr(std::string_view key, std::int64_t otherwise) const;
  Result<std::uint64_t> UintOr(std::string_view key, std::uint64_t otherwise) const;
  // An array of strings; empty when missing or null.
  Result<std::vector<std::string>> StringsOr(std::string_view key) const;

 private:
  Error Expected(std::string_view what) const;
  std::string Below(std::string_view key) const;

  const boost::json::value* value_;
  std::string path_;
};

}  // namespace bdn::codec
