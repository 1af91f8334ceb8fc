// bdn migrate: whatever the bytes, an answer; a migrated file is valid, has nothing left to
// migrate, and begins and ends with the bytes around the replaced keys.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/config.h"
#include "model/migrate.h"

using bdn::model::Migrate;
using bdn::model::MigrateOutcome;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto result = Migrate(text, {{"model.py", std::string(text)}});
  if (result.outcome != MigrateOutcome::kMigrated) {
    BDN_CHECK(result.text.empty());
    BDN_CHECK(!result.message.empty());
    return 0;
  }
  BDN_CHECK(bdn::model::ParseConfig(result.text).errors.empty());
  BDN_CHECK(Migrate(result.text, {}).outcome == MigrateOutcome::kNothingToDo);
  // A block after keys of ours and before others, so that what is outside is known.
  const std::string head = "# head\nzz_head: [1,  2] # x\n";
  const std::string tail = "zz_tail: 'y'  # z\n";
  const std::string middle = std::string(text) + (text.ends_with('\n') ? "" : "\n");
  for (const bool rewrite : {false, true}) {
    const auto framed = Migrate(head + middle + tail, {}, {.rewrite_patterns = rewrite});
    if (framed.outcome == MigrateOutcome::kMigrated) {
      BDN_CHECK(framed.text.starts_with(head));
      BDN_CHECK(framed.text.ends_with(tail));
      BDN_CHECK(bdn::model::ParseConfig(framed.text).errors.empty());
    }
  }
  return 0;
}
