#include "os/testing/faulty_fs.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/guarded.h"

namespace bdn::os::testing {

class FaultyFs::Plan {
 public:
  // Counts one call; the fault when it must fail.
  std::optional<Fault> Count() {
    return state_.With([](State& s) -> std::optional<Fault> {
      const std::uint64_t n = s.operations++;
      if (!s.fault || n < s.fail_at || (n > s.fail_at && !s.fault->all_later)) return std::nullopt;
      s.failures += 1;
      return s.fault;
    });
  }
  Status Step(std::string_view action, std::string_view path) {
    const auto fault = Count();
    if (!fault) return {};
    return Failure(*fault, action, path);
  }
  static Error Failure(const Fault& fault, std::string_view action, std::string_view path) {
    return Error(fault.code,
                 std::string(action) + " \"" + std::string(path) + "\": fault of a test");
  }
  void FailAt(std::uint64_t n, const Fault& fault) {
    state_.With([&](State& s) {
      s.fail_at = s.operations + n;
      s.fault = fault;
      s.failures = 0;
    });
  }
  void Heal() {
    state_.With([](State& s) { s.fault.reset(); });
  }
  std::uint64_t operations() const {
    return state_.With([](const State& s) { return s.operations; });
  }
  std::uint64_t failures() const {
    return state_.With([](const State& s) { return s.failures; });
  }

 private:
  struct State {
    std::uint64_t operations = 0;
    std::uint64_t failures = 0;
    std::uint64_t fail_at = 0;
    std::optional<Fault> fault;
  };
  Guarded<State> state_;
};

namespace {

class FaultyFile final : public File {
 public:
  FaultyFile(std::unique_ptr<File> inner, std::shared_ptr<FaultyFs::Plan> plan, std::string path)
      : inner_(std::move(inner)), plan_(std::move(plan)), path_(std::move(path)) {}

  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::byte> into) const override {
    BDN_TRY(plan_->Step("read", path_));
    return inner_->ReadAt(offset, into);
  }
  Status WriteAt(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const auto fault = plan_->Count();
    if (!fault) return inner_->WriteAt(offset, bytes);
    if (fault->torn_bytes) {
      const std::size_t torn = std::min(*fault->torn_bytes, bytes.size());
      BDN_TRY(inner_->WriteAt(offset, bytes.first(torn)));
    }
    return FaultyFs::Plan::Failure(*fault, "write", path_);
  }
  Status Allocate(std::uint64_t size_bytes) override {
    BDN_TRY(plan_->Step("allocate", path_));
    return inner_->Allocate(size_bytes);
  }
  Status Truncate(std::uint64_t size_bytes) override {
    BDN_TRY(plan_->Step("truncate", path_));
    return inner_->Truncate(size_bytes);
  }
  Status Sync() override {
    BDN_TRY(plan_->Step("sync", path_));
    return inner_->Sync();
  }
  Result<FileInfo> Info() const override {
    BDN_TRY(plan_->Step("stat", path_));
    return inner_->Info();
  }
  int fd() const noexcept override { return inner_->fd(); }

 private:
  std::unique_ptr<File> inner_;
  std::shared_ptr<FaultyFs::Plan> plan_;
  std::string path_;
};

}  // namespace

FaultyFs::FaultyFs(std::unique_ptr<Fs> inner)
    : inner_(std::move(inner)), plan_(std::make_shared<Plan>()) {}
FaultyFs::FaultyFs(Fs& inner)
    : inner_(std::shared_ptr<Fs>(), &inner), plan_(std::make_shared<Plan>()) {}
FaultyFs::FaultyFs(std::shared_ptr<Fs> inner, std::shared_ptr<Plan> plan)
    : inner_(std::move(inner)), plan_(std::move(plan)) {}
FaultyFs::~FaultyFs() = default;

std::unique_ptr<Fs> FaultyFs::Share() const {
  return std::unique_ptr<Fs>(new FaultyFs(inner_, plan_));
}

void FaultyFs::FailAt(std::uint64_t n, Fault fault) {
  plan_->FailAt(n, fault);
}
void FaultyFs::Heal() {
  plan_->Heal();
}
std::uint64_t FaultyFs::operations() const {
  return plan_->operations();
}
std::uint64_t FaultyFs::failures() const {
  return plan_->failures();
}

Result<std::unique_ptr<File>> FaultyFs::Open(std::string_view path,
                                             OpenMode mode,
                                             std::uint32_t permissions) {
  BDN_TRY(plan_->Step("open", path));
  BDN_ASSIGN(std::unique_ptr<File> file, inner_->Open(path, mode, permissions));
  return std::make_unique<FaultyFile>(std::move(file), plan_, std::string(path));
}

Result<FileInfo> FaultyFs::Stat(std::string_view path) const {
  BDN_TRY(plan_->Step("stat", path));
  return inner_->Stat(path);
}

Status FaultyFs::MakeDir(std::string_view path, std::uint32_t permissions) {
  BDN_TRY(plan_->Step("make directory", path));
  return inner_->MakeDir(path, permissions);
}

Status FaultyFs::Remove(std::string_view path) {
  BDN_TRY(plan_->Step("remove", path));
  return inner_->Remove(path);
}

Status FaultyFs::RemoveDir(std::string_view path) {
  BDN_TRY(plan_->Step("remove directory", path));
  return inner_->RemoveDir(path);
}

Status FaultyFs::Rename(std::string_view from, std::string_view to) {
  BDN_TRY(plan_->Step("rename", from));
  return inner_->Rename(from, to);
}

Status FaultyFs::Link(std::string_view from, std::string_view to) {
  BDN_TRY(plan_->Step("link", from));
  return inner_->Link(from, to);
}

Status FaultyFs::Symlink(std::string_view target, std::string_view path) {
  BDN_TRY(plan_->Step("make symbolic link", path));
  return inner_->Symlink(target, path);
}

Result<std::string> FaultyFs::ReadLink(std::string_view path) const {
  BDN_TRY(plan_->Step("read link", path));
  return inner_->ReadLink(path);
}

Status FaultyFs::SetMode(std::string_view path, std::uint32_t permissions) {
  BDN_TRY(plan_->Step("change mode of", path));
  return inner_->SetMode(path, permissions);
}

Status FaultyFs::SetModified(std::string_view path, WallTime time) {
  BDN_TRY(plan_->Step("set time of", path));
  return inner_->SetModified(path, time);
}

Status FaultyFs::List(std::string_view path,
                      const std::function<Status(const DirEntry&)>& visit) const {
  BDN_TRY(plan_->Step("list", path));
  return inner_->List(path, visit);
}

Status FaultyFs::SyncDir(std::string_view path) {
  BDN_TRY(plan_->Step("sync directory", path));
  return inner_->SyncDir(path);
}

Status FaultyFs::SyncAll() {
  BDN_TRY(plan_->Step("sync everything", ""));
  return inner_->SyncAll();
}

Result<DiskSpace> FaultyFs::Space() const {
  BDN_TRY(plan_->Step("ask the free space", ""));
  return inner_->Space();
}

std::string FaultyFs::HostPath(std::string_view path) const {
  return inner_->HostPath(path);
}

}  // namespace bdn::os::testing
