#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace bdn {
void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "bdn: check failed: %s at %s:%d\n", condition, file, line);
  std::abort();
}
}  // namespace bdn
