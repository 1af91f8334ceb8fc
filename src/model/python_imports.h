#pragma once
// Internal to model: what the names of a Python file stand for, as far as import statements and
// assignments at the top level say it for certain.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/python_tokens.h"

namespace bdn::model {

// One name of an import statement.
struct PyImport {
  std::string local;          // the name that it binds
  std::string qualified;      // what that is: "truss_chains", "truss.base.truss_config.ModelRepo"
  std::size_t statement = 0;  // the index of the token "import" or "from"
  std::size_t first = 0;      // tokens [first, last] of this name: "Assets as A"
  std::size_t last = 0;
};

// NAME = value, once in the file and at the top level.
struct PyConstant {
  std::size_t name = 0;   // token
  std::size_t first = 0;  // tokens [first, last) of the value
  std::size_t last = 0;
};

class PyNames {
 public:
  PyNames(std::string_view text, const PyTokens& tokens);

  const std::vector<PyImport>& imports() const { return imports_; }
  // What a dotted name is; empty when its first part is not bound by exactly one import.
  std::string Qualified(std::string_view dotted) const;
  // Whether anything in the file gives this name a meaning.
  bool IsBound(std::string_view local) const { return bindings_.contains(local); }
  const PyImport* ImportOf(std::string_view local) const;
  const PyConstant* ConstantOf(const std::string& name) const;
  // The token after the last one of the statement that begins at `statement`.
  std::size_t EndOf(std::size_t statement) const;
  // The tokens that are this name and not an attribute of something, a keyword of a call or a part
  // of an import.
  std::vector<std::size_t> UsesOf(std::string_view name) const;

 private:
  std::string_view Text(std::size_t token) const;
  bool Is(std::size_t token, std::string_view text) const;
  void ReadStatement(std::size_t begin, std::size_t end);
  void ReadImport(std::size_t begin, std::size_t end);
  void ReadFrom(std::size_t begin, std::size_t end);
  void ReadAssignments(std::size_t begin, std::size_t end);
  void ReadParameters(std::size_t open, std::size_t end);
  std::string Dotted(std::size_t& at, std::size_t end) const;

  std::string_view text_;
  const PyTokens& py_;
  std::vector<PyImport> imports_;
  std::vector<std::pair<std::size_t, std::size_t>> import_statements_;  // tokens [begin, end)
  std::map<std::string, int, std::less<>> bindings_;  // how often each name is bound
  std::map<std::string, PyConstant, std::less<>> constants_;
};

}  // namespace bdn::model
