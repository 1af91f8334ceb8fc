#pragma once
// One line a record on standard error: time, level, thread, message, then key=value pairs. The
// library behind it (spdlog) is named in log.cc only. Never pass a secret; URLs go through
// net::RedactUrl first. Thread-safe.
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace bdn::log {

enum class Level { kDebug, kInfo, kWarn, kError };

using Field = std::pair<std::string_view, std::string>;

void SetLevel(Level level);
void Write(Level level, std::string_view message, std::initializer_list<Field> fields = {});
inline void Debug(std::string_view m, std::initializer_list<Field> f = {}) {
  Write(Level::kDebug, m, f);
}
inline void Info(std::string_view m, std::initializer_list<Field> f = {}) {
  Write(Level::kInfo, m, f);
}
inline void Warn(std::string_view m, std::initializer_list<Field> f = {}) {
  Write(Level::kWarn, m, f);
}
inline void Error(std::string_view m, std::initializer_list<Field> f = {}) {
  Write(Level::kError, m, f);
}

}  // namespace bdn::log
