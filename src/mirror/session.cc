#include "mirror/session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "crypto/blake3.h"
#include "mirror/holding.h"
#include "source/content_verifier.h"

namespace bdn::mirror {
namespace {

// A mirror that is told to stop still stores what it has.
constexpr Duration kLastFlushMax = std::chrono::seconds(10);
constexpr int kTriesMax = 2;  // a file whose content is wrong is fetched once more
constexpr std::size_t kWarningsMax = 20;
// Files up to this size are stored many at once: for larger ones the flush is not what takes time,
// and one thread would write them all.
constexpr std::size_t kStoredTogetherMax = 1u << 20;

Error StillWrong(Error error) {
  return std::move(error)
      .Context("fetched twice")
      .WithHint("the published file or something on the way to it is damaged; push again later");
}

}  // namespace

Session::Session(Engine& engine,
                 source::Source& source,
                 const store::Scope& scope,
                 const source::Pin& pin,
                 std::vector<source::RemoteFile>& files,
                 ProgressReporter& progress)
    : engine_(engine),
      source_(source),
      scope_(scope),
      pin_(pin),
      files_(files),
      progress_(progress),
      finished_(engine.objects, engine.metadata, scope),
      results_(files.size()),
      held_at_(files.size()) {}

Session::~Session() = default;

std::vector<std::string> Session::warnings() const {
  return warnings_.With([](const auto& warnings) { return warnings; });
}

// ---- the queue ----------------------------------------------------------------------------------

Status Session::Fetch(const Context& ctx) {
  std::uint64_t units = files_.size();
  for (const source::RemoteFile& file : files_) units += file.size / engine_.options.chunk_bytes;
  const std::uint64_t workers =
      std::clamp<std::uint64_t>(units, 1, std::max<std::size_t>(engine_.options.parallel, 1));
  Status worked;
  {
    TaskGroup group(engine_.fetchers, ctx);
    for (std::uint64_t i = 0; i < workers; ++i) {
      group.Run([this](const Context& worker_ctx) { return Work(worker_ctx); });
    }
    worked = group.Wait();
  }
  // Also after an error and when it is cancelled: what is complete stays known.
  Status flushed = finished_.Flush(Context(ctx.clock()).WithTimeout(kLastFlushMax));
  if (!worked) return worked;
  return flushed;
}

Status Session::Work(const Context& ctx) {
  for (;;) {
    BDN_TRY(ctx.Check());
    BDN_ASSIGN(const Offer offer, AwaitOffer(ctx));
    switch (offer) {
      case Offer::kNothing:
        return {};
      case Offer::kChunk:
        BDN_TRY(WorkOnChunk(ctx));
        break;
      case Offer::kFile:
        BDN_TRY(WorkOnFile(ctx));
        break;
      case Offer::kDeferred:
        BDN_TRY(WorkOnDeferred(ctx));
        break;
    }
  }
}

Result<Session::Offer> Session::AwaitOffer(const Context& ctx) {
  std::optional<Offer> offer;
  const auto look = [&](const Queue& queue) {
    if (!queue.open.empty()) {
      offer = Offer::kChunk;
    } else if (queue.next_file < files_.size()) {
      offer = Offer::kFile;
    } else if (!queue.deferred.empty()) {
      offer = Offer::kDeferred;
    } else if (queue.busy == 0) {
      offer = Offer::kNothing;
    }
    return offer.has_value();
  };
  if (queue_.With(look)) return *offer;
  // Nobody may wait for a file that waits in our batch while we wait ourselves.
  BDN_TRY(finished_.Flush(ctx));
  if (!queue_.Wait(ctx.stop(), look)) return Error(Code::kCancelled, "cancelled");
  return *offer;
}

// Ends what a worker took from the queue, however it ended.
void Session::Done() {
  queue_.Change([](Queue& queue) { queue.busy -= 1; });
}

Status Session::WorkOnChunk(const Context& ctx) {
  // First the memory, then the claim: the oldest chunk that is not there yet always has memory.
  BDN_ASSIGN(ChunkBuffer buffer, NewBuffer(ctx, engine_.options.chunk_bytes));
  ChunkClaim claim;
  queue_.With([&](Queue& queue) {
    if (queue.open.empty()) return;
    claim.file = queue.open.front();
    LargeFile& file = *claim.file;
    claim.slot = file.missing[file.claimed++];
    if (file.claimed == file.missing.size()) queue.open.pop_front();
    queue.busy += 1;
  });
  if (!claim.file) return {};  // another worker was faster

  Status status = FetchChunk(ctx, *claim.file, claim.slot, std::move(buffer));
  bool last = false;
  // A chunk that failed stays unfinished: nobody settles the file, and the mirror ends.
  if (status) queue_.With([&](Queue&) { last = --claim.file->unfinished == 0; });
  if (last) status = Settle(ctx, claim.file);
  Done();
  return status;
}

Status Session::WorkOnFile(const Context& ctx) {
  std::optional<std::size_t> index;
  queue_.With([&](Queue& queue) {
    if (queue.next_file == files_.size()) return;
    index = queue.next_file++;
    queue.busy += 1;
  });
  if (!index) return {};
  Status status = OpenFile(ctx, *index);
  Done();
  return status;
}

Status Session::WorkOnDeferred(const Context& ctx) {
  Deferred deferred;
  queue_.With([&](Queue& queue) {
    if (queue.deferred.empty()) return;
    deferred = std::move(queue.deferred.front());
    queue.deferred.pop_front();
    queue.busy += 1;
  });
  if (!deferred.flight) return {};
  Status status = finished_.Flush(ctx);  // the flight may be one of ours
  if (status) {
    auto outcome = FileFlights::Await(ctx, *deferred.flight);
    if (!outcome) {
      status = std::move(outcome).error();
    } else if (*outcome) {
      progress_.Reused(files_[deferred.index].size);
      status = Complete(ctx, deferred.index, **outcome, {});
    } else {
      status = OpenFile(ctx, deferred.index);
    }
  }
  Done();
  return status;
}

// ---- one file -----------------------------------------------------------------------------------

Status Session::OpenFile(const Context& ctx, std::size_t index) {
  const source::RemoteFile& file = files_[index];
  held_at_[index] = ctx.clock().Monotonic();
  if (file.size == 0) {
    // No request, no object: only the publisher's hash of nothing has to be right.
    source::ContentVerifier verifier(file);
    BDN_TRY(verifier.Finish());
    progress_.FileDone();
    return progress_.Tick();
  }
  FileFlights::Boarding boarding = engine_.flights.Board(FlightKey(scope_, pin_, file));
  if (boarding.flight) {
    queue_.Change([&](Queue& queue) {
      queue.deferred.push_back({.index = index, .flight = std::move(boarding.flight)});
    });
    return {};
  }
  // We lead, and look only now: whoever led before us has put the file on record.
  BDN_ASSIGN(const bool reused, ReuseKnown(ctx, index, boarding.token));
  if (reused) return {};
  BDN_ASSIGN(const bool known_by_hash, Describe(ctx, index, boarding.token));
  if (known_by_hash) return {};
  if (file.size <= engine_.options.chunk_bytes) {
    return FetchSmall(ctx, index, std::move(boarding.token));
  }
  return OpenLarge(ctx, index, std::move(boarding.token));
}

Result<bool> Session::Describe(const Context& ctx, std::size_t index, FileFlights::Token& token) {
  source::RemoteFile& file = files_[index];
  if (file.hash_kind != source::ContentHash::kNone) return false;
  auto described = source_.Describe(ctx, pin_, file);
  if (!described) {
    Error error = std::move(described).error();
    if (error.code() == Code::kNotFound) {
      error = std::move(error).WithCode(Code::kFailedPrecondition);
    }
    return std::move(error).Context(file.path);
  }
  file.hash_kind = described->hash_kind;
  file.hash = std::move(described->hash);
  if (ContentHashKey(file).empty()) return false;
  return ReuseKnown(ctx, index, token);
}

Result<bool> Session::ReuseKnown(const Context& ctx, std::size_t index, FileFlights::Token& token) {
  const source::RemoteFile& file = files_[index];
  if (!HasContentIdentity(file)) return false;
  const store::KnownFile like = KnownFileOf(pin_, file);
  const auto usable = [&](const std::optional<store::KnownFile>& known) {
    if (!known || known->size != file.size || !known->digest) return false;
    return like.content_hash.empty() || known->content_hash.empty() ||
           known->content_hash == like.content_hash;
  };
  BDN_ASSIGN(std::optional<store::KnownFile> known, engine_.metadata.FindKnownFile(scope_, like));
  if (usable(known)) {
    const FileResult result{.chunked = known->chunked, .digest = known->digest};
    BDN_ASSIGN(const bool held, HoldFile(ctx, engine_.objects, scope_, result));
    if (held) {
      results_[index] = result;
      token.Finish(result);
      progress_.Reused(file.size);
      progress_.FileDone();
      BDN_TRY(progress_.Tick());
      return true;
    }
  }
  if (like.content_hash.empty()) return false;
  BDN_ASSIGN(known, engine_.metadata.FindFileByHash(scope_, like.content_hash, file.size));
  if (!usable(known)) return false;
  const FileResult result{.chunked = known->chunked, .digest = known->digest};
  BDN_ASSIGN(const bool held, HoldFile(ctx, engine_.objects, scope_, result));
  if (!held) return false;
  progress_.Reused(file.size);
  BDN_TRY(Complete(ctx, index, result, std::move(token)));
  return true;
}

Status Session::Complete(const Context& ctx,
                         std::size_t index,
                         const FileResult& result,
                         FileFlights::Token token,
                         ChunkBuffer content) {
  const source::RemoteFile& file = files_[index];
  results_[index] = result;
  FinishedFile finished{
      .result = result, .content = std::move(content), .known = {}, .token = std::move(token)};
  if (HasContentIdentity(file)) {
    finished.known = KnownFileOf(pin_, file);
    finished.known->chunked = result.chunked;
    finished.known->digest = result.digest;
  }
  if (finished.known || finished.content.bytes) {
    BDN_TRY(finished_.Add(ctx, std::move(finished)));
  } else {
    finished.token.Finish(result);
  }
  progress_.FileDone();
  return progress_.Tick();
}

void Session::WarnOfPointer(const source::RemoteFile& file) {
  warnings_.With([&](auto& warnings) {
    if (warnings.size() >= kWarningsMax) return;
    warnings.push_back(fmt::format(
        "{} is a Git LFS pointer that was published as a file: mirrored as it is", file.path));
  });
}

// ---- bytes --------------------------------------------------------------------------------------

Result<ChunkBuffer> Session::NewBuffer(const Context& ctx, std::uint64_t bytes) {
  ChunkBuffer buffer;
  BDN_ASSIGN(buffer.lease, engine_.budget.Acquire(ctx, bytes));
  buffer.bytes = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes));
  return buffer;
}

Result<crypto::Digest> Session::ReadInto(const Context& ctx,
                                         const source::RemoteFile& file,
                                         net::ByteRange range,
                                         ChunkBuffer& buffer,
                                         store::ChunkWriter* writer) {
  crypto::Blake3 hash;
  const auto wanted = static_cast<std::size_t>(range.size());
  buffer.size = 0;
  Status read =
      source_.Read(ctx, pin_, file, range, [&](std::span<const std::byte> piece) -> Status {
        if (piece.size() > wanted - buffer.size) {
          return Error(Code::kCorrupt,
                       fmt::format("the source sent more than the {} bytes asked for", wanted));
        }
        std::byte* const to = buffer.bytes.get() + buffer.size;
        std::memcpy(to, piece.data(), piece.size());
        hash.Update({to, piece.size()});  // while it is hot
        buffer.size += piece.size();
        if (writer != nullptr) BDN_TRY(writer->Write(piece));
        return progress_.Fetched(piece.size());
      });
  if (read && buffer.size != wanted) {
    read =
        Error(Code::kCorrupt, fmt::format("the source sent {} of {} bytes", buffer.size, wanted));
  }
  if (!read) {
    progress_.Undo(buffer.size, 0);
    Error error = std::move(read).error();
    // It was in the listing at this pin.
    if (error.code() == Code::kNotFound)
      error = std::move(error).WithCode(Code::kFailedPrecondition);
    return std::move(error).Context(file.path);
  }
  return hash.Finish();
}

Result<FileResult> Session::FetchSmallOnce(const Context& ctx,
                                           std::size_t index,
                                           ChunkBuffer& buffer) {
  const source::RemoteFile& file = files_[index];
  BDN_ASSIGN(const crypto::Digest digest, ReadInto(ctx, file, {0, file.size}, buffer, nullptr));
  source::ContentVerifier verifier(file);
  verifier.Update(buffer.content());
  if (Status verified = verifier.Finish(); !verified) {
    progress_.Undo(file.size, 0);
    return std::move(verified).error();
  }
  if (verifier.is_pointer_by_mistake()) WarnOfPointer(file);
  return FileResult{.chunked = false, .digest = digest};
}

Status Session::FetchSmall(const Context& ctx, std::size_t index, FileFlights::Token token) {
  BDN_ASSIGN(ChunkBuffer buffer, NewBuffer(ctx, files_[index].size));
  for (int tries = 1;; ++tries) {
    auto fetched = FetchSmallOnce(ctx, index, buffer);
    if (!fetched) {
      Error error = std::move(fetched).error();
      if (error.code() != Code::kCorrupt) return error;
      if (tries == kTriesMax) return StillWrong(std::move(error));
      continue;
    }
    if (buffer.size <= kStoredTogetherMax) {
      return Complete(ctx, index, *fetched, std::move(token), std::move(buffer));
    }
    BDN_TRY(PutObject(ctx, engine_.objects, scope_, store::ObjectKind::kChunk, *fetched->digest,
                      buffer.content()));
    return Complete(ctx, index, *fetched, std::move(token));
  }
}

Result<std::vector<model::Chunk>> Session::StoredChunks(const Context& ctx, std::size_t index) {
  const source::RemoteFile& file = files_[index];
  std::vector<model::Chunk> chunks;
  const std::string key = PartialKey(pin_, file, engine_.options.chunk_bytes);
  BDN_ASSIGN(const auto partial, engine_.metadata.GetPartialChunks(scope_, key));
  for (const auto& chunk : partial) {
    chunks.push_back({.digest = chunk.digest, .offset = chunk.offset, .length = chunk.length});
  }
  if (HasContentIdentity(file)) {
    // A file that was complete once and lost some of its chunks.
    BDN_ASSIGN(const auto known, engine_.metadata.FindKnownFile(scope_, KnownFileOf(pin_, file)));
    if (known && known->chunked && known->digest && known->size == file.size) {
      BDN_ASSIGN(const auto map, ReadChunkmap(ctx, engine_.objects, scope_, *known->digest));
      if (map) chunks.insert(chunks.end(), map->chunks.begin(), map->chunks.end());
    }
  }
  return HoldChunks(ctx, engine_.objects, scope_, chunks);
}

Status Session::OpenLarge(const Context& ctx, std::size_t index, FileFlights::Token token) {
  const source::RemoteFile& remote = files_[index];
  auto file = std::make_shared<LargeFile>();
  file->index = index;
  file->token = std::move(token);
  file->slots = CutIntoChunks(remote.size, engine_.options.chunk_bytes);
  BDN_ASSIGN(const auto stored, StoredChunks(ctx, index));
  file->reused_bytes = AdoptChunks(file->slots, stored);
  progress_.Reused(file->reused_bytes);
  Enqueue(file);
  if (!file->missing.empty()) return {};
  BDN_TRY(PumpHash(ctx, *file));
  return Settle(ctx, file);
}

// Nobody else knows the file yet, or all of its workers are done.
void Session::Enqueue(const std::shared_ptr<LargeFile>& file) {
  const source::RemoteFile& remote = files_[file->index];
  file->missing.clear();
  file->claimed = 0;
  file->damaged = false;
  file->pump.reset();
  if (remote.hash_kind != source::ContentHash::kNone) {
    file->pump = std::make_unique<HashPump>(remote, file->slots.size(), engine_.options.parallel);
  }
  for (std::size_t i = 0; i < file->slots.size(); ++i) {
    const auto& digest = file->slots[i].digest;
    if (!digest) {
      file->missing.push_back(i);
    } else if (file->pump) {
      file->pump->Stored(i, *digest, {}, false);
    }
  }
  file->unfinished = file->missing.size();
  if (file->missing.empty()) return;
  queue_.Change([&](Queue& queue) { queue.open.push_back(file); });
}

Status Session::FetchChunk(const Context& ctx,
                           LargeFile& file,
                           std::size_t slot,
                           ChunkBuffer buffer) {
  const source::RemoteFile& remote = files_[file.index];
  const net::ByteRange range = file.slots[slot].range;
  BDN_ASSIGN(auto writer, engine_.objects.StartChunk(ctx, scope_, range.size()));
  BDN_ASSIGN(const crypto::Digest digest, ReadInto(ctx, remote, range, buffer, writer.get()));
  // First the record: so no chunk is ever stored without one, and none is fetched twice. A record
  // of what a crash kept from the store is harmless: it counts only while the chunk is there.
  BDN_TRY(engine_.metadata.PutPartialChunk(scope_,
                                           PartialKey(pin_, remote, engine_.options.chunk_bytes),
                                           range.begin, range.size(), digest, ctx.clock().Now()));
  BDN_TRY(CommitChunk(ctx, engine_.objects, scope_, std::move(writer), digest, buffer.content()));
  file.slots[slot].digest = digest;
  if (!file.pump) return {};
  // Early chunks keep their memory only while there is plenty: others need it more.
  const bool plenty = engine_.budget.held_bytes() <= engine_.budget.limit_bytes() / 2;
  file.pump->Stored(slot, digest, std::move(buffer), plenty);
  return PumpHash(ctx, file);
}

Status Session::PumpHash(const Context& ctx, LargeFile& file) {
  if (!file.pump) return {};
  const auto read_back = [&](const Context& read_ctx, const crypto::Digest& chunk,
                             const source::ByteSink& sink) -> Status {
    Status read = engine_.objects.Get(read_ctx, scope_, store::ObjectKind::kChunk, chunk, sink);
    if (!read && read.error().code() == Code::kCorrupt) {
      // It would keep the good bytes out, which have the same name.
      BDN_TRY(engine_.objects.Delete(read_ctx, scope_, chunk));
    }
    return read;
  };
  const Status pumped = file.pump->Pump(ctx, read_back);
  if (pumped) return {};
  const Code code = pumped.error().code();
  if (code != Code::kNotFound && code != Code::kCorrupt) return pumped;
  // A stored chunk is gone or damaged: the other workers end what they have, then all is fetched.
  queue_.With([&](Queue&) { file.damaged = true; });
  return {};
}

// Every chunk is in the store and no other worker has to do with the file any more.
Status Session::Settle(const Context& ctx, const std::shared_ptr<LargeFile>& file) {
  const source::RemoteFile& remote = files_[file->index];
  Status verdict;
  if (file->damaged) {
    verdict = Error(Code::kCorrupt, remote.path + ": a stored chunk could not be read back");
  } else if (file->pump) {
    verdict = file->pump->Finish();
  }
  if (!verdict) {
    Error error = std::move(verdict).error();
    if (error.code() != Code::kCorrupt) return error;
    BDN_TRY(engine_.metadata.DropPartialChunks(
        scope_, PartialKey(pin_, remote, engine_.options.chunk_bytes)));
    if (file->tries == kTriesMax) return StillWrong(std::move(error));
    return FetchAgain(file);
  }
  if (file->pump && file->pump->is_pointer_by_mistake()) WarnOfPointer(remote);
  const std::string map = model::WriteChunkmap(ChunkmapOf(remote.size, file->slots));
  const crypto::Digest digest = crypto::Blake3Of(map);
  BDN_TRY(PutObject(ctx, engine_.objects, scope_, store::ObjectKind::kChunkmap, digest,
                    std::as_bytes(std::span(map))));
  return Complete(ctx, file->index, {.chunked = true, .digest = digest}, std::move(file->token));
}

Status Session::FetchAgain(const std::shared_ptr<LargeFile>& file) {
  file->tries += 1;
  progress_.Undo(files_[file->index].size - file->reused_bytes, file->reused_bytes);
  file->reused_bytes = 0;
  for (ChunkSlot& slot : file->slots) slot.digest.reset();
  Enqueue(file);
  return {};
}

// ---- the end ------------------------------------------------------------------------------------

Status Session::HoldOld(const Context& ctx) {
  const MonoTime now = ctx.clock().Monotonic();
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (files_[i].size == 0 || now - held_at_[i] <= engine_.options.hold_again_after) continue;
    BDN_ASSIGN(const bool held, HoldFile(ctx, engine_.objects, scope_, results_[i]));
    if (!held) {
      return Error(Code::kFailedPrecondition,
                   files_[i].path + ": objects vanished from the store while they were mirrored");
    }
    BDN_TRY(progress_.Tick());
  }
  return {};
}

Status Session::DropPartial() {
  for (const source::RemoteFile& file : files_) {
    if (file.size <= engine_.options.chunk_bytes) continue;
    BDN_TRY(engine_.metadata.DropPartialChunks(
        scope_, PartialKey(pin_, file, engine_.options.chunk_bytes)));
  }
  return {};
}

}  // namespace bdn::mirror
