// config.yaml: whatever the bytes, a report; a config exactly when there are no errors; and JSON
// that parses.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "codec/json.h"
#include "model/config.h"
#include "model/validate_report.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bdn::model::ConfigReport report = bdn::model::ParseConfig(text);
  BDN_CHECK(report.config.has_value() == report.errors.empty());
  BDN_CHECK(!report.config || report.config->document == text);
  BDN_CHECK(bdn::codec::ParseJson(bdn::model::ValidateJson(report)).has_value() ||
            !report.errors.empty());
  BDN_CHECK(!bdn::model::ValidateText(report, "config.yaml").empty());
  return 0;
}
