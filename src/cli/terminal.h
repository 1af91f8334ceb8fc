#pragma once
// What people see: colour and bars on a terminal, one line a heartbeat elsewhere. Results go to
// standard output, progress and errors to standard error.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/types.h"
#include "base/clock.h"
#include "base/result.h"

namespace bdn::cli {

// "1.5 GB" (powers of 1000), "310 MB/s", "1 h 02 min".
std::string FormatBytes(double bytes);
std::string FormatSeconds(double seconds);
// Cuts in the middle with "…" so that at most `columns` characters remain.
std::string Ellipsize(std::string_view text, std::size_t columns);

enum class Colour { kNone, kRed, kGreen, kYellow, kBold, kDim };

class Terminal {
 public:
  struct Options {
    bool colour = true;  // false: --no-color, NO_COLOR, TERM=dumb
  };
  explicit Terminal(Options options);

  bool out_is_tty() const { return out_is_tty_; }
  bool err_is_tty() const { return err_is_tty_; }
  std::size_t columns() const;

  void Out(std::string_view text) const;  // as it is
  void Err(std::string_view text) const;
  // "error: …" in red and the hint below it.
  void ShowError(const Error& error) const;
  void ShowWarning(std::string_view text) const;
  // Wrapped in colour when that stream is a terminal.
  std::string Paint(Colour colour, std::string_view text, bool for_err) const;

 private:
  bool out_is_tty_;
  bool err_is_tty_;
  bool colour_;
};

// Columns padded to their widest cell; the header in bold.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string Text(const Terminal& terminal) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// One named piece of work among those shown together.
struct ProgressLine {
  std::string label;
  api::ProgressBody progress;
};

// Pure: one line of a bar display, at most `columns` characters.
std::string BarLine(const ProgressLine& line, std::size_t columns);
// Pure: one heartbeat without cursor tricks.
std::string HeartbeatLine(const ProgressLine& line);

// Redraws in place on a terminal (at most 10 times a second); elsewhere prints a heartbeat per line
// of work at each change of phase and every 10 s.
class ProgressDisplay {
 public:
  ProgressDisplay(const Terminal& terminal, const Clock& clock);
  ~ProgressDisplay();  // leaves the last state on the screen
  void Show(const std::vector<ProgressLine>& lines, bool force = false);
  void Finish();

 private:
  void Redraw(const std::vector<ProgressLine>& lines);
  void Heartbeat(const std::vector<ProgressLine>& lines);

  const Terminal& terminal_;
  const Clock& clock_;
  MonoTime last_;
  std::size_t drawn_ = 0;
  std::vector<std::string> phases_;
  std::vector<ProgressLine> latest_;
};

}  // namespace bdn::cli
