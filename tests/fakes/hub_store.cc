#include "fakes/hub_store.h"

#include <algorithm>
#include <utility>

#include "crypto/hash.h"

namespace bdn::fakes {
namespace {

std::string KeyOf(std::string_view kind, std::string_view id) {
  return std::string(kind) + "/" + std::string(id);
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Error NoRepository(std::string_view kind, std::string_view id) {
  return Error(Code::kNotFound, "there is no repository " + KeyOf(kind, id));
}

std::string CommitId(const std::string& parent, const HubTree& tree) {
  crypto::Hasher hasher(crypto::HashKind::kSha1);
  hasher.Update("commit " + parent + "\n");
  for (const auto& [path, file] : tree) hasher.Update(path + '\0' + file->oid + '\n');
  return hasher.FinishHex();
}

}  // namespace

std::string HubFile::pointer() const {
  return "version https://git-lfs.github.com/spec/v1\noid sha256:" + sha256 + "\nsize " +
         std::to_string(content->size) + "\n";
}

std::shared_ptr<const HubFile> MakeHubFile(std::string_view path,
                                           ContentPtr content,
                                           const LfsRule& rule) {
  auto file = std::make_shared<HubFile>();
  file->content = std::move(content);
  const bool lfs = file->content->size >= rule.bytes_min ||
                   std::any_of(rule.suffixes.begin(), rule.suffixes.end(),
                               [&](const std::string& suffix) { return path.ends_with(suffix); });
  if (lfs) {
    file->sha256 = Sha256Of(*file->content);
    file->oid = GitBlobIdOf(file->pointer());
  } else {
    const auto bytes = file->content->Read(0, file->content->size);
    file->oid = GitBlobIdOf(bytes ? *bytes : std::string());
  }
  return file;
}

std::optional<std::string> HubRepository::FindRevision(std::string_view revision) const {
  if (const auto ref = refs.find(std::string(revision)); ref != refs.end()) return ref->second;
  if (revision.size() < 7) return std::nullopt;
  const auto first = commits.lower_bound(std::string(revision));
  if (first == commits.end() || !first->first.starts_with(revision)) return std::nullopt;
  const auto second = std::next(first);
  if (second != commits.end() && second->first.starts_with(revision)) return std::nullopt;
  return first->first;
}

Status HubStore::Add(HubRepository repository) {
  if (repository.kind != "models" && repository.kind != "datasets" && repository.kind != "spaces") {
    return Error(Code::kInvalidArgument, "kind: must be models, datasets or spaces");
  }
  if (repository.id.empty() || std::count(repository.id.begin(), repository.id.end(), '/') > 1) {
    return Error(Code::kInvalidArgument, "'" + repository.id + "' names no repository");
  }
  const std::string key = KeyOf(repository.kind, repository.id);
  if (repositories_.contains(key)) return Error(Code::kAlreadyExists, key + " exists already");
  renamed_.erase(key);
  repositories_.emplace(key, std::move(repository));
  return {};
}

Result<std::string> HubStore::Commit(
    std::string_view kind,
    std::string_view id,
    const std::string& branch,
    const std::map<std::string, std::shared_ptr<const HubFile>>& files,
    const std::vector<std::string>& removed,
    bool replace) {
  HubRepository* repository = Find(kind, id);
  if (repository == nullptr) return NoRepository(kind, id);
  std::string parent;
  HubTree tree;
  if (const auto ref = repository->refs.find(branch); ref != repository->refs.end()) {
    parent = ref->second;
    if (!replace) tree = *repository->commits.at(parent);
  }
  for (const std::string& path : removed) tree.erase(path);
  for (const auto& [path, file] : files) {
    tree[path] = file;
    if (file->lfs()) objects_[file->sha256] = file->content;
  }
  std::string sha = CommitId(parent, tree);
  repository->commits[sha] = std::make_shared<const HubTree>(std::move(tree));
  repository->refs[branch] = sha;
  return sha;
}

Status HubStore::SetRef(std::string_view kind,
                        std::string_view id,
                        const std::string& ref,
                        const std::string& sha) {
  HubRepository* repository = Find(kind, id);
  if (repository == nullptr) return NoRepository(kind, id);
  if (!repository->commits.contains(sha)) {
    return Error(Code::kNotFound, KeyOf(kind, id) + " has no commit " + sha);
  }
  repository->refs[ref] = sha;
  return {};
}

Status HubStore::Rename(std::string_view kind, std::string_view id, const std::string& new_id) {
  const auto it = repositories_.find(KeyOf(kind, id));
  if (it == repositories_.end()) return NoRepository(kind, id);
  HubRepository repository = it->second;
  repository.id = new_id;
  BDN_TRY(Add(std::move(repository)));
  repositories_.erase(KeyOf(kind, id));
  renamed_[KeyOf(kind, id)] = new_id;
  return {};
}

HubRepository* HubStore::Find(std::string_view kind, std::string_view id) {
  const auto it = repositories_.find(KeyOf(kind, id));
  return it == repositories_.end() ? nullptr : &it->second;
}

const HubRepository* HubStore::Find(std::string_view kind, std::string_view id) const {
  const auto it = repositories_.find(KeyOf(kind, id));
  return it == repositories_.end() ? nullptr : &it->second;
}

std::optional<std::string> HubStore::RenamedTo(std::string_view kind, std::string_view id) const {
  const std::string key = KeyOf(kind, id);
  if (const auto it = renamed_.find(key); it != renamed_.end()) return it->second;
  for (const auto& [known, repository] : repositories_) {
    if (known != key && Lower(known) == Lower(key)) return repository.id;
  }
  return std::nullopt;
}

ContentPtr HubStore::FindObject(std::string_view sha256) const {
  const auto it = objects_.find(sha256);
  return it == objects_.end() ? nullptr : it->second;
}

}  // namespace bdn::fakes
