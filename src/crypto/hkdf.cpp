// SPDX-License-Identifier: MIT
#include "crypto/hkdf.hpp"

#include <algorithm>
#include <cassert>

#include <sodium.h>

#include "base/secret.hpp"

namespace zks::crypto {
namespace {

// HMAC-SHA256 over a few pieces. Its state holds the key in another shape, so it is wiped like the key.
class Hmac {
 public:
  explicit Hmac(ByteView key) { crypto_auth_hmacsha256_init(&state_, key.data(), key.size()); }
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;
  ~Hmac() { sodium_memzero(&state_, sizeof state_); }

  Hmac& update(ByteView data) {
    crypto_auth_hmacsha256_update(&state_, data.data(), data.size());
    return *this;
  }
  Key finish() {
    Key out;
    crypto_auth_hmacsha256_final(&state_, out.data());
    return out;
  }

 private:
  crypto_auth_hmacsha256_state state_;
};

}  // namespace

void hkdf_sha256(ByteView salt, ByteView input_key_material, ByteView info, MutableBytes out) {
  assert(out.size() <= 255 * Key::kSize);
  // Section 2.2: PRK = HMAC-Hash(salt, IKM), where no salt means HashLen zeros
  constexpr std::array<std::uint8_t, Key::kSize> kZeros{};
  const Key prk = Hmac(salt.empty() ? ByteView(kZeros) : salt).update(input_key_material).finish();
  // Section 2.3: T(i) = HMAC-Hash(PRK, T(i-1) || info || i), T(0) empty
  Key block;
  ByteView previous;
  for (std::uint8_t counter = 1; !out.empty(); ++counter) {
    block = Hmac(prk.view()).update(previous).update(info).update({&counter, 1}).finish();
    previous = block.view();
    const std::size_t size = std::min(out.size(), Key::kSize);
    std::copy_n(block.data(), size, out.data());
    out = out.subspan(size);
  }
}

}  // namespace zks::crypto
