#include "crypto/blake3.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include <fmt/format.h>

#include "crypto/blake3_kernels.h"

namespace bdn::crypto {
namespace {

using blake3::kBlockBytes;
using blake3::kChunkBytes;
using blake3::kCvWords;
using blake3::Kernel;
using blake3::kIv;
using blake3::Word;
using Cv = std::array<Word, kCvWords>;

// Chunks that are hashed in one go. Large enough that the narrow top of each subtree, where lanes
// idle, costs little; their chaining values (16 KiB) stay in the first-level cache.
constexpr std::size_t kBatchChunks = 512;

// A stream has fewer than 2^64 bytes, thus fewer than 2^54 chunks.
constexpr std::size_t kDepthMax = 54;

const Kernel& BestKernel() {
  if (const Kernel* kernel = blake3::Avx512Kernel()) return *kernel;
  if (const Kernel* kernel = blake3::Avx2Kernel()) return *kernel;
  return blake3::PortableKernel();
}

// The one that new hashers use. Chosen once; changed by tests and benches only.
std::atomic<const Kernel*>& Chosen() {
  static std::atomic<const Kernel*> chosen = &BestKernel();
  return chosen;
}

Digest ToDigest(const Cv& cv) {
  Digest digest;
  static_assert(sizeof(cv) == sizeof(digest.bytes));
  std::memcpy(digest.bytes.data(), cv.data(), sizeof(cv));
  return digest;
}

// One stream's state. The tree grows from the left. Invariants:
//  - `stack_` holds the roots of complete subtrees, larger ones first.
//  - Two subtrees are joined only when more input is known to follow, because the last join of all
//    is the root's and is flagged so. Thus the stack may end in both halves of a complete subtree,
//    but not when the current chunk has bytes.
//  - The same holds for the last block of a chunk: `block_` may be full, and is compressed when a
//    byte comes after it.
class Tree {
 public:
  explicit Tree(const Kernel& kernel) : kernel_(&kernel) {}

  void Update(std::span<const std::byte> bytes);
  Digest Finish() const;
  void Reset() {
    depth_ = 0;
    StartChunk(0);
  }

 private:
  std::size_t chunk_bytes() const { return blocks_ * kBlockBytes + block_bytes_; }
  Word start_flag() const { return blocks_ == 0 ? blake3::kChunkStart : 0; }

  void StartChunk(std::uint64_t number);
  void FillChunk(const std::uint8_t* input, std::size_t size);
  void HashChunks(const std::uint8_t* input, std::size_t count);
  void Join();
  void Push(const Word* subtree, std::uint64_t chunks);

  const Kernel* kernel_;
  std::uint64_t chunk_ = 0;      // number of the chunk that is being filled
  std::size_t blocks_ = 0;       // of it, compressed into cv_
  std::size_t block_bytes_ = 0;  // in block_
  std::size_t depth_ = 0;        // entries of stack_
  Cv cv_ = kIv;
  std::array<std::uint8_t, kBlockBytes> block_;
  std::array<Cv, kDepthMax + 2> stack_;
};

void Tree::StartChunk(std::uint64_t number) {
  chunk_ = number;
  blocks_ = 0;
  block_bytes_ = 0;
  cv_ = kIv;
}

// Adds bytes, at least one, that fit into the current chunk.
void Tree::FillChunk(const std::uint8_t* input, std::size_t size) {
  if (block_bytes_ > 0) {
    const std::size_t take = std::min(size, kBlockBytes - block_bytes_);
    std::memcpy(block_.data() + block_bytes_, input, take);
    block_bytes_ += take;
    input += take;
    size -= take;
    if (size == 0) return;
    kernel_->compress(cv_.data(), block_.data(), kBlockBytes, chunk_, start_flag());
    ++blocks_;
  }
  // All but the last block, which may be the end of the chunk.
  const std::size_t whole = (size - 1) / kBlockBytes;
  if (whole > 0) kernel_->blocks(cv_.data(), input, whole, chunk_, start_flag());
  blocks_ += whole;
  block_bytes_ = size - whole * kBlockBytes;
  std::memcpy(block_.data(), input + whole * kBlockBytes, block_bytes_);
}

// Joins subtrees until there is one for each one bit of the number of chunks before the current.
void Tree::Join() {
  const auto complete = static_cast<std::size_t>(std::popcount(chunk_));
  for (; depth_ > complete; --depth_) {
    Word* pair = stack_[depth_ - 2].data();
    kernel_->parents(pair, 1, pair);
  }
}

// Adds the root of a subtree of `chunks` chunks that begins at the current chunk.
void Tree::Push(const Word* subtree, std::uint64_t chunks) {
  Join();
  std::memcpy(stack_[depth_].data(), subtree, sizeof(Cv));
  ++depth_;
  chunk_ += chunks;
}

// Adds whole chunks, at most kBatchChunks, straight from the caller's memory. The current chunk is
// empty.
void Tree::HashChunks(const std::uint8_t* input, std::size_t count) {
  alignas(64) std::array<Word, kBatchChunks * kCvWords> cvs;
  kernel_->chunks(input, count, chunk_, cvs.data());
  for (Word* at = cvs.data(); count > 0;) {
    // The largest complete subtree that begins here; reduced in place to its two halves.
    const std::size_t alignment =
        chunk_ == 0 ? kBatchChunks : std::size_t{1} << std::min(std::countr_zero(chunk_), 30);
    const std::size_t size = std::min(std::bit_floor(count), alignment);
    for (std::size_t left = size; left > 2; left /= 2) kernel_->parents(at, left / 2, at);
    if (size == 1) {
      Push(at, 1);
    } else {
      Push(at, size / 2);
      Push(at + kCvWords, size / 2);
    }
    at += size * kCvWords;
    count -= size;
  }
}

void Tree::Update(std::span<const std::byte> bytes) {
  const auto* input = reinterpret_cast<const std::uint8_t*>(bytes.data());
  std::size_t size = bytes.size();
  if (size == 0) return;
  if (chunk_bytes() > 0) {
    const std::size_t take = std::min(size, kChunkBytes - chunk_bytes());
    if (take > 0) FillChunk(input, take);
    input += take;
    size -= take;
    if (size == 0) return;
    kernel_->compress(cv_.data(), block_.data(), kBlockBytes, chunk_,
                      start_flag() | blake3::kChunkEnd);
    const Cv done = cv_;
    Push(done.data(), 1);
    StartChunk(chunk_);
  }
  // A stream of one chunk has no parents: its chunk is the root and must wait for Finish.
  while (size > kChunkBytes || (size == kChunkBytes && chunk_ > 0)) {
    // To the next multiple of the batch, so that the subtrees that follow are as large as can be.
    const std::size_t count =
        std::min<std::size_t>(size / kChunkBytes, kBatchChunks - chunk_ % kBatchChunks);
    HashChunks(input, count);
    input += count * kChunkBytes;
    size -= count * kChunkBytes;
  }
  if (size == 0) return;
  Join();
  FillChunk(input, size);
}

Digest Tree::Finish() const {
  Cv right;
  std::size_t left = depth_;
  if (chunk_bytes() > 0 || depth_ == 0) {
    std::array<std::uint8_t, kBlockBytes> last{};
    std::memcpy(last.data(), block_.data(), block_bytes_);
    right = cv_;
    kernel_->compress(right.data(), last.data(), static_cast<Word>(block_bytes_), chunk_,
                      start_flag() | blake3::kChunkEnd | (depth_ == 0 ? blake3::kRoot : 0));
  } else {
    right = stack_[--left];
  }
  while (left > 0) {
    --left;
    std::array<std::uint8_t, kBlockBytes> children;
    std::memcpy(children.data(), stack_[left].data(), sizeof(Cv));
    std::memcpy(children.data() + sizeof(Cv), right.data(), sizeof(Cv));
    right = kIv;
    kernel_->compress(right.data(), children.data(), kBlockBytes, 0,
                      blake3::kParent | (left == 0 ? blake3::kRoot : 0));
  }
  return ToDigest(right);
}

}  // namespace

struct Blake3::State {
  Tree tree{*Chosen().load(std::memory_order_relaxed)};
};

Blake3::Blake3() : state_(std::make_unique<State>()) {}
Blake3::~Blake3() = default;
Blake3::Blake3(Blake3&&) noexcept = default;
Blake3& Blake3::operator=(Blake3&&) noexcept = default;

void Blake3::Update(std::span<const std::byte> bytes) {
  state_->tree.Update(bytes);
}

Digest Blake3::Finish() const {
  return state_->tree.Finish();
}

void Blake3::Reset() {
  state_->tree.Reset();
}

Digest Blake3Of(std::span<const std::byte> bytes) {
  Tree tree(*Chosen().load(std::memory_order_relaxed));  // no allocation for a short text
  tree.Update(bytes);
  return tree.Finish();
}

Digest Blake3Of(std::string_view bytes) {
  return Blake3Of(std::as_bytes(std::span(bytes)));
}

std::string_view Blake3Kernel() {
  return Chosen().load(std::memory_order_relaxed)->name;
}

Status SetBlake3Kernel(std::string_view name) {
  const std::array kernels = {&blake3::PortableKernel(), blake3::Avx2Kernel(),
                              blake3::Avx512Kernel()};
  for (const Kernel* kernel : kernels) {
    if (kernel == nullptr || kernel->name != name) continue;
    Chosen().store(kernel, std::memory_order_relaxed);
    return {};
  }
  return Error(
      Code::kInvalidArgument,
      fmt::format("BLAKE3 kernel \"{}\" does not exist or does not run on this CPU; it has "
                  "portable{}{}",
                  name, kernels[1] != nullptr ? ", avx2" : "",
                  kernels[2] != nullptr ? ", avx512" : ""));
}

}  // namespace bdn::crypto
