// YAML: a tree within its limits whose places lie in the text, or one error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "codec/yaml.h"

namespace {

std::size_t CheckNode(const bdn::codec::YamlNode& node, std::size_t size) {
  BDN_CHECK(node.line >= 1 && node.column >= 1);
  BDN_CHECK(node.begin <= node.end && node.end <= size);
  if (node.IsScalar()) (void)node.PythonText();
  std::size_t count = 1;
  for (const auto& item : node.items) count += CheckNode(item, size);
  for (const auto& member : node.members) {
    count += CheckNode(member.key, size) + CheckNode(member.value, size);
  }
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr bdn::codec::YamlLimits kLimits{
      .bytes_max = 64u << 10, .depth_max = 32, .nodes_max = 5000};
  const auto result =
      bdn::codec::ParseYaml(std::string_view(reinterpret_cast<const char*>(data), size), kLimits);
  BDN_CHECK(result.root.has_value() != result.error.has_value());
  if (result.root) BDN_CHECK(CheckNode(*result.root, size) <= kLimits.nodes_max + 1);
  return 0;
}
