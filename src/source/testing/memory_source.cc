#include "source/testing/memory_source.h"

#include <algorithm>
#include <utility>

namespace bdn::source::testing {
namespace {

std::string RevisionName(std::uint64_t revision) {
  return "rev-" + std::to_string(revision);
}

Error Changed(const std::string& what) {
  return Error(Code::kFailedPrecondition, "source changed: " + what);
}

}  // namespace

void MemorySource::Publish(std::string path, std::string content) {
  File file;
  file.content = std::move(content);
  Publish(std::move(path), std::move(file));
}

void MemorySource::Publish(std::string path, File file) {
  state_.With([&](State& s) {
    s.revision += 1;
    if (file.etag.empty()) file.etag = "etag-" + std::to_string(s.revision);
    s.files[std::move(path)] = std::move(file);
  });
}

void MemorySource::Remove(const std::string& path) {
  state_.With([&](State& s) {
    s.revision += 1;
    s.files.erase(path);
  });
}

void MemorySource::Damage(const std::string& path, std::uint64_t offset) {
  state_.With([&](State& s) {
    char& byte = s.files.at(path).content.at(offset);
    byte = static_cast<char>(byte ^ 1);
  });
}

void MemorySource::FlipByte(const std::string& path, std::uint64_t offset, int times) {
  state_.With([&](State& s) { s.flips.push_back({path, offset, times}); });
}

void MemorySource::OnRead(std::function<Status(const Context&, const ReadCall&)> hook) {
  state_.With([&](State& s) { s.hook = std::move(hook); });
}

void MemorySource::Warn(std::string warning) {
  state_.With([&](State& s) { s.warnings.push_back(std::move(warning)); });
}

std::vector<MemorySource::ReadCall> MemorySource::reads() const {
  return state_.With([](const State& s) { return s.reads; });
}

std::uint64_t MemorySource::bytes_served() const {
  return state_.With([](const State& s) { return s.bytes_served; });
}

int MemorySource::resolves() const {
  return state_.With([](const State& s) { return s.resolves; });
}

int MemorySource::lists() const {
  return state_.With([](const State& s) { return s.lists; });
}

int MemorySource::describes() const {
  return state_.With([](const State& s) { return s.describes; });
}

int MemorySource::concurrent_reads_max() const {
  return state_.With([](const State& s) { return s.reading_max; });
}

void MemorySource::ForgetCalls() {
  state_.With([](State& s) {
    s.reads.clear();
    s.bytes_served = 0;
    s.resolves = 0;
    s.lists = 0;
    s.describes = 0;
    s.reading_max = 0;
  });
}

Result<Pin> MemorySource::Resolve(const Context& ctx) {
  BDN_TRY(ctx.Check());
  return state_.With([&](State& s) {
    s.resolves += 1;
    Pin pin;
    pin.fingerprint = RevisionName(s.revision);
    pin.fingerprint_type = "memory-revision";
    pin.identity = identity_;
    pin.warnings = s.warnings;
    return pin;
  });
}

Result<std::vector<RemoteFile>> MemorySource::List(const Context& ctx, const Pin& pin) {
  BDN_TRY(ctx.Check());
  return state_.With([&](State& s) -> Result<std::vector<RemoteFile>> {
    s.lists += 1;
    if (pin.fingerprint != RevisionName(s.revision)) return Changed("it has a new revision");
    std::vector<RemoteFile> files;
    files.reserve(s.files.size());
    for (const auto& [path, file] : s.files) {
      files.push_back({.path = path,
                       .size = file.content.size(),
                       .etag = file.etag,
                       .version = file.version,
                       .hash_kind = file.hash_by_describe ? ContentHash::kNone : file.hash_kind,
                       .hash = file.hash_by_describe ? "" : file.hash});
    }
    return files;
  });
}

Result<RemoteFile> MemorySource::Describe(const Context& ctx,
                                          const Pin& pin,
                                          const RemoteFile& file) {
  BDN_TRY(ctx.Check());
  return state_.With([&](State& s) -> Result<RemoteFile> {
    s.describes += 1;
    const auto it = s.files.find(file.path);
    if (pin.identity != identity_ || it == s.files.end() || it->second.etag != file.etag) {
      return Changed(file.path + " is another one");
    }
    RemoteFile described = file;
    described.hash_kind = it->second.hash_kind;
    described.hash = it->second.hash;
    return described;
  });
}

Result<std::string> MemorySource::BytesOf(const Pin& pin,
                                          const RemoteFile& file,
                                          net::ByteRange range) {
  return state_.With([&](State& s) -> Result<std::string> {
    if (pin.identity != identity_) return Error(Code::kInvalidArgument, "pin of another source");
    const auto it = s.files.find(file.path);
    if (it == s.files.end()) return Changed(file.path + " is gone");
    const File& stored = it->second;
    if (stored.etag != file.etag || stored.content.size() != file.size) {
      return Changed(file.path + " has another etag");
    }
    if (range.begin > range.end || range.end > file.size) {
      return Error(Code::kInvalidArgument, "range outside of " + file.path);
    }
    std::string bytes = stored.content.substr(range.begin, range.size());
    for (Flip& flip : s.flips) {
      if (flip.path != file.path || flip.times == 0) continue;
      if (flip.offset < range.begin || flip.offset >= range.end) continue;
      flip.times -= 1;
      char& byte = bytes[flip.offset - range.begin];
      byte = static_cast<char>(byte ^ 1);
    }
    return bytes;
  });
}

Status MemorySource::Deliver(const Context& ctx, const std::string& bytes, const ByteSink& sink) {
  for (std::size_t at = 0; at < bytes.size(); at += piece_bytes_) {
    BDN_TRY(ctx.Check());
    const std::size_t size = std::min(piece_bytes_, bytes.size() - at);
    BDN_TRY(sink(std::as_bytes(std::span(bytes).subspan(at, size))));
    state_.With([&](State& s) { s.bytes_served += size; });
  }
  return {};
}

Status MemorySource::Read(const Context& ctx,
                          const Pin& pin,
                          const RemoteFile& file,
                          net::ByteRange range,
                          const ByteSink& sink) {
  BDN_TRY(ctx.Check());
  if (range.begin == range.end) return {};
  const ReadCall call{file.path, range};
  const auto hook = state_.With([&](State& s) {
    s.reads.push_back(call);
    s.reading += 1;
    s.reading_max = std::max(s.reading_max, s.reading);
    return s.hook;
  });
  Status status;
  if (hook) status = hook(ctx, call);
  if (status) {
    auto bytes = BytesOf(pin, file, range);
    status = bytes ? Deliver(ctx, *bytes, sink) : Status(std::move(bytes).error());
  }
  state_.With([](State& s) { s.reading -= 1; });
  return status;
}

}  // namespace bdn::source::testing
