#include "model/python_tokens.h"

#include <algorithm>

#include <fmt/format.h>

#include "codec/utf8.h"

namespace bdn::model {
namespace {

constexpr int kBracketsMax = 200;
constexpr int kNestedStringsMax = 50;

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool IsPyDigit(char c) {
  return c >= '0' && c <= '9';
}

bool IsStringPrefix(std::string_view name) {
  return name.size() <= 2 && name.find_first_not_of("rRbBuUfFtT") == std::string_view::npos;
}

bool HasLetter(std::string_view text, char lower) {
  return text.find(lower) != std::string_view::npos ||
         text.find(static_cast<char>(lower - 'a' + 'A')) != std::string_view::npos;
}

class Tokenizer {
 public:
  explicit Tokenizer(std::string_view text) : text_(text) {}

  std::optional<PyTokens> Run(int& error_line) {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
    bool good = codec::IsUtf8(text_) && text_.find('\0') == std::string_view::npos;
    while (good && at_ < text_.size()) good = Next();
    good = good && open_.empty();
    error_line = line_;
    if (!good) return std::nullopt;
    EndStatement(text_.size());
    return std::move(out_);
  }

 private:
  char Peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  int Depth() const { return static_cast<int>(open_.size()); }

  void Push(PyKind kind, std::size_t begin, int line) {
    out_.tokens.push_back({kind, begin, at_, line, Depth(), 0});
  }

  void EndStatement(std::size_t begin) {
    if (!out_.tokens.empty() && out_.tokens.back().kind == PyKind::kNewline) return;
    out_.tokens.push_back({PyKind::kNewline, begin, at_, line_, 0, 0});
  }

  // "\n", "\r\n" or "\r".
  bool SkipLineEnd() {
    if (Peek() != '\n' && Peek() != '\r') return false;
    at_ += Peek() == '\r' && Peek(1) == '\n' ? 2 : 1;
    ++line_;
    return true;
  }

  bool Next() {
    const char c = Peek();
    const std::size_t begin = at_;
    if (c == ' ' || c == '\t' || c == '\f') {
      ++at_;
      return true;
    }
    if (c == '\n' || c == '\r') {
      if (open_.empty()) EndStatement(begin);
      return SkipLineEnd();
    }
    if (c == '#') {
      at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
      out_.comments.push_back({begin, at_});
      return true;
    }
    if (c == '\\') {
      ++at_;
      return SkipLineEnd();
    }
    if (IsNameStart(c)) return Name();
    if (c == '"' || c == '\'') return String(begin);
    if (IsPyDigit(c) || (c == '.' && IsPyDigit(Peek(1)))) return Numeral();
    return Operator();
  }

  bool Name() {
    const std::size_t begin = at_;
    while (IsNameStart(Peek()) || IsPyDigit(Peek())) ++at_;
    const bool quote = Peek() == '"' || Peek() == '\'';
    if (quote && IsStringPrefix(text_.substr(begin, at_ - begin))) return String(begin);
    Push(PyKind::kName, begin, line_);
    return true;
  }

  bool Numeral() {
    const std::size_t begin = at_;
    while (IsNameStart(Peek()) || IsPyDigit(Peek()) || Peek() == '.') ++at_;
    Push(PyKind::kNumber, begin, line_);
    return true;
  }

  bool Operator() {
    const std::size_t begin = at_;
    const char c = Peek();
    if (c == '(' || c == '[' || c == '{') {
      if (Depth() >= kBracketsMax) return false;
      ++at_;
      Push(PyKind::kOperator, begin, line_);
      open_.push_back(out_.tokens.size() - 1);
      return true;
    }
    if (c == ')' || c == ']' || c == '}') {
      if (open_.empty()) return false;
      const std::size_t opener = open_.back();
      const char o = text_[out_.tokens[opener].begin];
      if ((c == ')') != (o == '(') || (c == ']') != (o == '[')) return false;
      open_.pop_back();
      ++at_;
      Push(PyKind::kOperator, begin, line_);
      out_.tokens.back().match = opener;
      out_.tokens[opener].match = out_.tokens.size() - 1;
      return true;
    }
    if (std::string_view("=!<>:+-*/%@&|^~.,;$?`").find(c) == std::string_view::npos) return false;
    ++at_;
    const bool doubled = (c == '*' || c == '/' || c == '<' || c == '>') && Peek() == c;
    if (doubled) ++at_;
    const bool assigns = std::string_view("=!<>:+-*/%@&|^").find(c) != std::string_view::npos;
    if (assigns && Peek() == '=') ++at_;
    Push(PyKind::kOperator, begin, line_);
    return true;
  }

  bool String(std::size_t begin) {
    const int line = line_;
    if (!ScanString(begin, 0)) return false;
    Push(PyKind::kString, begin, line);
    return true;
  }

  // At the quote; the prefix began at `begin`. Ends after the string.
  bool ScanString(std::size_t begin, int nested) {
    if (nested > kNestedStringsMax) return false;
    const std::string_view prefix = text_.substr(begin, at_ - begin);
    const bool formatted = HasLetter(prefix, 'f') || HasLetter(prefix, 't');
    const char quote = Peek();
    const bool triple = Peek(1) == quote && Peek(2) == quote;
    const std::size_t width = triple ? 3 : 1;
    at_ += width;
    while (at_ < text_.size()) {
      const char c = Peek();
      if (c == quote && (!triple || (Peek(1) == quote && Peek(2) == quote))) {
        at_ += width;
        return true;
      }
      if (c == '\\') {
        ++at_;
        if (!SkipLineEnd()) ++at_;
      } else if (c == '\n' || c == '\r') {
        if (!triple) return false;
        SkipLineEnd();
      } else if (formatted && c == '{') {
        ++at_;
        if (Peek() == '{') {
          ++at_;
        } else if (!ScanReplacement(quote, triple, nested)) {
          return false;
        }
      } else {
        ++at_;
      }
    }
    return false;
  }

  // After the '{' of a replacement field; ends after its '}'. A quote that would end the string
  // begins one here (PEP 701), except in a format specification, which is text.
  bool ScanReplacement(char quote, bool triple, int nested) {
    if (nested > kNestedStringsMax) return false;
    int depth = 0;
    bool text = false;
    while (at_ < text_.size()) {
      const char c = Peek();
      if (c == '\n' || c == '\r') {
        if (!triple && depth == 0 && text) return false;
        SkipLineEnd();
      } else if (c == '}' && depth == 0) {
        ++at_;
        return true;
      } else if (text) {
        if (c == quote && !triple) return false;
        ++at_;
        if (c == '{' && !ScanReplacement(quote, triple, nested + 1)) return false;
      } else if (c == '"' || c == '\'') {
        std::size_t begin = at_;
        while (begin > 0 && IsNameStart(text_[begin - 1])) --begin;
        if (!IsStringPrefix(text_.substr(begin, at_ - begin))) return false;
        if (!ScanString(begin, nested + 1)) return false;
      } else if (c == '#') {
        at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
      } else {
        if (c == '(' || c == '[' || c == '{') ++depth;
        if (c == ')' || c == ']' || c == '}') --depth;
        if (depth < 0) return false;
        text = c == ':' && depth == 0;
        ++at_;
      }
    }
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<std::size_t> open_;  // indexes of brackets
  PyTokens out_;
};

std::optional<char> PlainEscape(char c) {
  switch (c) {
    case '\\':
    case '\'':
    case '"':
      return c;
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return std::nullopt;
  }
}

}  // namespace

bool PyTokens::HasCommentIn(std::size_t begin, std::size_t end) const {
  const auto first =
      std::lower_bound(comments.begin(), comments.end(), begin,
                       [](const PyRange& c, std::size_t at) { return c.begin < at; });
  return first != comments.end() && first->begin < end;
}

std::optional<PyTokens> TokenizePython(std::string_view text, int& error_line) {
  return Tokenizer(text).Run(error_line);
}

std::optional<std::string> PythonStringValue(std::string_view literal) {
  const auto start = literal.find_first_of("'\"");
  if (start == std::string_view::npos) return std::nullopt;
  const std::string_view prefix = literal.substr(0, start);
  if (HasLetter(prefix, 'b') || HasLetter(prefix, 'f') || HasLetter(prefix, 't')) {
    return std::nullopt;
  }
  std::string_view body = literal.substr(start);
  const bool triple = body.size() >= 6 && body[1] == body[0] && body[2] == body[0];
  const std::size_t width = triple ? 3 : 1;
  if (body.size() < 2 * width) return std::nullopt;
  body = body.substr(width, body.size() - 2 * width);
  if (HasLetter(prefix, 'r')) return std::string(body);
  std::string value;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] != '\\') {
      value += body[i];
      continue;
    }
    if (++i == body.size()) return std::nullopt;
    const auto plain = PlainEscape(body[i]);
    if (!plain) return std::nullopt;
    value += *plain;
  }
  return value;
}

std::string PythonLiteral(std::string_view value, char quote) {
  std::string out(1, quote);
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + quote;
}

}  // namespace bdn::model
