// SPDX-License-Identifier: MIT
//
// What is random in a run follows from its seed: libsodium's bytes, of which keys, ids and pauses are made.
// And what the test itself draws, from a stream of its own.
#pragma once

#include <cstdint>
#include <random>

namespace zks::sim {

// From here on libsodium's random bytes in this thread are those of this seed. They are no secret.
void seed_randomness(std::uint64_t seed);

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  // Both included.
  std::uint64_t between(std::uint64_t least, std::uint64_t most) {
    return least + engine_() % (most - least + 1);
  }
  bool one_in(std::uint64_t n) { return between(1, n) == 1; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace zks::sim
