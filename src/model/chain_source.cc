#include "model/chain_source.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "model/config.h"

namespace bdn::model {
namespace {

using codec::YamlNode;
using codec::YamlType;

constexpr std::array<std::string_view, 8> kRepoKeys{
    "repo_id",       "revision",   "allow_patterns", "ignore_patterns",
    "volume_folder", "use_volume", "kind",           "runtime_secret_name"};

}  // namespace

bool IsWordIn(std::string_view text, std::string_view word) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) {
      return true;
    }
  }
  return false;
}

bool ChainSource::Read(const std::vector<CodeFile>& all, int& error_line) {
  error_line = 0;
  if (!IsWordIn(text_, "cached") || !IsWordIn(text_, "Assets")) return false;
  int line = 0;
  py_ = TokenizePython(text_, line);
  if (!py_) {
    error_line = IsWordIn(text_, "ModelRepo") ? line : 0;
    return false;
  }
  names_.emplace(text_, *py_);
  FindCalls();
  SettleConstants(all);
  for (AssetsCall& call : calls_) {
    if (call.reason.empty()) CheckTogether(call);
  }
  SettleConstants(all);
  return !calls_.empty();
}

std::string_view ChainSource::Text(std::size_t token) const {
  const PyToken& t = py_->tokens[token];
  return text_.substr(t.begin, t.end - t.begin);
}

std::string_view ChainSource::Text(std::size_t first, std::size_t last) const {
  if (first >= last) return {};
  const std::size_t begin = py_->tokens[first].begin;
  return text_.substr(begin, py_->tokens[last - 1].end - begin);
}

bool ChainSource::Is(std::size_t token, std::string_view text) const {
  return token < py_->tokens.size() && Text(token) == text;
}

// The first token of the dotted name that ends before the bracket `open`; `open` for none.
std::size_t ChainSource::NameBefore(std::size_t open) const {
  std::size_t first = open;
  while (first > 0 && py_->tokens[first - 1].kind == PyKind::kName) {
    --first;
    if (first == 0 || !Is(first - 1, ".")) return first;
    if (first < 2 || py_->tokens[first - 2].kind != PyKind::kName) return open;
    --first;
  }
  return open;
}

// The tokens that separate the items of the bracket `open` on its own level.
std::vector<std::size_t> ChainSource::Commas(std::size_t open) const {
  const std::size_t close = py_->tokens[open].match;
  std::vector<std::size_t> commas;
  for (std::size_t i = open + 1; i < close; ++i) {
    if (py_->tokens[i].depth == py_->tokens[open].depth + 1 && Is(i, ",")) commas.push_back(i);
  }
  return commas;
}

// Token ranges of the items of a bracket, without an empty one at the end.
std::vector<std::pair<std::size_t, std::size_t>> ChainSource::Items(std::size_t open) const {
  std::vector<std::pair<std::size_t, std::size_t>> items;
  std::size_t begin = open + 1;
  for (const std::size_t comma : Commas(open)) {
    items.emplace_back(begin, comma);
    begin = comma + 1;
  }
  if (begin < py_->tokens[open].match) items.emplace_back(begin, py_->tokens[open].match);
  return items;
}

// The keyword arguments of a call; nullopt when there is another kind among them.
std::optional<std::vector<PyArgument>> ChainSource::Arguments(std::size_t open) const {
  std::vector<PyArgument> arguments;
  for (const auto& [first, last] : Items(open)) {
    if (last - first < 3 || py_->tokens[first].kind != PyKind::kName || !Is(first + 1, "=")) {
      return std::nullopt;
    }
    PyArgument argument;
    argument.name = Text(first);
    argument.name_token = first;
    argument.first = first + 2;
    argument.last = last;
    argument.item = {py_->tokens[first].begin, py_->tokens[last - 1].end,
                     Is(last, ",") ? py_->tokens[last].end : 0};
    const bool twice = std::any_of(arguments.begin(), arguments.end(),
                                   [&](const PyArgument& a) { return a.name == argument.name; });
    if (twice) return std::nullopt;
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

void ChainSource::FindCalls() {
  for (std::size_t open = 0; open < py_->tokens.size(); ++open) {
    if (!Is(open, "(")) continue;
    const std::size_t first = NameBefore(open);
    if (first == open) continue;
    const std::string_view dotted = Text(first, open);
    const std::string qualified = names_->Qualified(dotted);
    const bool known = qualified.starts_with("truss_chains.") && qualified.ends_with(".Assets");
    const bool looks = dotted == "Assets" || dotted.ends_with(".Assets");
    // A class of that name elsewhere is of interest only with models of truss in it.
    const bool models = IsWordIn(Text(open, py_->tokens[open].match + 1), "ModelRepo");
    if (known || (looks && models)) ReadAssets(first, open, known);
  }
}

void ChainSource::ReadAssets(std::size_t first, std::size_t open, bool known) {
  AssetsCall call;
  const auto read = Arguments(open);
  const std::vector<PyArgument> arguments = read.value_or(std::vector<PyArgument>());
  const std::string_view inside = Text(open, py_->tokens[open].match + 1);
  const PyArgument* cached = nullptr;
  for (const PyArgument& argument : arguments) {
    if (argument.name == "cached") cached = &argument;
    if (argument.name == "weights") call.reason = "the call has weights already";
  }
  const std::string_view dotted = Text(first, open);
  const auto dot = dotted.rfind('.');
  call.constructor =
      std::string(dotted.substr(0, dot == std::string_view::npos ? 0 : dot + 1)) + "WeightsSource";
  if (cached == nullptr) {
    // Positional arguments, or a dictionary: only worth a word when models are given so.
    if (read || !IsWordIn(inside, "ModelRepo")) return;
    call.cached = first;
    call.reason = "the models are not given as cached=[…]";
    calls_.push_back(std::move(call));
    return;
  }
  call.cached = cached->name_token;
  call.first = cached->first;
  call.last = cached->last;
  const bool list = Is(call.first, "[") || Is(call.first, "(");
  if (list && py_->tokens[call.first].match == call.first + 1 && call.last == call.first + 2) {
    return;  // empty: nothing to move
  }
  if (dot == std::string_view::npos) {
    for (const PyImport& import : names_->imports()) {
      if (names_->Qualified(import.local) == "truss_chains.WeightsSource") {
        call.constructor = import.local;
      }
    }
    if (names_->IsBound(call.constructor) && names_->Qualified(call.constructor).empty()) {
      call.reason = "WeightsSource is the name of something else here";
    }
  }
  if (!known) {
    call.reason = fmt::format("it is not certain that {} is that of truss_chains", dotted);
  }
  if (list && py_->tokens[call.first].match + 1 == call.last) {
    ReadElements(call);
  } else if (call.reason.empty()) {
    call.reason = "the list of models is computed";
  }
  calls_.push_back(std::move(call));
}

void ChainSource::ReadElements(AssetsCall& call) {
  for (const auto& [first, last] : Items(call.first)) {
    CachedElement element{first, last, nullptr, {}};
    std::size_t begin = first;
    std::size_t end = last;
    if (last == first + 1 && py_->tokens[first].kind == PyKind::kName) {
      const std::string name(Text(first));
      if (const PyConstant* constant = names_->ConstantOf(name);
          constant != nullptr && constant->name < first) {
        element.constant = name;
        begin = constant->first;
        end = constant->last;
      }
    }
    element.call = CallAt(begin, end);
    if (element.call == nullptr) {
      if (call.reason.empty()) {
        call.reason = fmt::format("'{}' is not a ModelRepo with values that are written out",
                                  Text(first, last).substr(0, 60));
      }
    } else if (call.reason.empty() && !element.call->reason.empty()) {
      call.reason = element.call->reason;
    }
    call.elements.push_back(element);
  }
}

// The ModelRepo(…) that tokens [first, last) are; null when they are something else.
RepoCall* ChainSource::CallAt(std::size_t first, std::size_t last) {
  for (const auto& known : repos_) {
    if (known->first == first) return known.get();
  }
  if (last - first < 3 || !Is(last - 1, ")")) return nullptr;
  const std::size_t open = py_->tokens[last - 1].match;
  if (open == first || NameBefore(open) != first) return nullptr;
  const std::string_view dotted = Text(first, open);
  const std::string qualified = names_->Qualified(dotted);
  const bool known = qualified.starts_with("truss") && qualified.ends_with(".ModelRepo");
  const bool looks = dotted == "ModelRepo" || dotted.ends_with(".ModelRepo");
  if (!known && !looks) return nullptr;
  auto call = std::make_unique<RepoCall>();
  call->first = first;
  call->open = open;
  call->close = last - 1;
  if (!known) call->reason = fmt::format("it is not certain that {} is that of truss", dotted);
  ReadRepo(*call);
  repos_.push_back(std::move(call));
  return repos_.back().get();
}

void ChainSource::ReadRepo(RepoCall& call) {
  const auto fail = [&call](std::string reason) {
    if (call.reason.empty()) call.reason = std::move(reason);
  };
  const auto arguments = Arguments(call.open);
  if (!arguments) return fail("ModelRepo has arguments that are not keywords");
  call.arguments = *arguments;
  YamlNode node;
  node.type = YamlType::kMapping;
  node.line = LineOf(call.first);
  for (const PyArgument& argument : call.arguments) {
    const bool known =
        std::find(kRepoKeys.begin(), kRepoKeys.end(), argument.name) != kRepoKeys.end();
    if (!known) fail(fmt::format("'{}' has no equivalent in weights", argument.name));
    auto value = Evaluate(argument.first, argument.last, 0);
    if (!value) {
      fail(fmt::format("the value of {} is computed: {}", argument.name,
                       Text(argument.first, argument.last).substr(0, 60)));
    } else {
      codec::YamlMember member;
      member.key.type = YamlType::kString;
      member.key.text = argument.name;
      member.key.line = LineOf(argument.name_token);
      member.value = value->node;
      node.members.push_back(std::move(member));
    }
    call.values.push_back(std::move(value));
  }
  if (!call.reason.empty()) return;
  call.node = &plan_.nodes.emplace_back();
  PlanOne(std::move(node), call);
}

// The rules of config.yaml. A ModelRepo without use_volume is of the time before volumes.
void ChainSource::PlanOne(YamlNode item, RepoCall& call) {
  YamlNode& root = *call.node;
  root.type = YamlType::kMapping;
  codec::YamlMember member;
  member.key.type = YamlType::kString;
  member.key.text = "hf_cache";
  member.value.type = YamlType::kSequence;
  member.value.items.push_back(std::move(item));
  root.members.push_back(std::move(member));
  MigratePlan plan = PlanMigration(root);
  if (!plan.problems.empty() || plan.weights.size() != 1) {
    call.reason = plan.problems.empty() ? "the item cannot be read" : plan.problems[0].message;
    return;
  }
  if (rules_.rewrite_patterns) RewritePatterns(plan);
  call.weight = plan.weights[0];
  call.warnings = std::move(plan.warnings);
  for (MigrateWarning& warning : call.warnings) warning.file = file_.path;
}

std::optional<PyValue> ChainSource::Evaluate(std::size_t first, std::size_t last, int depth) const {
  if (first >= last || depth > 2) return std::nullopt;
  PyValue value;
  value.node.line = LineOf(first);
  value.node.begin = py_->tokens[first].begin;
  value.node.end = py_->tokens[last - 1].end;
  if (py_->tokens[first].kind == PyKind::kString) {
    value.node.type = YamlType::kString;
    value.node.style = codec::YamlStyle::kDoubleQuoted;
    for (std::size_t i = first; i < last; ++i) {
      if (py_->tokens[i].kind != PyKind::kString) return std::nullopt;
      const auto part = PythonStringValue(Text(i));
      if (!part) return std::nullopt;
      value.node.text += *part;
    }
    return value;
  }
  if (Is(first, "[") || Is(first, "(")) return EvaluateList(first, last, std::move(value));
  if (py_->tokens[first].kind != PyKind::kName) return std::nullopt;
  const std::string_view text = Text(first, last);
  if (text == "True" || text == "False") {
    value.node.type = YamlType::kBool;
    value.node.text = text == "True" ? "true" : "false";
    return value;
  }
  if (text == "None") return value;
  return EvaluateName(std::string(text), first, last, std::move(value), depth);
}

std::optional<PyValue> ChainSource::EvaluateList(std::size_t first,
                                                 std::size_t last,
                                                 PyValue value) const {
  const bool tuple = Is(first, "(");
  if (py_->tokens[first].match + 1 != last) return std::nullopt;
  // ("a") is a string in brackets, not a list.
  if (tuple && Commas(first).empty() && first + 2 != last) return std::nullopt;
  value.node.type = YamlType::kSequence;
  value.node.style = codec::YamlStyle::kFlow;
  for (const auto& [begin, end] : Items(first)) {
    auto item = Evaluate(begin, end, 2);
    if (!item || item->node.type != YamlType::kString) return std::nullopt;
    value.node.items.push_back(std::move(item->node));
  }
  return value;
}

std::optional<PyValue> ChainSource::EvaluateName(
    const std::string& name, std::size_t first, std::size_t last, PyValue value, int depth) const {
  const std::string qualified = names_->Qualified(name);
  if (const auto kind = qualified.find(".ModelRepoSourceKind.");
      kind != std::string::npos && qualified.starts_with("truss")) {
    std::string member = qualified.substr(qualified.rfind('.') + 1);
    for (char& c : member) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    value.node.type = YamlType::kString;
    value.node.text = std::move(member);
    return value;
  }
  if (last != first + 1) return std::nullopt;
  const PyConstant* constant = names_->ConstantOf(name);
  if (constant == nullptr || constant->name > first) return std::nullopt;
  auto known = Evaluate(constant->first, constant->last, depth + 1);
  if (!known || !known->node.IsScalar()) return std::nullopt;
  known->node.line = LineOf(first);
  known->constant = name;
  return known;
}

// A constant is rewritten with the calls that use it, all of them, or with none.
void ChainSource::SettleConstants(const std::vector<CodeFile>& all) {
  for (bool changed = true; changed;) {
    changed = false;
    for (AssetsCall& call : calls_) {
      if (!call.reason.empty()) continue;
      for (const CachedElement& element : call.elements) {
        if (element.constant.empty() || IsFree(element.constant, all)) continue;
        call.reason = fmt::format("{} is used elsewhere as well", element.constant);
        changed = true;
        break;
      }
    }
  }
}

bool ChainSource::IsFree(const std::string& constant, const std::vector<CodeFile>& all) const {
  for (const CodeFile& other : all) {
    if (other.path != file_.path && IsWordIn(other.text, constant)) return false;
  }
  const PyConstant* definition = names_->ConstantOf(constant);
  const std::vector<std::size_t> uses = names_->UsesOf(constant);
  return std::all_of(uses.begin(), uses.end(), [&](std::size_t use) {
    if (definition != nullptr && use == definition->name) return true;
    return std::any_of(calls_.begin(), calls_.end(), [&](const AssetsCall& call) {
      return call.reason.empty() && use > call.first && use < call.last;
    });
  });
}

// The weights of one chainlet must be valid together.
void ChainSource::CheckTogether(AssetsCall& call) {
  std::string yaml = "weights:\n";
  for (const CachedElement& element : call.elements) {
    const PlannedWeight& weight = *element.call->weight;
    yaml += fmt::format("- source: {}\n  mount_location: {}\n", PythonLiteral(weight.source, '"'),
                        PythonLiteral(weight.mount, '"'));
    for (const auto& [name, list] :
         {std::pair("allow_patterns", weight.allow), std::pair("ignore_patterns", weight.ignore)}) {
      if (list == nullptr) continue;
      yaml += fmt::format("  {}:\n", name);
      for (const YamlNode& item : list->items) {
        yaml += fmt::format("  - {}\n", PythonLiteral(item.text, '"'));
      }
    }
  }
  const ConfigReport report = ParseConfig(yaml);
  if (!report.errors.empty()) {
    call.reason = "the weights would not be valid: " + report.errors[0].message;
  }
}

}  // namespace bdn::model
