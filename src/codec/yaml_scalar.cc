// What plain scalars mean: the implicit resolvers and constructors of PyYAML's SafeLoader, which
// follow YAML 1.1 with a few differences of its own (an exponent needs a sign and a fraction).
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "codec/yaml.h"

namespace bdn::codec {
namespace {

constexpr std::array<std::string_view, 9> kTrue{"yes",  "Yes", "YES", "true", "True",
                                                "TRUE", "on",  "On",  "ON"};
constexpr std::array<std::string_view, 9> kFalse{"no",    "No",  "NO",  "false", "False",
                                                 "FALSE", "off", "Off", "OFF"};

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// Reads the longest run of characters that `accept` takes; returns how many.
template <class Accept>
std::size_t Take(std::string_view& text, Accept accept) {
  std::size_t count = 0;
  while (count < text.size() && accept(text[count])) ++count;
  text.remove_prefix(count);
  return count;
}

bool IsDigitOrUnderscore(char c) {
  return IsDigit(c) || c == '_';
}

void TakeSign(std::string_view& text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
}

// (:[0-5]?[0-9])+
bool TakeSexagesimal(std::string_view& text) {
  bool any = false;
  while (text.size() >= 2 && text[0] == ':' && IsDigit(text[1])) {
    const bool two = text.size() >= 3 && text[1] <= '5' && IsDigit(text[2]);
    text.remove_prefix(two ? 3 : 2);
    any = true;
  }
  return any;
}

bool IsInt(std::string_view text) {
  TakeSign(text);
  if (text.empty() || !IsDigit(text[0])) return false;
  if (text == "0") return true;
  if (text[0] == '0') {
    if (text[1] == 'b') {
      return text.size() > 2 && text.find_first_not_of("01_", 2) == std::string_view::npos;
    }
    if (text[1] == 'x') {
      return text.size() > 2 &&
             text.find_first_not_of("0123456789abcdefABCDEF_", 2) == std::string_view::npos;
    }
    return text.find_first_not_of("01234567_", 1) == std::string_view::npos;
  }
  Take(text, IsDigitOrUnderscore);
  if (!text.empty()) TakeSexagesimal(text);
  return text.empty();
}

bool IsFloat(std::string_view text) {
  if (text == ".nan" || text == ".NaN" || text == ".NAN") return true;
  const auto take_exponent = [&] {
    if (text.empty()) return true;
    if (text[0] != 'e' && text[0] != 'E') return false;
    text.remove_prefix(1);
    if (text.empty() || (text[0] != '+' && text[0] != '-')) return false;
    text.remove_prefix(1);
    return Take(text, IsDigit) > 0 && text.empty();
  };
  if (text.size() >= 2 && text[0] == '.' && IsDigit(text[1])) {
    text.remove_prefix(1);
    Take(text, IsDigitOrUnderscore);
    return take_exponent();
  }
  TakeSign(text);
  if (text == ".inf" || text == ".Inf" || text == ".INF") return true;
  if (text.empty() || !IsDigit(text[0])) return false;
  Take(text, IsDigitOrUnderscore);
  const bool sexagesimal = TakeSexagesimal(text);
  if (text.empty() || text[0] != '.') return false;
  text.remove_prefix(1);
  Take(text, IsDigitOrUnderscore);
  return sexagesimal ? text.empty() : take_exponent();
}

struct Timestamp {
  int year = 0, month = 0, day = 0;
  bool has_time = false;
  int hour = 0, minute = 0, second = 0;
  std::string fraction;  // six digits, or empty
  std::string zone;      // "+05:30", or empty
};

// yyyy-mm-dd, or with a time: yyyy-m-d [Tt or blanks] h:mm:ss[.f] [Z or ±h[:mm]].
std::optional<Timestamp> ReadTimestamp(std::string_view text) {
  Timestamp t;
  bool ok = true;
  const auto number = [&](std::size_t least, std::size_t most) {
    std::size_t digits = 0;
    int value = 0;
    while (digits < most && digits < text.size() && IsDigit(text[digits])) {
      value = value * 10 + (text[digits++] - '0');
    }
    ok = ok && digits >= least;
    text.remove_prefix(digits);
    return value;
  };
  const auto literal = [&](char c) {
    ok = ok && text.starts_with(c);
    if (ok) text.remove_prefix(1);
  };
  const std::size_t size = text.size();
  t.year = number(4, 4);
  literal('-');
  t.month = number(1, 2);
  literal('-');
  t.day = number(1, 2);
  if (!ok) return std::nullopt;
  if (text.empty()) return size == 10 ? std::optional(t) : std::nullopt;
  t.has_time = true;
  const bool letter = text[0] == 'T' || text[0] == 't';
  if (letter) text.remove_prefix(1);
  if (!letter && Take(text, [](char c) { return c == ' ' || c == '\t'; }) == 0) return std::nullopt;
  t.hour = number(1, 2);
  literal(':');
  t.minute = number(2, 2);
  literal(':');
  t.second = number(2, 2);
  if (ok && text.starts_with('.')) {
    text.remove_prefix(1);
    const std::string_view rest = text;
    t.fraction = std::string(rest.substr(0, std::min<std::size_t>(6, Take(text, IsDigit))));
    t.fraction.resize(6, '0');
    if (t.fraction == "000000") t.fraction.clear();
  }
  std::string_view blanks = text;
  Take(blanks, [](char c) { return c == ' ' || c == '\t'; });
  if (ok && blanks == "Z") {
    t.zone = "+00:00";
    return t;
  }
  if (ok && !text.empty() && !blanks.empty() && (blanks[0] == '+' || blanks[0] == '-')) {
    const char sign = blanks[0];
    text = blanks.substr(1);
    const int hours = number(1, 2);
    int minutes = 0;
    if (text.starts_with(':')) {
      text.remove_prefix(1);
      minutes = number(2, 2);
    }
    t.zone = fmt::format("{}{:02}:{:02}", sign, hours, minutes);
  }
  return ok && text.empty() ? std::optional(t) : std::nullopt;
}

template <std::size_t N>
bool IsOneOf(const std::array<std::string_view, N>& words, std::string_view text) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

std::string WithoutUnderscores(std::string_view text) {
  std::string out(text);
  out.erase(std::remove(out.begin(), out.end(), '_'), out.end());
  return out;
}

}  // namespace

std::optional<YamlType> ResolvePlainScalar(std::string_view text) {
  if (text == "<<") return std::nullopt;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return YamlType::kNull;
  }
  if (IsOneOf(kTrue, text) || IsOneOf(kFalse, text)) return YamlType::kBool;
  if (IsInt(text)) return YamlType::kInt;
  if (IsFloat(text)) return YamlType::kFloat;
  if (ReadTimestamp(text)) return YamlType::kTimestamp;
  return YamlType::kString;
}

std::optional<bool> YamlNode::AsBool() const {
  if (type != YamlType::kBool) return std::nullopt;
  return IsOneOf(kTrue, text);
}

std::optional<std::int64_t> YamlNode::AsInt() const {
  if (type != YamlType::kInt) return std::nullopt;
  std::string digits = WithoutUnderscores(text);
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.erase(0, 1);
  std::uint64_t value = 0;
  const auto read = [&value](std::string_view part, int base) {
    if (part.empty()) return false;
    const auto [stop, ec] = std::from_chars(part.data(), part.data() + part.size(), value, base);
    return ec == std::errc() && stop == part.data() + part.size();
  };
  const std::string_view view = digits;
  if (view.starts_with("0b")) {
    if (!read(view.substr(2), 2)) return std::nullopt;
  } else if (view.starts_with("0x")) {
    if (!read(view.substr(2), 16)) return std::nullopt;
  } else if (view.size() > 1 && view[0] == '0') {
    if (!read(view.substr(1), 8)) return std::nullopt;
  } else {
    std::uint64_t total = 0;
    for (std::string_view left = view; !left.empty();) {
      const auto colon = left.find(':');
      if (!read(left.substr(0, colon), 10)) return std::nullopt;
      if (total > (std::numeric_limits<std::uint64_t>::max() - value) / 60) return std::nullopt;
      total = total * 60 + value;
      left = colon == std::string_view::npos ? std::string_view() : left.substr(colon + 1);
    }
    value = total;
  }
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value > kMax + (negative ? 1 : 0)) return std::nullopt;
  return negative ? static_cast<std::int64_t>(0 - value) : static_cast<std::int64_t>(value);
}

std::optional<double> YamlNode::AsFloat() const {
  if (type != YamlType::kFloat) return std::nullopt;
  std::string digits = WithoutUnderscores(text);
  const double sign = digits.starts_with('-') ? -1 : 1;
  if (digits.starts_with('-') || digits.starts_with('+')) digits.erase(0, 1);
  std::transform(digits.begin(), digits.end(), digits.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (digits == ".inf") return sign * std::numeric_limits<double>::infinity();
  if (digits == ".nan") return std::numeric_limits<double>::quiet_NaN();
  double total = 0;
  for (std::string_view left = digits; !left.empty();) {
    const auto colon = left.find(':');
    const std::string_view part = left.substr(0, colon);
    double value = 0;
    const auto [stop, ec] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (ec == std::errc::invalid_argument) return std::nullopt;
    total = total * 60 + value;
    left = colon == std::string_view::npos ? std::string_view() : left.substr(colon + 1);
  }
  return sign * total;
}

std::string YamlNode::PythonText() const {
  switch (type) {
    case YamlType::kNull:
      return "None";
    case YamlType::kBool:
      return *AsBool() ? "True" : "False";
    case YamlType::kInt: {
      if (const auto value = AsInt()) return fmt::format("{}", *value);
      // Python's integers have no end; the digits are the value.
      std::string digits = WithoutUnderscores(text);
      if (digits.starts_with('+')) digits.erase(0, 1);
      return digits;
    }
    case YamlType::kFloat: {
      const auto value = AsFloat();
      if (!value) return text;
      std::string out = fmt::format("{}", *value);
      // "-0" for -0.0 and "1" for 1.0, where Python has "-0.0" and "1.0".
      if (out.find_first_not_of("-0123456789") == std::string::npos) out += ".0";
      return std::isnan(*value) ? "nan" : out;
    }
    case YamlType::kTimestamp: {
      const auto t = ReadTimestamp(text);
      if (!t) return text;
      std::string out = fmt::format("{:04}-{:02}-{:02}", t->year, t->month, t->day);
      if (!t->has_time) return out;
      out += fmt::format(" {:02}:{:02}:{:02}", t->hour, t->minute, t->second);
      if (!t->fraction.empty()) out += "." + t->fraction;
      return out + t->zone;
    }
    case YamlType::kString:
      return text;
    case YamlType::kSequence:
    case YamlType::kMapping:
      break;
  }
  return {};
}

}  // namespace bdn::codec
