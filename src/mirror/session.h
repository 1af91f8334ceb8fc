#pragma once
// The engine of one mirror at one pin: brings the selected files into the store.
//
// A number of equal workers take work from one queue until there is none:
//   1. the next chunk of a large file that is open, in order of the file;
//   2. else the next file: look whether it is known, else fetch it when it is small, else open it;
//   3. else a file that another mirror is fetching: wait for its outcome.
// So one large file, many small ones and every mixture keep all workers busy, and a worker waits
// for another mirror only when there is nothing else to do.
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/context.h"
#include "base/executor.h"
#include "base/guarded.h"
#include "base/result.h"
#include "mirror/file_flights.h"
#include "mirror/finished_files.h"
#include "mirror/hash_pump.h"
#include "mirror/mirror.h"
#include "mirror/plan.h"
#include "mirror/progress.h"

namespace bdn::mirror {

// What all mirrors of a process share; borrowed by every session.
struct Engine {
  store::ObjectStore& objects;
  store::Metadata& metadata;
  Executor& fetchers;
  MirrorerOptions options;
  ByteBudget budget;
  FileFlights flights;
};

class Session {
 public:
  Session(Engine& engine,
          source::Source& source,
          const store::Scope& scope,
          const source::Pin& pin,
          std::vector<source::RemoteFile>& files,
          ProgressReporter& progress);
  ~Session();

  // Returns when every file is in the store and on record, or with the first error. A source that
  // changed is kFailedPrecondition, also when a listed file is not found any more.
  Status Fetch(const Context& ctx);
  // Holds again what was stored or found long ago; kFailedPrecondition when something is gone.
  Status HoldOld(const Context& ctx);
  // The chunks of unfinished files are no roots of their own any more: the manifest refers to them.
  Status DropPartial();

  const std::vector<FileResult>& results() const { return results_; }
  std::vector<std::string> warnings() const;

 private:
  // A large file while its chunks are fetched. Between Open and Settle `slots[i].digest` belongs to
  // the worker that claimed chunk i; `missing`, `claimed` and `unfinished` to the queue's lock.
  struct LargeFile {
    std::size_t index = 0;
    FileFlights::Token token;
    std::vector<ChunkSlot> slots;
    std::vector<std::size_t> missing;
    std::size_t claimed = 0;
    std::size_t unfinished = 0;
    std::unique_ptr<HashPump> pump;  // with a publisher's hash only
    bool damaged = false;            // a chunk could not be read back; under the queue's lock
    std::uint64_t reused_bytes = 0;
    int tries = 1;
  };
  struct Deferred {
    std::size_t index = 0;
    std::shared_ptr<FileFlights::Flight> flight;
  };
  struct Queue {
    std::size_t next_file = 0;
    std::deque<std::shared_ptr<LargeFile>> open;  // with chunks that nobody has claimed
    std::deque<Deferred> deferred;
    std::size_t busy = 0;  // workers whose work may make more work
  };
  struct ChunkClaim {
    std::shared_ptr<LargeFile> file;
    std::size_t slot = 0;
  };
  enum class Offer { kNothing, kChunk, kFile, kDeferred };

  Status Work(const Context& ctx);
  Result<Offer> AwaitOffer(const Context& ctx);
  Status WorkOnChunk(const Context& ctx);
  Status WorkOnFile(const Context& ctx);
  Status WorkOnDeferred(const Context& ctx);
  void Done();

  Status OpenFile(const Context& ctx, std::size_t index);
  // What the listing did not say of a file that will be fetched; true when its hash is known by now
  // and so is its content.
  Result<bool> Describe(const Context& ctx, std::size_t index, FileFlights::Token& token);
  Result<bool> ReuseKnown(const Context& ctx, std::size_t index, FileFlights::Token& token);
  Status FetchSmall(const Context& ctx, std::size_t index, FileFlights::Token token);
  Result<FileResult> FetchSmallOnce(const Context& ctx, std::size_t index, ChunkBuffer& buffer);
  Status OpenLarge(const Context& ctx, std::size_t index, FileFlights::Token token);
  Result<std::vector<model::Chunk>> StoredChunks(const Context& ctx, std::size_t index);
  void Enqueue(const std::shared_ptr<LargeFile>& file);
  Status FetchChunk(const Context& ctx, LargeFile& file, std::size_t slot, ChunkBuffer buffer);
  Status PumpHash(const Context& ctx, LargeFile& file);
  Status Settle(const Context& ctx, const std::shared_ptr<LargeFile>& file);
  Status FetchAgain(const std::shared_ptr<LargeFile>& file);
  Result<crypto::Digest> ReadInto(const Context& ctx,
                                  const source::RemoteFile& file,
                                  net::ByteRange range,
                                  ChunkBuffer& buffer,
                                  store::ChunkWriter* writer);
  Result<ChunkBuffer> NewBuffer(const Context& ctx, std::uint64_t bytes);
  Status Complete(const Context& ctx,
                  std::size_t index,
                  const FileResult& result,
                  FileFlights::Token token,
                  ChunkBuffer content = {});
  void WarnOfPointer(const source::RemoteFile& file);

  Engine& engine_;
  source::Source& source_;
  const store::Scope scope_;
  const source::Pin pin_;
  // An element gets its hash (Source::Describe) from the worker that has the file.
  std::vector<source::RemoteFile>& files_;
  ProgressReporter& progress_;
  FinishedFiles finished_;
  Guarded<Queue> queue_;
  Guarded<std::vector<std::string>> warnings_;
  // Each element is written by the worker that has the file; read after all have ended.
  std::vector<FileResult> results_;
  std::vector<MonoTime> held_at_;
};

}  // namespace bdn::mirror
