// SPDX-License-Identifier: MIT
//
// Secret<N>: N bytes of key material. Move-only, wiped when it dies or is moved from, compared in constant
// time, and without any conversion to text, so that it can't end in a log.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <sodium.h>

namespace zks {

template <std::size_t N>
class Secret {
 public:
  static constexpr std::size_t kSize = N;

  Secret() { bytes_.fill(0); }
  explicit Secret(std::span<const std::uint8_t, N> from) {
    for (std::size_t i = 0; i < N; ++i) bytes_[i] = from[i];
  }
  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.wipe(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.wipe();
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(); }

  static Secret random() {
    Secret out;
    randombytes_buf(out.data(), N);
    return out;
  }

  Secret clone() const { return Secret(view()); }  // an explicit copy: each one is a place to wipe
  void wipe() { sodium_memzero(bytes_.data(), N); }

  std::uint8_t* data() { return bytes_.data(); }
  const std::uint8_t* data() const { return bytes_.data(); }
  std::span<const std::uint8_t, N> view() const { return std::span<const std::uint8_t, N>(bytes_); }
  std::span<std::uint8_t, N> mutable_view() { return std::span<std::uint8_t, N>(bytes_); }

  bool equals(std::span<const std::uint8_t, N> other) const {
    return sodium_memcmp(bytes_.data(), other.data(), N) == 0;
  }

 private:
  std::array<std::uint8_t, N> bytes_;
};

using Key = Secret<32>;

}  // namespace zks
