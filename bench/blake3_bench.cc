// BLAKE3 on one thread: each kernel that this CPU has, at four sizes.
//   build/release/bench/blake3_bench
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "crypto/blake3.h"

namespace bdn::crypto {
namespace {

void Hash(benchmark::State& state, const std::string& kernel) {
  if (const Status set = SetBlake3Kernel(kernel); !set) {
    state.SkipWithError(set.error().message().c_str());
    return;
  }
  const std::vector<std::byte> input(static_cast<std::size_t>(state.range(0)), std::byte{42});
  for (auto _ : state) {
    benchmark::DoNotOptimize(Blake3Of(input));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(Hash, portable, "portable")
    ->Arg(1 << 10)
    ->Arg(16 << 10)
    ->Arg(1 << 20)
    ->Arg(16 << 20);
BENCHMARK_CAPTURE(Hash, avx2, "avx2")->Arg(1 << 10)->Arg(16 << 10)->Arg(1 << 20)->Arg(16 << 20);
BENCHMARK_CAPTURE(Hash, avx512, "avx512")->Arg(1 << 10)->Arg(16 << 10)->Arg(1 << 20)->Arg(16 << 20);

}  // namespace
}  // namespace bdn::crypto

BENCHMARK_MAIN();
