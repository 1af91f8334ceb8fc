#include "cli/terminal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace bdn::cli {
namespace {

constexpr std::size_t kBarCells = 24;
constexpr Duration kRedrawEvery = std::chrono::milliseconds(100);
constexpr Duration kHeartbeatEvery = std::chrono::seconds(10);

// Characters, counting each UTF-8 sequence once.
std::size_t Width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// The first `count` characters of UTF-8 text.
std::string_view Front(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  while (at < text.size() && count > 0) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
    --count;
  }
  return text.substr(0, at);
}

const char* Code(Colour colour) {
  switch (colour) {
    case Colour::kRed:
      return "\x1b[31m";
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kYellow:
      return "\x1b[33m";
    case Colour::kBold:
      return "\x1b[1m";
    case Colour::kDim:
      return "\x1b[2m";
    case Colour::kNone:
      break;
  }
  return "";
}

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) return;  // a closed pipe: nobody reads
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

bool Counting(const api::ProgressBody& p) {
  return p.bytes > 0;
}

double Share(const api::ProgressBody& p) {
  if (p.bytes == 0) return p.phase == "ready" || p.phase == "done" ? 1 : 0;
  return std::min(1.0, static_cast<double>(p.bytes_done) / static_cast<double>(p.bytes));
}

}  // namespace

std::string FormatBytes(double bytes) {
  constexpr std::array<const char*, 6> kUnits{"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  if (unit == 0 || bytes >= 99.95) return fmt::format("{:.0f} {}", bytes, kUnits[unit]);
  return fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

std::string FormatSeconds(double seconds) {
  if (seconds < 0.0995) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string Ellipsize(std::string_view text, std::size_t columns) {
  const std::size_t width = Width(text);
  if (width <= columns) return std::string(text);
  if (columns <= 1) return std::string(Front(text, columns));
  const std::size_t head = (columns - 1) / 2;
  const std::size_t tail = columns - 1 - head;
  const std::string_view skipped = Front(text, width - tail);
  return std::string(Front(text, head)) + "…" + std::string(text.substr(skipped.size()));
}

Terminal::Terminal(Options options)
    : out_is_tty_(isatty(STDOUT_FILENO) == 1),
      err_is_tty_(isatty(STDERR_FILENO) == 1),
      colour_(options.colour) {}

std::size_t Terminal::columns() const {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20) return size.ws_col;
  return 80;
}

void Terminal::Out(std::string_view text) const {
  WriteAll(STDOUT_FILENO, text);
}
void Terminal::Err(std::string_view text) const {
  WriteAll(STDERR_FILENO, text);
}

void Terminal::ShowError(const Error& error) const {
  Err(Paint(Colour::kRed, "error:", true) + " " + error.message() + "\n");
  if (!error.hint().empty()) Err("  " + error.hint() + "\n");
}

void Terminal::ShowWarning(std::string_view text) const {
  Err(Paint(Colour::kYellow, "warning:", true) + " " + std::string(text) + "\n");
}

std::string Terminal::Paint(Colour colour, std::string_view text, bool for_err) const {
  if (!colour_ || !(for_err ? err_is_tty_ : out_is_tty_)) return std::string(text);
  return Code(colour) + std::string(text) + "\x1b[0m";
}

std::string Table::Text(const Terminal& terminal) const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string text;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < rows_[r].size(); ++i) {
      const std::string& cell = rows_[r][i];
      line += cell;
      if (i + 1 < rows_[r].size()) line += std::string(widths[i] - Width(cell) + 2, ' ');
    }
    text += (r == 0 ? terminal.Paint(Colour::kBold, line, false) : line) + "\n";
  }
  return text;
}

std::string BarLine(const ProgressLine& line, std::size_t columns) {
  const api::ProgressBody& p = line.progress;
  std::string right;
  if (Counting(p)) {
    const double share = Share(p);
    const auto cells = static_cast<std::size_t>(share * static_cast<double>(kBarCells));
    std::string bar;
    for (std::size_t i = 0; i < kBarCells; ++i) bar += i < cells ? "█" : "░";
    right = fmt::format("{} {:3.0f} %  {} of {}", bar, std::floor(share * 100),
                        FormatBytes(static_cast<double>(p.bytes_done)),
                        FormatBytes(static_cast<double>(p.bytes)));
    if (p.rate > 0) right += fmt::format("  {}/s", FormatBytes(p.rate));
    if (p.eta && p.rate > 0) right += fmt::format("  {} left", FormatSeconds(*p.eta));
    if (p.bytes_reused > 0 && p.rate <= 0) {
      right += fmt::format("  {} reused", FormatBytes(static_cast<double>(p.bytes_reused)));
    }
  }
  const std::string phase = fmt::format("{:<10}", p.phase);
  const std::size_t fixed = 2 + Width(phase) + 1 + Width(right);
  const std::size_t room = columns > fixed + 8 ? columns - fixed : 8;
  std::string label = Ellipsize(line.label, room);
  label += std::string(room > Width(label) ? room - Width(label) : 0, ' ');
  return std::string(Front(label + "  " + phase + " " + right, columns));
}

std::string HeartbeatLine(const ProgressLine& line) {
  const api::ProgressBody& p = line.progress;
  std::string text = line.label + ": " + p.phase;
  if (p.files > 0) text += fmt::format(", {} of {} files", p.files_done, p.files);
  if (Counting(p)) {
    text += fmt::format(", {} of {} ({:.0f} %)", FormatBytes(static_cast<double>(p.bytes_done)),
                        FormatBytes(static_cast<double>(p.bytes)), std::floor(Share(p) * 100));
  }
  if (p.bytes_reused > 0) {
    text += fmt::format(", {} reused", FormatBytes(static_cast<double>(p.bytes_reused)));
  }
  if (p.rate > 0) text += fmt::format(", {}/s", FormatBytes(p.rate));
  if (p.eta && p.rate > 0) text += fmt::format(", {} left", FormatSeconds(*p.eta));
  return text;
}

ProgressDisplay::ProgressDisplay(const Terminal& terminal, const Clock& clock)
    : terminal_(terminal), clock_(clock), last_(clock.Monotonic() - kHeartbeatEvery) {}

ProgressDisplay::~ProgressDisplay() {
  Finish();
}

void ProgressDisplay::Show(const std::vector<ProgressLine>& lines, bool force) {
  latest_ = lines;
  if (terminal_.err_is_tty()) {
    const MonoTime now = clock_.Monotonic();
    if (!force && drawn_ > 0 && now - last_ < kRedrawEvery) return;
    last_ = now;
    Redraw(lines);
  } else {
    Heartbeat(lines);
  }
}

void ProgressDisplay::Redraw(const std::vector<ProgressLine>& lines) {
  std::string text;
  if (drawn_ > 0) text += fmt::format("\x1b[{}A", drawn_);
  const std::size_t columns = terminal_.columns() - 1;
  for (const auto& line : lines) text += "\r\x1b[2K" + BarLine(line, columns) + "\n";
  terminal_.Err(text);
  drawn_ = lines.size();
}

void ProgressDisplay::Heartbeat(const std::vector<ProgressLine>& lines) {
  phases_.resize(lines.size());
  const MonoTime now = clock_.Monotonic();
  const bool due = now - last_ >= kHeartbeatEvery;
  if (due) last_ = now;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!due && phases_[i] == lines[i].progress.phase) continue;
    phases_[i] = lines[i].progress.phase;
    terminal_.Err(HeartbeatLine(lines[i]) + "\n");
  }
}

void ProgressDisplay::Finish() {
  if (terminal_.err_is_tty() && drawn_ > 0) Redraw(latest_);
  drawn_ = 0;
  latest_.clear();
}

}  // namespace bdn::cli
