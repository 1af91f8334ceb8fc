#pragma once
// JSON Schema (2020-12) of config.yaml for editors and other validators. It encodes the rules of
// docs/config.md as far as a schema can; ParseConfig stays the judge. tests/e2e/test_schema.py
// holds the two against each other and lists what a schema cannot say.
#include <string>

namespace bdn::model {

// A whole config.yaml; keys that bdn does not act on are free. Indented JSON with a newline at its
// end. Keywords are those that draft 7 and 2020-12 share, because editors know the older one, plus
// annotations of editors (defaultSnippets, patternErrorMessage), which validators ignore.
std::string ConfigSchema();

// The value of `weights` alone.
std::string WeightsSchema();

}  // namespace bdn::model
