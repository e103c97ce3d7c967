// SPDX-License-Identifier: MIT
#include "seeded_random.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <sodium.h>
#include <unistd.h>

namespace zks::sim {
namespace {

using StreamSeed = std::array<unsigned char, randombytes_SEEDBYTES>;

// Of the thread that plays. What others draw, such as the name of a temporary file, is no part of it.
thread_local std::optional<StreamSeed> stream_seed;
thread_local std::uint64_t drawn = 0;

const char* name() {
  return "seeded";
}

void draw(void* out, std::size_t size) {
  if (!stream_seed) {
    if (::getentropy(out, size) != 0) std::abort();
    return;
  }
  StreamSeed seed = *stream_seed;
  ++drawn;
  std::memcpy(seed.data() + sizeof(std::uint64_t), &drawn, sizeof drawn);
  randombytes_buf_deterministic(out, size, seed.data());
}

std::uint32_t draw_word() {
  std::uint32_t word = 0;
  draw(&word, sizeof word);
  return word;
}

}  // namespace

void seed_randomness(std::uint64_t seed) {
  static randombytes_implementation seeded{&name, &draw_word, nullptr, nullptr, &draw, nullptr};
  stream_seed.emplace();
  std::memcpy(stream_seed->data(), &seed, sizeof seed);
  drawn = 0;
  randombytes_set_implementation(&seeded);
}

}  // namespace zks::sim
