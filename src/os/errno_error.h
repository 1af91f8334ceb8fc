#pragma once
#include <string_view>

#include "base/error.h"

namespace bdn::os {

// The Error for a failed system call: the code that the number stands for in Fs's contract, and the
// message "<what>: <text of the number>". `what` names the action and the path, as in
// "open /var/lib/x".
Error ErrnoError(int error_number, std::string_view what);

}  // namespace bdn::os
