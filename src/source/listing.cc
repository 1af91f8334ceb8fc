#include "source/listing.h"

#include <string_view>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "cloud/hugging_face_hub.h"
#include "model/manifest.h"

namespace bdn::source {
namespace {

constexpr std::size_t kOffendersNamedMax = 200;
constexpr std::size_t kOffenderBytesShownMax = 300;

// What is wrong with the names of a listing, all of it in one error.
class Offenders {
 public:
  void Add(std::string_view path, std::string_view why) {
    ++count_;
    if (count_ > kOffendersNamedMax) return;
    text_ += fmt::format("\n  '{}': {}", cloud::Printable(path, kOffenderBytesShownMax),
                         std::string(why));
  }
  Status ToStatus(const std::string& identity) const {
    if (count_ == 0) return {};
    std::string text = fmt::format("{} has {} {} that cannot be mirrored:{}", identity, count_,
                                   count_ == 1 ? "name" : "names", text_);
    if (count_ > kOffendersNamedMax) {
      text += fmt::format("\n  and {} more", count_ - kOffendersNamedMax);
    }
    return Error(Code::kInvalidArgument, std::move(text));
  }

 private:
  std::size_t count_ = 0;
  std::string text_;
};

}  // namespace

Status CheckListing(const std::string& identity,
                    const std::vector<RemoteFile>& files,
                    const std::vector<std::string>& directories) {
  Offenders offenders;
  std::unordered_set<std::string_view> names;
  names.reserve(files.size());
  for (const RemoteFile& file : files) {
    if (const auto status = model::CheckTreePath(file.path); !status) {
      offenders.Add(file.path, status.error().message());
    } else if (!names.insert(file.path).second) {
      offenders.Add(file.path, "is listed twice");
    }
  }
  for (const std::string& directory : directories) {
    if (names.contains(directory)) offenders.Add(directory, "is both a file and a directory");
  }
  std::string_view reported;
  for (const RemoteFile& file : files) {
    for (std::size_t at = file.path.find('/'); at != file.path.npos;
         at = file.path.find('/', at + 1)) {
      const std::string_view parent = std::string_view(file.path).substr(0, at);
      if (!names.contains(parent) || parent == reported) continue;
      offenders.Add(parent, fmt::format("is a file, but '{}' lies below it",
                                        cloud::Printable(file.path, kOffenderBytesShownMax)));
      reported = parent;
    }
  }
  return offenders.ToStatus(identity);
}

}  // namespace bdn::source
