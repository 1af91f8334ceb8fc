#include "model/python_edit.h"

#include <algorithm>
#include <utility>

namespace bdn::model {

std::size_t PyEditor::LineStart(std::size_t at) const {
  const auto newline = at == 0 ? std::string_view::npos : text_.find_last_of("\r\n", at - 1);
  return newline == std::string_view::npos ? 0 : newline + 1;
}

std::size_t PyEditor::LineEnd(std::size_t at) const {
  return std::min(text_.find_first_of("\r\n", at), text_.size());
}

std::size_t PyEditor::AfterLineEnd(std::size_t at) const {
  if (at < text_.size() && text_[at] == '\r') ++at;
  if (at < text_.size() && text_[at] == '\n') ++at;
  return at;
}

std::size_t PyEditor::SkipBlanks(std::size_t at) const {
  while (at < text_.size() && (text_[at] == ' ' || text_[at] == '\t')) ++at;
  return at;
}

bool PyEditor::StartsLine(std::size_t at) const {
  return SkipBlanks(LineStart(at)) == at;
}

void PyEditor::Replace(std::size_t begin, std::size_t end, std::string text) {
  edits_.push_back({begin, end, std::move(text)});
}

void PyEditor::RemoveLines(std::size_t begin, std::size_t end) {
  Replace(LineStart(begin), AfterLineEnd(LineEnd(end)), {});
}

void PyEditor::RemoveOne(const PyItem& item) {
  const std::size_t end = item.comma_end == 0 ? item.end : item.comma_end;
  const std::size_t next = SkipBlanks(end);
  const bool comment = next < text_.size() && text_[next] == '#';
  const bool ends_line = next == LineEnd(end) || comment;
  if (StartsLine(item.begin)) {
    if (ends_line && !comment) return RemoveLines(item.begin, end);
    // A comment or the next item moves to its place.
    return Replace(item.begin, item.comma_end == 0 ? end : next, {});
  }
  if (!ends_line) return Replace(item.begin, item.comma_end == 0 ? end : next, {});
  std::size_t begin = item.begin;
  while (begin > 0 && (text_[begin - 1] == ' ' || text_[begin - 1] == '\t')) --begin;
  Replace(begin, end, {});
}

void PyEditor::Remove(const std::vector<PyItem>& items,
                      const std::vector<bool>& remove,
                      bool brackets) {
  // The items at the end that go, from the first of them.
  std::size_t tail = items.size();
  while (tail > 0 && remove[tail - 1]) --tail;
  if (tail > 0 && tail < items.size() && items.back().comma_end == 0) {
    const std::size_t begin = items[tail - 1].end;
    const std::size_t end = items.back().end;
    // A comment between them stays.
    const bool one_line = LineStart(begin) == LineStart(end);
    const bool plain =
        tail + 1 == items.size() &&
        text_.substr(begin, items.back().begin - begin).find('#') == std::string_view::npos;
    const bool closes = SkipBlanks(end) != LineEnd(end);
    if (!brackets || one_line || (plain && closes)) {
      Replace(begin, end, {});
    } else {
      tail = items.size();
    }
  } else {
    tail = items.size();
  }
  for (std::size_t i = 0; i < tail; ++i) {
    if (remove[i]) RemoveOne(items[i]);
  }
}

void PyEditor::InsertAfter(const PyItem& item, const std::vector<std::string>& more) {
  const std::size_t line = LineStart(item.begin);
  if (StartsLine(item.begin) && item.comma_end != 0) {
    const std::size_t next = SkipBlanks(item.comma_end);
    const std::size_t end = LineEnd(item.comma_end);
    const bool removed = std::any_of(edits_.begin(), edits_.end(), [&](const PyEdit& edit) {
      return edit.begin <= item.end && edit.end > end;
    });
    if (!removed && (next == end || text_[next] == '#')) {
      const std::string eol(text_.substr(end, AfterLineEnd(end) - end));
      std::string lines;
      for (const std::string& one : more) {
        lines += eol + std::string(text_.substr(line, item.begin - line)) + one + ",";
      }
      return Replace(end, end, lines);
    }
  }
  std::string text;
  for (const std::string& one : more) text += ", " + one;
  Replace(item.end, item.end, text);
}

std::optional<std::string> PyEditor::Apply() const {
  std::vector<PyEdit> sorted = edits_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const PyEdit& a, const PyEdit& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::string out;
  std::size_t at = 0;
  bool removing = false;
  for (const PyEdit& edit : sorted) {
    if (edit.begin < at) {
      // Two removals may share blanks.
      if (!removing || !edit.text.empty()) return std::nullopt;
      at = std::max(at, edit.end);
      continue;
    }
    out.append(text_.substr(at, edit.begin - at)).append(edit.text);
    at = edit.end;
    removing = edit.text.empty();
  }
  return out.append(text_.substr(at));
}

}  // namespace bdn::model
