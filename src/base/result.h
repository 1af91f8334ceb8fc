#pragma once
// Result<T>: a value or an Error. No exceptions of ours cross a function border (docs/style.md).
#include <expected>
#include <utility>

#include "base/error.h"

namespace bdn {

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
  using Base = std::expected<T, Error>;

 public:
  using Base::Base;
  // Implicit so that `return Error(...)` reads like any other return.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : Base(std::unexpect, std::move(error)) {}
};

using Status = Result<void>;

}  // namespace bdn

#define BDN_CONCAT_(a, b) a##b
#define BDN_CONCAT(a, b) BDN_CONCAT_(a, b)
// BDN_TRY(expr): returns expr's error from the enclosing function, or continues. Names are made
// from a counter, so that a lambda inside `expr` may use the macros too.
#define BDN_TRY_(tmp, expr)          \
  do {                               \
    auto tmp = (expr);               \
    if (!tmp) [[unlikely]]           \
      return std::move(tmp).error(); \
  } while (false)
#define BDN_TRY(expr) BDN_TRY_(BDN_CONCAT(bdn_r_, __COUNTER__), expr)
// BDN_ASSIGN(auto x, expr): the same, and binds the value. Expands to statements: needs braces
// around it.
#define BDN_ASSIGN_(tmp, decl, expr) \
  auto tmp = (expr);                 \
  if (!tmp) [[unlikely]]             \
    return std::move(tmp).error();   \
  decl = *std::move(tmp)
#define BDN_ASSIGN(decl, expr) BDN_ASSIGN_(BDN_CONCAT(bdn_r_, __COUNTER__), decl, expr)
