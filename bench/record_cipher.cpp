// SPDX-License-Identifier: MIT
//
// How fast records are sealed and opened on one core, in bytes of frames a second: the floor under which no
// tuning of the session or the carrier can bring the cost of a byte. docs/benchmarks.md has the whole chain.
#include <benchmark/benchmark.h>

#include "crypto/record.hpp"

namespace zks::crypto {
namespace {

RecordSealer make_sealer(const Key& local, const Key& relay) {
  return {local.clone(), Direction::kClientToExit, Digest{}, relay};
}

void seal(benchmark::State& state) {
  const Key local = Key::random();
  const Key relay = Key::random();
  RecordSealer sealer = make_sealer(local, relay);
  Bytes buffer(static_cast<std::size_t>(state.range(0)) + kRecordOverhead);
  for (auto _ : state) {
    if (!sealer.seal(buffer)) state.SkipWithError("seal failed");
    benchmark::DoNotOptimize(buffer.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// An opener takes each record once, so a batch is sealed outside the measured time.
void open(benchmark::State& state) {
  constexpr std::size_t kBatch = 64;
  const Key local = Key::random();
  const Key relay = Key::random();
  RecordSealer sealer = make_sealer(local, relay);
  RecordOpener opener(local.clone(), Direction::kClientToExit, Digest{}, relay);
  std::vector<Bytes> batch(kBatch, Bytes(static_cast<std::size_t>(state.range(0)) + kRecordOverhead));
  for (auto _ : state) {
    state.PauseTiming();
    for (Bytes& record : batch) {
      if (!sealer.seal(record)) state.SkipWithError("seal failed");
    }
    state.ResumeTiming();
    for (Bytes& record : batch) {
      if (!opener.open(record)) state.SkipWithError("open failed");
      benchmark::DoNotOptimize(record.data());
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * static_cast<std::int64_t>(kBatch));
}

BENCHMARK(seal)->Arg(64)->Arg(1024)->Arg(16 * 1024)->Arg(64 * 1024)->Arg(256 * 1024);
BENCHMARK(open)->Arg(64)->Arg(1024)->Arg(16 * 1024)->Arg(64 * 1024)->Arg(256 * 1024);

}  // namespace
}  // namespace zks::crypto
