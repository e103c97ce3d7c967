// SPDX-License-Identifier: MIT
#include "crypto/cipher_state.hpp"

#include <sodium.h>

namespace zks::crypto {

static_assert(kTagSize == crypto_aead_chacha20poly1305_ietf_ABYTES);

Nonce encode_nonce(std::uint64_t n) {
  Nonce nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<std::uint8_t>(n >> (8 * i));
  return nonce;
}

Key rekey(const Key& k) {
  constexpr std::array<std::uint8_t, Key::kSize> kZeros{};
  Secret<Key::kSize + kTagSize> sealed;
  const Nonce nonce = encode_nonce(kReservedNonce);
  crypto_aead_chacha20poly1305_ietf_encrypt(sealed.data(), nullptr, kZeros.data(), kZeros.size(), nullptr, 0,
                                            nullptr, nonce.data(), k.data());
  return Key(sealed.view().first<Key::kSize>());
}

Result<Bytes> CipherState::encrypt_with_ad(ByteView ad, ByteView plaintext) {
  if (n_ == kReservedNonce) return make_error(ErrorKind::kLimit, "cipher nonce is used up");
  Bytes out(plaintext.size() + kTagSize);
  const Nonce nonce = encode_nonce(n_);
  crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, plaintext.data(), plaintext.size(),
                                            ad.data(), ad.size(), nullptr, nonce.data(), k_.data());
  ++n_;
  return out;
}

Result<Bytes> CipherState::decrypt_with_ad(ByteView ad, ByteView ciphertext) {
  if (n_ == kReservedNonce) return make_error(ErrorKind::kLimit, "cipher nonce is used up");
  if (ciphertext.size() < kTagSize) return make_error(ErrorKind::kProtocol, "ciphertext is too short");
  Bytes out(ciphertext.size() - kTagSize);
  const Nonce nonce = encode_nonce(n_);
  if (crypto_aead_chacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, ciphertext.data(),
                                                ciphertext.size(), ad.data(), ad.size(), nonce.data(),
                                                k_.data()) != 0) {
    return make_error(ErrorKind::kProtocol, "ciphertext is not authentic");
  }
  ++n_;
  return out;
}

}  // namespace zks::crypto
