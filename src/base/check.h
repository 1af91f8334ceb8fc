#pragma once
// BDN_CHECK(cond): ends the process when a programmer's assumption is false, in every build. Never
// for bytes that come from a disk, a network or a user: those get an Error.
namespace bdn {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
}  // namespace bdn
#define BDN_CHECK(cond) \
  ((cond) ? static_cast<void>(0) : ::bdn::CheckFailed(#cond, __FILE__, __LINE__))
