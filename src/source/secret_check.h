#pragma once
// What the text of a secret looks like, and what is wrong with it: asked when a secret is set, and
// when a config is pushed that names one. The parsers are those that the sources use.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/source_uri.h"

namespace bdn::source {

struct CheckedSecret {
  // What to store: blanks and line ends around one line or around JSON are cut; a text of several
  // lines (a certificate, a key file) only loses the line end that echo and editors add.
  std::string value;
  std::vector<std::string> notes;  // sentences for the user; never with a part of the value
};

// Secrets of configs may be anything, so only what is plainly meant for a provider is checked: JSON
// with names like those of S3, Google or Azure credentials, SAS tokens and connection strings.
// Errors: kInvalidArgument from the provider's parser, with the names that are right.
Result<CheckedSecret> CheckSecret(std::string_view name, std::string_view value);

// Why sources of this scheme cannot use `secret`, as far as that can be said without asking
// anybody; nothing when they can.
std::optional<Error> SecretProblem(model::Scheme scheme, const std::string& secret);

}  // namespace bdn::source
