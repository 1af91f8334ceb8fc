#pragma once
// What a secret may be called, wherever it is named: servers find it as the file /secrets/<name>.
#include <string_view>

#include "base/result.h"

namespace bdn::model {

// kInvalidArgument unless `name` is a plain file name: not empty, no '/' or NUL, not "." or "..".
Status CheckSecretName(std::string_view name);

}  // namespace bdn::model
