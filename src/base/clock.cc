#include "base/clock.h"

#include <array>
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <mutex>

namespace bdn {
namespace {

class SystemClock final : public Clock {
 public:
  WallTime Now() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }
  MonoTime Monotonic() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }
  bool SleepFor(std::stop_token stop, Duration wait) const override {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, wait, [] { return false; });
    return !stop.stop_requested();
  }
};

std::tm UtcParts(WallTime time) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return parts;
}

// Reads exactly `digits` decimal digits at the front of `text` and removes them.
bool TakeNumber(std::string_view& text, std::size_t digits, int& out) {
  if (text.size() < digits) return false;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
  }
  std::from_chars(text.data(), text.data() + digits, out);
  text.remove_prefix(digits);
  return true;
}

bool TakeChar(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<WallTime> FromParts(int year, int month, int day, int hour, int minute, int second) {
  using namespace std::chrono;
  const year_month_day date{std::chrono::year(year),
                            std::chrono::month(static_cast<unsigned>(month)),
                            std::chrono::day(static_cast<unsigned>(day))};
  // What 64 bits of nanoseconds can hold, with room for an offset.
  if (year < 1678 || year > 2261) return std::nullopt;
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return WallTime(sys_days(date).time_since_epoch() + hours(hour) + minutes(minute) +
                  seconds(second));
}

constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

// "Z", "+01:00" or "-0130" at the end of a time stamp.
std::optional<std::chrono::minutes> TakeOffset(std::string_view& text) {
  if (TakeChar(text, 'Z') || TakeChar(text, 'z')) return std::chrono::minutes(0);
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const int sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  int hours = 0;
  int minutes = 0;
  if (!TakeNumber(text, 2, hours)) return std::nullopt;
  TakeChar(text, ':');
  if (!TakeNumber(text, 2, minutes)) return std::nullopt;
  return std::chrono::minutes(sign * (hours * 60 + minutes));
}

}  // namespace

const Clock& RealClock() {
  static const SystemClock clock;
  return clock;
}

std::string FormatRfc3339(WallTime time) {
  const std::tm t = UtcParts(time);
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), "%04d-%02d-%02dT%02d:%02d:%02dZ", t.tm_year + 1900,
                t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
  return out.data();
}

std::optional<WallTime> ParseRfc3339(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!TakeNumber(text, 4, year) || !TakeChar(text, '-') || !TakeNumber(text, 2, month) ||
      !TakeChar(text, '-') || !TakeNumber(text, 2, day) ||
      !(TakeChar(text, 'T') || TakeChar(text, 't') || TakeChar(text, ' ')) ||
      !TakeNumber(text, 2, hour) || !TakeChar(text, ':') || !TakeNumber(text, 2, minute) ||
      !TakeChar(text, ':') || !TakeNumber(text, 2, second)) {
    return std::nullopt;
  }
  Duration fraction{0};
  if (TakeChar(text, '.')) {
    std::int64_t unit = 100'000'000;
    if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
      fraction += Duration((text[0] - '0') * unit);
      unit /= 10;
      text.remove_prefix(1);
    }
  }
  const auto offset = TakeOffset(text);
  if (!offset || !text.empty()) return std::nullopt;
  const auto base = FromParts(year, month, day, hour, minute, second);
  if (!base) return std::nullopt;
  return *base + fraction - *offset;
}

std::string FormatHttpDate(WallTime time) {
  const std::tm t = UtcParts(time);
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                kDays[static_cast<std::size_t>(t.tm_wday)], t.tm_mday,
                kMonths[static_cast<std::size_t>(t.tm_mon)], t.tm_year + 1900, t.tm_hour, t.tm_min,
                t.tm_sec);
  return out.data();
}

std::optional<WallTime> ParseHttpDate(std::string_view text) {
  const std::size_t comma = text.find(", ");
  if (comma == std::string_view::npos) return std::nullopt;
  text.remove_prefix(comma + 2);
  int year = 0, day = 0, hour = 0, minute = 0, second = 0, month = 0;
  if (!TakeNumber(text, 2, day) || !TakeChar(text, ' ') || text.size() < 4) return std::nullopt;
  for (std::size_t i = 0; i < kMonths.size(); ++i) {
    if (text.substr(0, 3) == kMonths[i]) month = static_cast<int>(i) + 1;
  }
  text.remove_prefix(3);
  if (month == 0 || !TakeChar(text, ' ') || !TakeNumber(text, 4, year) || !TakeChar(text, ' ') ||
      !TakeNumber(text, 2, hour) || !TakeChar(text, ':') || !TakeNumber(text, 2, minute) ||
      !TakeChar(text, ':') || !TakeNumber(text, 2, second) || text != " GMT") {
    return std::nullopt;
  }
  return FromParts(year, month, day, hour, minute, second);
}

}  // namespace bdn
