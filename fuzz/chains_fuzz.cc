// Chains of bdn migrate: whatever the bytes, an answer; what is rewritten is Python as far as the
// tokens say, has as many lines of other code as before, and has nothing left to rewrite.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/migrate.h"

using bdn::model::Migrate;
using bdn::model::MigrateOutcome;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const bool rewrite : {false, true}) {
    const auto result = Migrate(std::nullopt, {{"a.py", text}}, {.rewrite_patterns = rewrite});
    BDN_CHECK(result.text.empty());
    BDN_CHECK(result.code.size() <= 1);
    BDN_CHECK(result.code.empty() || result.outcome == MigrateOutcome::kMigrated);
    for (const auto& file : result.code) {
      BDN_CHECK(file.text != text);
      BDN_CHECK(Migrate(std::nullopt, {file}, {.rewrite_patterns = rewrite}).code.empty());
    }
  }
  // Statements of ours around it, so that what is outside is known.
  const std::string head = "# head\nzz = [1,  2]  # x\n";
  const std::string tail = "\nzz_tail = 'y'  # z\n";
  const auto framed = Migrate(std::nullopt, {{"a.py", head + text + tail}});
  for (const auto& file : framed.code) {
    BDN_CHECK(file.text.starts_with(head));
    BDN_CHECK(file.text.ends_with(tail));
  }
  return 0;
}
