#pragma once
// Internal to model: the weights section of config.yaml. Callers use config.h.
#include <string>
#include <string_view>
#include <vector>

#include "codec/yaml.h"
#include "model/config.h"

namespace bdn::model {

// Collects what is wrong, with the place in the file.
class Findings {
 public:
  explicit Findings(ConfigReport& report) : report_(report) {}
  void Error(std::string loc, const codec::YamlNode& at, std::string message) {
    report_.errors.push_back({std::move(loc), at.line, at.column, std::move(message)});
  }
  void Warning(std::string loc, const codec::YamlNode& at, std::string message) {
    report_.warnings.push_back({std::move(loc), at.line, at.column, std::move(message)});
  }

 private:
  ConfigReport& report_;
};

inline constexpr std::string_view kFieldRequired = "Field required";
inline constexpr std::string_view kNotAString = "Input should be a valid string";
inline constexpr std::string_view kNotAList = "Input should be a valid list";
inline constexpr std::string_view kNotADictionary = "Input should be a valid dictionary";
inline constexpr std::string_view kTooShort = "String should have at least 1 character";

// How the warning begins that a list takes *.safetensors and leaves the index or the tokenizer.
inline constexpr std::string_view kLeavesWhatLoads = "allow_patterns select *.safetensors but not ";

// What a source of this scheme without credentials deserves as a warning; empty: it may be public.
std::string MissingCredentials(Scheme scheme);

// The value of `weights`; what was readable of every item, whatever was wrong with it.
std::vector<WeightsSource> ReadWeights(const codec::YamlNode& list, Findings& findings);

}  // namespace bdn::model
