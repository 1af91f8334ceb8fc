#include "model/text_diff.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include <fmt/format.h>

namespace bdn::model {
namespace {

constexpr int kChangesMax = 1000;
constexpr std::size_t kContext = 3;

using Lines = std::vector<std::string_view>;

Lines SplitLines(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const auto newline = text.find('\n');
    const std::size_t length = newline == std::string_view::npos ? text.size() : newline + 1;
    lines.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return lines;
}

// One line of the answer: taken from both, only from the first, or only from the second.
struct Edit {
  char kind;  // ' ', '-', '+'
  std::string_view line;
};

// Myers' greedy search over the part that differs; `trace` keeps the frontier of every step.
// False when it takes more than kChangesMax changes.
bool Search(const Lines& a, const Lines& b, std::vector<std::vector<int>>& trace) {
  const int n = static_cast<int>(a.size());
  const int m = static_cast<int>(b.size());
  const int limit = std::min(n + m, kChangesMax);
  std::vector<int> frontier(static_cast<std::size_t>(2 * limit + 3), 0);
  const auto at = [&](int k) -> int& { return frontier[static_cast<std::size_t>(k + limit + 1)]; };
  for (int d = 0; d <= limit; ++d) {
    trace.emplace_back();
    for (int k = -d; k <= d; ++k) trace.back().push_back(at(k));
    for (int k = -d; k <= d; k += 2) {
      int x = k == -d || (k != d && at(k - 1) < at(k + 1)) ? at(k + 1) : at(k - 1) + 1;
      while (x < n && x - k < m &&
             a[static_cast<std::size_t>(x)] == b[static_cast<std::size_t>(x - k)]) {
        ++x;
      }
      at(k) = x;
      if (x >= n && x - k >= m) return true;
    }
  }
  return false;
}

std::vector<Edit> Middle(const Lines& a, const Lines& b) {
  std::vector<Edit> edits;
  std::vector<std::vector<int>> trace;
  if (!Search(a, b, trace)) {
    for (const auto line : a) edits.push_back({'-', line});
    for (const auto line : b) edits.push_back({'+', line});
    return edits;
  }
  int x = static_cast<int>(a.size());
  int y = static_cast<int>(b.size());
  for (int d = static_cast<int>(trace.size()) - 1; d >= 0; --d) {
    const auto& frontier = trace[static_cast<std::size_t>(d)];
    const auto at = [&](int k) {
      return k < -d || k > d ? 0 : frontier[static_cast<std::size_t>(k + d)];
    };
    const int k = x - y;
    const int before = k == -d || (k != d && at(k - 1) < at(k + 1)) ? k + 1 : k - 1;
    const int x0 = d == 0 ? 0 : at(before);
    const int y0 = d == 0 ? 0 : x0 - before;
    while (x > x0 && y > y0) {
      edits.push_back({' ', a[static_cast<std::size_t>(--x)]});
      --y;
    }
    if (d == 0) break;
    if (x == x0) {
      edits.push_back({'+', b[static_cast<std::size_t>(--y)]});
    } else {
      edits.push_back({'-', a[static_cast<std::size_t>(--x)]});
    }
  }
  std::reverse(edits.begin(), edits.end());
  return edits;
}

std::vector<Edit> EditsOf(Lines a, Lines b) {
  std::vector<Edit> edits;
  std::size_t head = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  std::size_t tail = 0;
  while (tail < a.size() - head && tail < b.size() - head &&
         a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) {
    ++tail;
  }
  for (std::size_t i = 0; i < head; ++i) edits.push_back({' ', a[i]});
  const Lines end(a.end() - static_cast<std::ptrdiff_t>(tail), a.end());
  const auto part = [&](const Lines& lines) {
    return Lines(lines.begin() + static_cast<std::ptrdiff_t>(head),
                 lines.end() - static_cast<std::ptrdiff_t>(tail));
  };
  for (const Edit& edit : Middle(part(a), part(b))) edits.push_back(edit);
  for (const auto line : end) edits.push_back({' ', line});
  return edits;
}

// "4,2"; a range without lines names the line before it, as diff(1) does.
std::string Range(std::size_t first, std::size_t count) {
  if (count == 1) return fmt::format("{}", first + 1);
  return fmt::format("{},{}", count == 0 ? first : first + 1, count);
}

}  // namespace

std::string UnifiedDiff(std::string_view from,
                        std::string_view to,
                        std::string_view from_label,
                        std::string_view to_label) {
  if (from == to) return {};
  const std::vector<Edit> edits = EditsOf(SplitLines(from), SplitLines(to));
  std::string out = fmt::format("--- {}\n+++ {}\n", from_label, to_label);
  std::size_t from_line = 0;
  std::size_t to_line = 0;
  for (std::size_t i = 0; i < edits.size();) {
    // A hunk begins up to three lines before the next change and ends where more than twice three
    // lines are equal.
    std::size_t change = i;
    while (change < edits.size() && edits[change].kind == ' ') ++change;
    if (change == edits.size()) break;
    const std::size_t begin = std::max(i, change - std::min(change, kContext));
    from_line += begin - i;
    to_line += begin - i;
    std::size_t end = change + 1;
    for (std::size_t j = end, equal = 0; j < edits.size() && equal <= 2 * kContext; ++j) {
      equal = edits[j].kind == ' ' ? equal + 1 : 0;
      if (equal == 0) end = j + 1;
    }
    end = std::min(edits.size(), end + kContext);
    std::string body;
    std::size_t from_count = 0;
    std::size_t to_count = 0;
    for (std::size_t j = begin; j < end; ++j) {
      body += edits[j].kind;
      body += edits[j].line;
      if (!edits[j].line.ends_with('\n')) body += "\n\\ No newline at end of file\n";
      from_count += edits[j].kind == '+' ? 0 : 1;
      to_count += edits[j].kind == '-' ? 0 : 1;
    }
    out += fmt::format("@@ -{} +{} @@\n{}", Range(from_line, from_count), Range(to_line, to_count),
                       body);
    from_line += from_count;
    to_line += to_count;
    i = end;
  }
  return out;
}

}  // namespace bdn::model
