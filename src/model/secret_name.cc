#include "model/secret_name.h"

namespace bdn::model {

Status CheckSecretName(std::string_view name) {
  if (!name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
      name.find('\0') == std::string_view::npos) {
    return {};
  }
  return Error(Code::kInvalidArgument, "the name of a secret must be a plain file name")
      .WithHint("leave out '/', and do not call it '.' or '..'");
}

}  // namespace bdn::model
