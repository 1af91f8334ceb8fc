#include "cli/identity_file.h"

#include <algorithm>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include "base/executor.h"
#include "base/log.h"
#include "os/real_fs.h"

namespace bdn::cli {
namespace {

constexpr char kName[] = "token";
constexpr Duration kFetchTimeout = std::chrono::seconds(30);

Duration Within(Duration wait, Duration least, Duration most) {
  return std::clamp(wait, least, most);
}

}  // namespace

IdentityFile::IdentityFile(Fetch fetch, std::string dir)
    : fetch_(std::move(fetch)), dir_(std::move(dir)), path_(dir_ + "/" + kName) {}

Result<std::unique_ptr<IdentityFile>> IdentityFile::Make(const Context& ctx,
                                                         Fetch fetch,
                                                         const std::string& parent) {
  auto file = std::unique_ptr<IdentityFile>(
      new IdentityFile(std::move(fetch), parent + "/bdn-identity-" + os::RandomName()));
  if (::mkdir(file->dir_.c_str(), 0700) != 0) {
    return Error(Code::kPermissionDenied, "cannot make " + file->dir_ + " for the identity token");
  }
  BDN_ASSIGN(file->fs_, os::OpenRealFs(file->dir_));
  BDN_TRY(file->Replace(ctx));
  return file;
}

IdentityFile::~IdentityFile() {
  if (renewer_.joinable()) {
    renewer_.request_stop();
    renewer_.join();
  }
  if (fs_) (void)fs_->Remove(kName);
  ::rmdir(dir_.c_str());
}

Result<Duration> IdentityFile::Replace(const Context& ctx) {
  BDN_ASSIGN(const api::IdentityTokenBody token, fetch_(ctx.WithTimeout(kFetchTimeout)));
  const auto ends = ParseRfc3339(token.expires_at);
  if (!ends || token.token.empty()) {
    return Error(Code::kUnavailable, "the control plane sent no identity token");
  }
  // By rename: who reads the file sees the old token or the new one.
  BDN_TRY(os::WriteFileDurably(*fs_, kName, token.token, 0400));
  ends_at_ = *ends;
  return *ends - ctx.clock().Now();
}

Duration IdentityFile::Renew(const Context& ctx) {
  constexpr Duration kLeast = std::chrono::seconds(1);
  const auto left = Replace(ctx);
  if (left) return Within(*left * 2 / 3, kLeast, std::chrono::hours(1));
  log::Warn("the identity token is not renewed yet", {{"why", left.error().message()}});
  return Within((ends_at_ - ctx.clock().Now()) / 10, kLeast, std::chrono::seconds(60));
}

void IdentityFile::KeepFresh(const Context& ctx) {
  const Duration first = Within((ends_at_ - ctx.clock().Now()) * 2 / 3, std::chrono::seconds(1),
                                std::chrono::hours(1));
  renewer_ = std::jthread([this, ctx, first](const std::stop_token& stop) {
    NameThisThread("identity");
    const Context own = ctx.WithStop(stop);
    for (Duration wait = first; own.Sleep(wait);) wait = Renew(own);
  });
}

}  // namespace bdn::cli
