// SPDX-License-Identifier: MIT
#include "crypto/record_keys.hpp"

#include <utility>

#include "crypto/hkdf.hpp"
#include "crypto/record.hpp"

namespace zks::crypto {

Key derive_remote_key(Direction direction, std::uint64_t epoch, const Digest& handshake_hash,
                      const Key& relay_key) {
  constexpr std::string_view kLabel = "zks/1 remote";
  std::array<std::uint8_t, kLabel.size() + 1 + 8> info;
  std::copy(kLabel.begin(), kLabel.end(), info.begin());
  info[kLabel.size()] = static_cast<std::uint8_t>(direction);
  store_be(epoch, info.data() + kLabel.size() + 1);
  Key out;
  hkdf_sha256(handshake_hash, relay_key.view(), info, out.mutable_view());
  return out;
}

bool RemoteCipher::start(std::uint64_t n) {
  std::array<std::uint8_t, 16> iv{};
  store_be(n, iv.data());
  return cipher_.start(iv);
}

LocalCipher::LocalCipher(Key key, ChaChaPoly::Mode mode, std::uint64_t n)
    : key_(std::move(key)), cipher_(key_, mode), n_(n) {}

// n goes on over a ratchet: with n at 0 again, the outer cipher would use an iv twice under one Key_remote.
bool LocalCipher::start(std::uint8_t epoch_byte) {
  if (n_ > 0 && n_ % kRatchetRecords == 0) {
    key_ = rekey(key_);
    if (!cipher_.set_key(key_)) return false;
  }
  return cipher_.start(encode_nonce(n_), {&epoch_byte, 1});
}

}  // namespace zks::crypto
