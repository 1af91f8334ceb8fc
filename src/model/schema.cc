#include "model/schema.h"

#include <string_view>

namespace bdn::model {
namespace {

// config_schema.json, by CMake. Its definitions are last. There, each form of a source has a
// pattern that says what ParseSourceUri says, and `(?:/+\.)*/+` is what stands between two segments
// of a path before it is normalised.
constexpr std::string_view kSchema =
#include "config_schema.inc"
    ;
constexpr std::string_view kDefinitions = kSchema.substr(kSchema.find("  \"$defs\": {\n"));

}  // namespace

std::string ConfigSchema() {
  return std::string(kSchema);
}

std::string WeightsSchema() {
  std::string schema = "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n";
  schema += "  \"$ref\": \"#/$defs/weights\",\n";
  return schema.append(kDefinitions);
}

}  // namespace bdn::model
