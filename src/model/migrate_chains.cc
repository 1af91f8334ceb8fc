#include "model/migrate_chains.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "model/chain_source.h"

namespace bdn::model {
namespace {

using codec::YamlNode;

constexpr std::string_view kFoldersRoot = "/app/model_cache/";
constexpr std::string_view kTemplate =
    "source=\"hf://OWNER/REPO@REVISION\", mount_location=\"/app/model_cache/NAME\", "
    "auth_secret_name=\"hf_access_token\"";

// What one file becomes, and what is said about it.
class ChainWriter {
 public:
  ChainWriter(ChainSource& source, const MigrateRules& rules, ChainsPlan& plan)
      : source_(source), file_(source.file()), rules_(rules), plan_(plan) {}

  void Run() {
    Write();
    Report();
  }

 private:
  std::string_view Text(std::size_t token) const { return source_.Text(token); }
  std::string_view Text(std::size_t first, std::size_t last) const {
    return source_.Text(first, last);
  }
  bool Is(std::size_t token, std::string_view text) const { return source_.Is(token, text); }
  const PyTokens& py() const { return source_.py(); }
  const PyNames& names() const { return source_.names(); }

  void Search() { plan_.searched.push_back(file_); }

  // --- What is written ---

  // The value of an argument as Python, given what it must evaluate to.
  std::string Expression(const RepoCall& call,
                         std::string_view name,
                         std::string_view value) const {
    return PythonLiteral(value, QuoteOf(call, name));
  }

  char QuoteOf(const RepoCall& call, std::string_view name) const {
    for (const PyArgument& argument : call.arguments) {
      const std::string_view text = Text(argument.first, argument.last);
      if (argument.name == name && !text.empty() && (text[0] == '\'' || text[0] == '"')) {
        return text[0];
      }
    }
    for (const PyArgument& argument : call.arguments) {
      const auto quote = Text(argument.first, argument.last).find_first_of("'\"");
      if (quote != std::string_view::npos) return Text(argument.first, argument.last)[quote];
    }
    return '"';
  }

  const PyValue* Find(const RepoCall& call, std::string_view name) const {
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
      if (call.arguments[i].name == name && call.values[i]) return &*call.values[i];
    }
    return nullptr;
  }

  // "hf://…@…": a literal, or an f-string where a constant of the file holds a part of it.
  std::string SourceOf(const RepoCall& call) const {
    const PlannedWeight& weight = *call.weight;
    const PyValue* repo = Find(call, "repo_id");
    const PyValue* revision = Find(call, "revision");
    const bool has_revision =
        revision != nullptr && !revision->node.text.empty() && weight.source.starts_with("hf://");
    const bool formatted = !repo->constant.empty() || (has_revision && !revision->constant.empty());
    if (!formatted) return Expression(call, "repo_id", weight.source);
    const auto part = [](const PyValue& value) {
      if (!value.constant.empty()) return "{" + value.constant + "}";
      std::string text;
      for (const char c : value.node.text) {
        text += c;
        if (c == '{' || c == '}') text += c;
      }
      return text;
    };
    const std::string& name = repo->node.text;
    const std::string scheme = weight.source.substr(0, weight.source.find("://") + 3);
    std::string text = (name.starts_with(scheme) ? "" : scheme) + part(*repo);
    if (has_revision) text += "@" + part(*revision);
    return "f" + PythonLiteral(text, QuoteOf(call, "repo_id"));
  }

  std::string MountOf(const RepoCall& call) const {
    const PlannedWeight& weight = *call.weight;
    const PyValue* folder = Find(call, "volume_folder");
    const bool constant = folder != nullptr && !folder->constant.empty() &&
                          weight.mount == std::string(kFoldersRoot) + folder->node.text;
    if (!constant) return Expression(call, "volume_folder", weight.mount);
    return "f" + PythonLiteral(std::string(kFoldersRoot) + "{" + folder->constant + "}",
                               QuoteOf(call, "volume_folder"));
  }

  std::string PatternsOf(const RepoCall& call, std::string_view name, const YamlNode& list) const {
    const char quote = QuoteOf(call, name);
    std::string out = "[";
    for (const YamlNode& item : list.items) {
      out += (out.size() == 1 ? "" : ", ") + PythonLiteral(item.text, quote);
    }
    return out + "]";
  }

  // Puts the offers in place of the patterns that change; all else in the list keeps its bytes.
  void WritePatterns(const RepoCall& call, std::string_view name, PyEditor& editor) const {
    if (!rules_.rewrite_patterns) return;
    for (const YamlNode& item : Find(call, name)->node.items) {
      const auto offer = RewritePattern(item.text, call.weight->volume);
      if (offer.empty() || (offer.size() == 1 && offer[0] == item.text)) continue;
      const char quote = source_.text()[source_.text().find_first_of("'\"", item.begin)];
      std::string text;
      for (const std::string& one : offer) {
        text += (text.empty() ? "" : ", ") + PythonLiteral(one, quote);
      }
      editor.Replace(item.begin, item.end, std::move(text));
    }
  }

  void WriteRepo(const RepoCall& call, const std::string& constructor, PyEditor& editor) const {
    const PlannedWeight& weight = *call.weight;
    const auto at = [&](std::size_t token) { return py().tokens[token].begin; };
    editor.Replace(at(call.first), py().tokens[call.open - 1].end, constructor);
    std::vector<PyItem> items;
    std::vector<bool> remove;
    const PyItem* source = nullptr;
    bool has_mount = false;
    bool has_secret = false;
    const auto value = [&](const PyArgument& a, std::string_view name, std::string text) {
      editor.Replace(a.item.begin, a.item.end, fmt::format("{}={}", name, text));
    };
    for (const PyArgument& argument : call.arguments) {
      const std::string& name = argument.name;
      const YamlNode* list = name == "allow_patterns"    ? weight.allow
                             : name == "ignore_patterns" ? weight.ignore
                                                         : nullptr;
      bool goes = false;
      if (name == "repo_id") {
        source = &argument.item;
        value(argument, "source", SourceOf(call));
      } else if (name == "volume_folder" && !weight.volume) {
        goes = true;
      } else if (name == "volume_folder") {
        has_mount = true;
        value(argument, "mount_location", MountOf(call));
      } else if (name == "runtime_secret_name" && !weight.secret.empty()) {
        has_secret = true;
        editor.Replace(at(argument.name_token), py().tokens[argument.name_token].end,
                       "auth_secret_name");
        if (Find(call, name)->node.IsNull()) {
          value(argument, "auth_secret_name", Expression(call, "repo_id", weight.secret));
        }
      } else if (list != nullptr) {
        WritePatterns(call, name, editor);
      } else {
        goes = true;
      }
      has_secret = has_secret || name == "runtime_secret_name";
      items.push_back(argument.item);
      remove.push_back(goes);
    }
    editor.Remove(items, remove, true);
    std::vector<std::string> more;
    if (!has_mount) more.push_back("mount_location=" + MountOf(call));
    if (!has_secret && !weight.secret.empty()) {
      more.push_back("auth_secret_name=" + Expression(call, "repo_id", weight.secret));
    }
    if (!more.empty()) editor.InsertAfter(*source, more);
  }

  void Write() {
    PyEditor editor(source_.text());
    std::vector<const RepoCall*> written;
    std::vector<const AssetsCall*> rewritten;
    for (const AssetsCall& call : source_.calls()) {
      if (!call.reason.empty()) continue;
      rewritten.push_back(&call);
      editor.Replace(py().tokens[call.cached].begin, py().tokens[call.cached].end, "weights");
      for (const CachedElement& element : call.elements) {
        const bool known = std::find(written.begin(), written.end(), element.call) != written.end();
        if (known) continue;
        written.push_back(element.call);
        WriteRepo(*element.call, call.constructor, editor);
      }
    }
    if (rewritten.empty()) return Search();
    std::vector<std::string> notes;
    WriteImports(rewritten, written, editor, notes);
    const auto text = editor.Apply();
    if (!text || !IsGood(*text, rewritten.size())) {
      for (AssetsCall& call : source_.calls()) {
        if (call.reason.empty())
          call.reason = "it is written in a way that cannot be changed safely";
      }
      return Search();
    }
    plan_.changed.push_back({file_.path, *text});
    std::string searched(source_.text());
    for (const RepoCall* call : written) {
      const std::size_t begin = py().tokens[call->first].begin;
      for (std::size_t i = begin; i < py().tokens[call->close].end; ++i) {
        if (searched[i] != '\n' && searched[i] != '\r') searched[i] = ' ';
      }
      plan_.plan.weights.push_back(*call->weight);
      for (const MigrateWarning& w : call->warnings) plan_.plan.warnings.push_back(w);
    }
    plan_.searched.push_back({file_.path, searched});
    for (std::string& note : notes)
      plan_.plan.warnings.push_back({file_.path, 1, std::move(note), {}});
  }

  // What was written is Python, has the calls, and has nothing left of what was rewritten.
  bool IsGood(const std::string& text, std::size_t calls) const {
    int line = 0;
    const auto tokens = TokenizePython(text, line);
    if (!tokens) return false;
    const auto count = [](std::string_view where, const PyTokens& py, std::string_view word) {
      return std::count_if(py.tokens.begin(), py.tokens.end(), [&](const PyToken& t) {
        return t.kind == PyKind::kName && where.substr(t.begin, t.end - t.begin) == word;
      });
    };
    return count(text, *tokens, "cached") + static_cast<std::ptrdiff_t>(calls) ==
           count(source_.text(), py(), "cached");
  }

  // WeightsSource must be there, and an import that nothing uses any more goes.
  void WriteImports(const std::vector<const AssetsCall*>& calls,
                    const std::vector<const RepoCall*>& written,
                    PyEditor& editor,
                    std::vector<std::string>& notes) const {
    const bool bare = std::any_of(calls.begin(), calls.end(), [](const AssetsCall* call) {
      return call->constructor == "WeightsSource";
    });
    const PyImport* here = names().ImportOf("WeightsSource");
    const PyImport* assets = nullptr;
    for (const PyImport& import : names().imports()) {
      if (import.qualified.ends_with(".Assets")) assets = &import;
    }
    if (bare && here == nullptr && assets != nullptr) {
      editor.InsertAfter(ItemOf(*assets), {"WeightsSource"});
    }
    std::set<std::string> candidates;
    for (const RepoCall* call : written) candidates.insert(std::string(Text(call->first)));
    for (const CachedElement* element : Elements(calls)) {
      for (const PyArgument& a : element->call->arguments) {
        if (a.name == "kind") candidates.insert(std::string(Text(a.first)));
      }
    }
    for (const std::string& name : candidates) DropImport(name, written, editor, notes);
  }

  static std::vector<const CachedElement*> Elements(const std::vector<const AssetsCall*>& calls) {
    std::vector<const CachedElement*> all;
    for (const AssetsCall* call : calls) {
      for (const CachedElement& element : call->elements) all.push_back(&element);
    }
    return all;
  }

  PyItem ItemOf(const PyImport& import) const {
    return {py().tokens[import.first].begin, py().tokens[import.last].end,
            Is(import.last + 1, ",") ? py().tokens[import.last + 1].end : 0};
  }

  bool StillUsed(const std::string& name,
                 std::size_t statement,
                 const std::vector<const RepoCall*>& written) const {
    const std::size_t end = names().EndOf(statement);
    for (const std::size_t use : names().UsesOf(name)) {
      if (use >= statement && use < end) continue;
      const bool gone = std::any_of(written.begin(), written.end(), [&](const RepoCall* call) {
        if (use == call->first) return true;
        return std::any_of(call->arguments.begin(), call->arguments.end(),
                           [&](const PyArgument& a) {
                             return a.name == "kind" && use >= a.first && use < a.last;
                           });
      });
      if (!gone) return true;
    }
    // Names in strings: __all__, annotations in quotes.
    return std::any_of(py().tokens.begin(), py().tokens.end(), [&](const PyToken& t) {
      return t.kind == PyKind::kString &&
             IsWordIn(source_.text().substr(t.begin, t.end - t.begin), name);
    });
  }

  void DropImport(const std::string& name,
                  const std::vector<const RepoCall*>& written,
                  PyEditor& editor,
                  std::vector<std::string>& notes) const {
    const PyImport* import = names().ImportOf(name);
    // The chains module itself stays in use; __init__.py hands names on.
    if (import == nullptr || import->qualified == "truss_chains") return;
    if (StillUsed(name, import->statement, written)) return;
    std::vector<PyItem> items;
    std::vector<bool> remove;
    for (const PyImport& other : names().imports()) {
      if (other.statement != import->statement) continue;
      items.push_back(ItemOf(other));
      remove.push_back(&other == import);
    }
    const std::size_t end = names().EndOf(import->statement);
    const std::size_t from = py().tokens[import->statement].begin;
    const std::size_t to = py().tokens[end - 1].end;
    const bool whole_lines =
        from == editor.LineStart(from) && editor.LineEnd(to) == to && !py().HasCommentIn(from, to);
    const bool keep = file_.path.ends_with("__init__.py") || (items.size() == 1 && !whole_lines);
    if (keep) {
      notes.push_back(fmt::format("the import of {} is not used any more", name));
    } else if (items.size() == 1) {
      editor.RemoveLines(from, to);
    } else {
      const bool brackets = Is(end - 1, ")");
      editor.Remove(items, remove, brackets);
    }
  }

  // --- What is said ---

  void Report() {
    for (const AssetsCall& call : source_.calls()) {
      if (call.reason.empty()) continue;
      ++plan_.by_hand;
      MigrateWarning& warning = plan_.plan.warnings.emplace_back();
      warning.file = file_.path;
      warning.line = source_.LineOf(call.cached);
      warning.message = fmt::format("cached is not rewritten: {}{} Write weights in its place",
                                    call.reason, call.reason.ends_with('.') ? "" : ".");
      warning.suggestion = Suggestion(call);
    }
  }

  std::string Suggestion(const AssetsCall& call) const {
    const std::string name = call.constructor;
    std::string out = "weights=[";
    for (const CachedElement& element : call.elements) {
      out += fmt::format("\n    {}({}),", name, SuggestedArguments(element));
    }
    if (call.elements.empty()) out += fmt::format("\n    {}({}),", name, kTemplate);
    return out + "\n]";
  }

  static std::string Quoted(std::string_view text) { return PythonLiteral(text, '"'); }

  // Expressions joined by '+', literals beside each other as one.
  static std::string Sum(const std::vector<std::string>& parts) {
    std::string out;
    std::string text;
    bool has_text = false;
    const auto add = [&out](const std::string& part) { out += (out.empty() ? "" : " + ") + part; };
    for (const std::string& part : parts) {
      const auto literal = PythonStringValue(part);
      const bool one = literal && PythonLiteral(*literal, part[0]) == part;
      if (one) text += *literal;
      has_text = has_text || one;
      if (one || part.empty()) continue;
      if (has_text) add(Quoted(text));
      text.clear();
      has_text = false;
      const bool simple = part.find_first_of(" \t\r\n") == std::string::npos;
      add(simple ? part : "(" + part + ")");
    }
    if (has_text) add(Quoted(text));
    return out;
  }

  std::string SuggestedArguments(const CachedElement& element) const {
    const RepoCall* call = element.call;
    if (call != nullptr && call->weight) {
      const PlannedWeight& weight = *call->weight;
      std::string out = "source=" + SourceOf(*call) + ", mount_location=" + MountOf(*call);
      if (!weight.secret.empty()) {
        out += ", auth_secret_name=" + Expression(*call, "repo_id", weight.secret);
      }
      if (weight.allow != nullptr) {
        out += ", allow_patterns=" + PatternsOf(*call, "allow_patterns", *weight.allow);
      }
      if (weight.ignore != nullptr) {
        out += ", ignore_patterns=" + PatternsOf(*call, "ignore_patterns", *weight.ignore);
      }
      return out;
    }
    if (call == nullptr) return std::string(kTemplate);
    const auto raw = [&](std::string_view name) {
      for (const PyArgument& a : call->arguments) {
        if (a.name == name) return std::string(Text(a.first, a.last));
      }
      return std::string();
    };
    const std::string repo = raw("repo_id");
    const std::string revision = raw("revision");
    const std::string folder = raw("volume_folder");
    const std::string secret = raw("runtime_secret_name");
    if (repo.empty()) return std::string(kTemplate);
    const PyValue* kind = Find(*call, "kind");
    const std::string scheme = kind == nullptr || kind->node.text == "hf" ? "hf"
                               : kind->node.text == "gcs"                 ? "gs"
                                                                          : kind->node.text;
    std::string out =
        "source=" + Sum({Quoted(scheme + "://"), repo, revision.empty() ? "" : "\"@\"", revision});
    const auto literal = PythonStringValue(repo);
    std::string directory = literal ? *literal : "";
    std::replace(directory.begin(), directory.end(), '/', '_');
    out += ", mount_location=" +
           Sum({Quoted(kFoldersRoot), !folder.empty() ? folder
                                      : literal       ? Quoted(directory)
                                                : fmt::format("({}).replace(\"/\", \"_\")", repo)});
    out += fmt::format(", auth_secret_name={}", secret.empty() ? "\"hf_access_token\"" : secret);
    for (const char* name : {"allow_patterns", "ignore_patterns"}) {
      const std::string list = raw(name);
      if (!list.empty()) out += fmt::format(", {}={}", name, list);
    }
    return out;
  }

  ChainSource& source_;
  const CodeFile& file_;
  const MigrateRules& rules_;
  ChainsPlan& plan_;
};

}  // namespace

ChainsPlan PlanChains(const std::vector<CodeFile>& code, const MigrateRules& rules) {
  ChainsPlan plan;
  for (const CodeFile& file : code) {
    ChainSource source(file, rules, plan);
    int error_line = 0;
    if (source.Read(code, error_line)) {
      ChainWriter(source, rules, plan).Run();
      continue;
    }
    plan.searched.push_back(file);
    if (error_line == 0) continue;
    ++plan.by_hand;
    plan.plan.warnings.push_back({file.path,
                                  error_line,
                                  "this file cannot be read as Python from here on; write weights "
                                  "in place of cached by hand",
                                  {}});
  }
  return plan;
}

}  // namespace bdn::model
