#pragma once
// Internal to model: the calls of chains.Assets in a Python file, and what is certain about their
// values. migrate_chains.cc writes what this reads.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/migrate_chains.h"
#include "model/migrate_plan.h"
#include "model/python_edit.h"
#include "model/python_imports.h"
#include "model/python_tokens.h"

namespace bdn::model {

// Whether `word` is in the text, not as a part of a longer word.
bool IsWordIn(std::string_view text, std::string_view word);

// A value that is known for certain, as the YAML node that a config.yaml would have.
struct PyValue {
  codec::YamlNode node;
  std::string constant;  // the name that it was read through; empty for a literal
};

struct PyArgument {
  std::string name;
  std::size_t name_token = 0;
  std::size_t first = 0;  // tokens [first, last) of the value
  std::size_t last = 0;
  PyItem item;
};

// ModelRepo(…), in a list of `cached` or as the value of a constant.
struct RepoCall {
  std::size_t first = 0;  // of the dotted name
  std::size_t open = 0;
  std::size_t close = 0;
  std::vector<PyArgument> arguments;
  std::vector<std::optional<PyValue>> values;  // of `arguments`
  codec::YamlNode* node = nullptr;
  std::optional<PlannedWeight> weight;
  std::vector<MigrateWarning> warnings;
  std::string reason;  // why it is not certain; empty when it is
};

struct CachedElement {
  std::size_t first = 0;
  std::size_t last = 0;
  RepoCall* call = nullptr;  // null: something else
  std::string constant;      // the name through which the call was reached
};

// Assets(cached=…).
struct AssetsCall {
  std::string constructor;  // "chains.WeightsSource", as it is called in this file
  std::size_t cached = 0;
  std::size_t first = 0;  // tokens [first, last) of the value
  std::size_t last = 0;
  std::vector<CachedElement> elements;
  std::string reason;
};

class ChainSource {
 public:
  ChainSource(const CodeFile& file, const MigrateRules& rules, ChainsPlan& plan)
      : file_(file), text_(file.text), rules_(rules), plan_(plan) {}

  // False when the file has no call that gives Assets models, or is not Python; `error_line` is
  // then not 0. `all`: every file, for uses of constants elsewhere.
  bool Read(const std::vector<CodeFile>& all, int& error_line);

  const CodeFile& file() const { return file_; }
  std::string_view text() const { return text_; }
  const PyTokens& py() const { return *py_; }
  const PyNames& names() const { return *names_; }
  std::vector<AssetsCall>& calls() { return calls_; }

  std::string_view Text(std::size_t token) const;
  std::string_view Text(std::size_t first, std::size_t last) const;  // tokens [first, last)
  bool Is(std::size_t token, std::string_view text) const;
  int LineOf(std::size_t token) const { return py_->tokens[token].line; }

 private:
  // The first token of the dotted name that ends before the bracket `open`; `open` for none.
  std::size_t NameBefore(std::size_t open) const;
  // The tokens that separate the items of the bracket `open` on its own level.
  std::vector<std::size_t> Commas(std::size_t open) const;
  // Token ranges of the items of a bracket, without an empty one at the end.
  std::vector<std::pair<std::size_t, std::size_t>> Items(std::size_t open) const;
  // The keyword arguments of a call; nullopt when there is another kind among them.
  std::optional<std::vector<PyArgument>> Arguments(std::size_t open) const;
  void FindCalls();
  void ReadAssets(std::size_t first, std::size_t open, bool known);
  void ReadElements(AssetsCall& call);
  // The ModelRepo(…) that tokens [first, last) are; null when they are something else.
  RepoCall* CallAt(std::size_t first, std::size_t last);
  void ReadRepo(RepoCall& call);
  // The rules of config.yaml. A ModelRepo without use_volume is of the time before volumes.
  void PlanOne(codec::YamlNode item, RepoCall& call);
  std::optional<PyValue> Evaluate(std::size_t first, std::size_t last, int depth) const;
  std::optional<PyValue> EvaluateList(std::size_t first, std::size_t last, PyValue value) const;
  std::optional<PyValue> EvaluateName(
      const std::string& name, std::size_t first, std::size_t last, PyValue value, int depth) const;
  // A constant is rewritten with the calls that use it, all of them, or with none.
  void SettleConstants(const std::vector<CodeFile>& all);
  bool IsFree(const std::string& constant, const std::vector<CodeFile>& all) const;
  // The weights of one chainlet must be valid together.
  static void CheckTogether(AssetsCall& call);

  const CodeFile& file_;
  std::string_view text_;
  const MigrateRules& rules_;
  ChainsPlan& plan_;
  std::optional<PyTokens> py_;
  std::optional<PyNames> names_;
  std::vector<AssetsCall> calls_;
  std::vector<std::unique_ptr<RepoCall>> repos_;
};

}  // namespace bdn::model
