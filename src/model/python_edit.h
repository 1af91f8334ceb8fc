#pragma once
// Internal to model: changes of items in a comma-separated list of Python source, with the rest of
// the lines and every comment kept.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bdn::model {

struct PyEdit {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string text;
};

// One item: an argument of a call, a name of an import.
struct PyItem {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t comma_end = 0;  // after the comma that follows it; 0 when none does
};

class PyEditor {
 public:
  explicit PyEditor(std::string_view text) : text_(text) {}

  void Replace(std::size_t begin, std::size_t end, std::string text);
  // Takes items away; never all of them. `brackets`: the list stands in brackets, where a comma
  // may be last.
  void Remove(const std::vector<PyItem>& items, const std::vector<bool>& remove, bool brackets);
  // Puts `more` after an item: on lines of their own when the item has one.
  void InsertAfter(const PyItem& item, const std::vector<std::string>& more);
  // Takes whole lines away.
  void RemoveLines(std::size_t begin, std::size_t end);

  bool StartsLine(std::size_t at) const;
  std::size_t LineStart(std::size_t at) const;
  std::size_t LineEnd(std::size_t at) const;  // of the line, before its line end
  // The text with every change; nullopt when two of them overlap.
  std::optional<std::string> Apply() const;

 private:
  std::size_t SkipBlanks(std::size_t at) const;
  std::size_t AfterLineEnd(std::size_t at) const;
  void RemoveOne(const PyItem& item);

  std::string_view text_;
  std::vector<PyEdit> edits_;
};

}  // namespace bdn::model
