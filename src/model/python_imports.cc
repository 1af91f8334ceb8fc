#include "model/python_imports.h"

#include <algorithm>
#include <utility>

namespace bdn::model {

PyNames::PyNames(std::string_view text, const PyTokens& tokens) : text_(text), py_(tokens) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < py_.tokens.size(); ++i) {
    const bool ends =
        py_.tokens[i].kind == PyKind::kNewline || (py_.tokens[i].depth == 0 && Is(i, ";"));
    if (!ends) continue;
    if (begin < i) ReadStatement(begin, i);
    begin = i + 1;
  }
}

std::string_view PyNames::Text(std::size_t token) const {
  const PyToken& t = py_.tokens[token];
  return text_.substr(t.begin, t.end - t.begin);
}

bool PyNames::Is(std::size_t token, std::string_view text) const {
  return token < py_.tokens.size() && Text(token) == text;
}

std::size_t PyNames::EndOf(std::size_t statement) const {
  std::size_t end = statement;
  while (end < py_.tokens.size() && py_.tokens[end].kind != PyKind::kNewline &&
         !(py_.tokens[end].depth == 0 && Is(end, ";"))) {
    ++end;
  }
  return end;
}

void PyNames::ReadStatement(std::size_t begin, std::size_t end) {
  const bool from = Is(begin, "from");
  if (!from && !Is(begin, "import")) return ReadAssignments(begin, end);
  import_statements_.emplace_back(begin, end);
  return from ? ReadFrom(begin, end) : ReadImport(begin, end);
}

// "a.b.c" from `at` on, which then stands after it.
std::string PyNames::Dotted(std::size_t& at, std::size_t end) const {
  std::string name;
  while (at < end && (py_.tokens[at].kind == PyKind::kName || Is(at, ".")) && !Is(at, "as") &&
         !Is(at, "import")) {
    name += Text(at++);
  }
  return name;
}

void PyNames::ReadImport(std::size_t begin, std::size_t end) {
  for (std::size_t at = begin + 1; at < end; ++at) {
    PyImport import;
    import.statement = begin;
    import.first = at;
    const std::string module = Dotted(at, end);
    if (module.empty()) return;
    import.qualified = module;
    if (Is(at, "as") && at + 1 < end) {
      import.local = Text(at + 1);
      at += 2;
    } else {
      // "import a.b" binds a.
      import.local = import.qualified = module.substr(0, module.find('.'));
    }
    import.last = at - 1;
    if (at < end && !Is(at, ",")) return;  // not Python
    // "import a.b" and "import a.c" bind the same a.
    const PyImport* before = ImportOf(import.local);
    if (before == nullptr || before->qualified != import.qualified) ++bindings_[import.local];
    imports_.push_back(std::move(import));
  }
}

void PyNames::ReadFrom(std::size_t begin, std::size_t end) {
  std::size_t at = begin + 1;
  const std::string module = Dotted(at, end);
  if (!Is(at, "import")) return;
  ++at;
  if (Is(at, "(")) ++at;
  for (; at < end && py_.tokens[at].kind == PyKind::kName; ++at) {
    PyImport import;
    import.statement = begin;
    import.first = at;
    import.qualified = module + "." + std::string(Text(at));
    import.local = Text(at++);
    if (Is(at, "as") && at + 1 < end) {
      import.local = Text(at + 1);
      at += 2;
    }
    import.last = at - 1;
    if (at < end && !Is(at, ",") && !Is(at, ")")) return;  // not Python
    const PyImport* before = ImportOf(import.local);
    if (before == nullptr || before->qualified != import.qualified) ++bindings_[import.local];
    imports_.push_back(std::move(import));
    if (!Is(at, ",")) return;
  }
}

// Every name that the statement may bind; rather one too many than one too few.
void PyNames::ReadAssignments(std::size_t begin, std::size_t end) {
  std::size_t assign = begin;
  for (std::size_t i = begin; i < end; ++i) {
    const std::string_view text = Text(i);
    const bool compares = text == "==" || text == "!=" || text == "<=" || text == ">=";
    if (py_.tokens[i].depth == 0 && py_.tokens[i].kind == PyKind::kOperator &&
        text.ends_with('=') && !compares) {
      assign = i;
    }
    const bool walrus = text == ":=" && i > begin;
    if (walrus) ++bindings_[std::string(Text(i - 1))];
    const bool binder = text == "def" || text == "class" || text == "as" || text == "for" ||
                        text == "global" || text == "nonlocal" || text == "del" || text == "lambda";
    if (!binder) continue;
    // "for a, b in", "as (a, b)": all the names up to what ends the targets.
    for (std::size_t j = i + 1; j < end && !Is(j, "in") && !Is(j, ":"); ++j) {
      if (py_.tokens[j].kind == PyKind::kName) ++bindings_[std::string(Text(j))];
      if (text == "def" || text == "class") break;
    }
    if (text == "def") ReadParameters(i + 2, end);
  }
  // "name: type = value" binds the name alone.
  const std::size_t equals = assign;
  if (assign > begin && Is(begin + 1, ":")) assign = begin + 1;
  for (std::size_t i = begin; i < assign; ++i) {
    if (py_.tokens[i].kind != PyKind::kName || (i > begin && Is(i - 1, "."))) continue;
    ++bindings_[std::string(Text(i))];
  }
  const bool top = py_.tokens[begin].begin == 0 || text_[py_.tokens[begin].begin - 1] == '\n';
  if (top && assign == begin + 1 && Is(equals, "=") && py_.tokens[begin].kind == PyKind::kName &&
      equals + 1 < end) {
    constants_[std::string(Text(begin))] = {begin, equals + 1, end};
  }
}

void PyNames::ReadParameters(std::size_t open, std::size_t end) {
  if (!Is(open, "(")) return;
  const int depth = py_.tokens[open].depth + 1;
  for (std::size_t i = open + 1; i < end && py_.tokens[i].depth >= depth; ++i) {
    const bool begins = Is(i - 1, "(") || Is(i - 1, ",") || Is(i - 1, "*") || Is(i - 1, "**");
    if (py_.tokens[i].kind != PyKind::kName || py_.tokens[i].depth != depth || !begins) continue;
    ++bindings_[std::string(Text(i))];
  }
}

const PyImport* PyNames::ImportOf(std::string_view local) const {
  const auto found = std::find_if(imports_.begin(), imports_.end(),
                                  [&](const PyImport& i) { return i.local == local; });
  return found == imports_.end() ? nullptr : &*found;
}

std::string PyNames::Qualified(std::string_view dotted) const {
  const std::string_view first = dotted.substr(0, dotted.find('.'));
  const PyImport* import = ImportOf(first);
  const auto bound = bindings_.find(first);
  if (import == nullptr || bound == bindings_.end() || bound->second != 1) return {};
  return import->qualified + std::string(dotted.substr(first.size()));
}

const PyConstant* PyNames::ConstantOf(const std::string& name) const {
  const auto found = constants_.find(name);
  const auto bound = bindings_.find(name);
  const bool once = bound != bindings_.end() && bound->second == 1;
  return found == constants_.end() || !once ? nullptr : &found->second;
}

std::vector<std::size_t> PyNames::UsesOf(std::string_view name) const {
  std::vector<std::size_t> uses;
  for (std::size_t i = 0; i < py_.tokens.size(); ++i) {
    if (py_.tokens[i].kind != PyKind::kName || Text(i) != name) continue;
    if (i > 0 && Is(i - 1, ".")) continue;
    // Keywords of calls look like assignments inside brackets.
    const bool keyword =
        py_.tokens[i].depth > 0 && i > 0 && (Is(i - 1, "(") || Is(i - 1, ",")) && Is(i + 1, "=");
    const bool import = std::any_of(import_statements_.begin(), import_statements_.end(),
                                    [&](const auto& s) { return i >= s.first && i < s.second; });
    if (!keyword && !import) uses.push_back(i);
  }
  return uses;
}

}  // namespace bdn::model
