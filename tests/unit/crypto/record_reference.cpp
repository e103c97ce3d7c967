// SPDX-License-Identifier: MIT
#include "record_reference.hpp"

#include <stdexcept>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

namespace zks::crypto {
namespace {

Bytes join(std::initializer_list<ByteView> parts) {
  Bytes out;
  for (const ByteView part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

Bytes be64(std::uint64_t value) {
  Bytes out;
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(value >> shift));
  return out;
}

Bytes hmac(ByteView key, ByteView data) {
  Bytes out(32);
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), out.data(), nullptr);
  return out;
}

Bytes aead_seal(const Key& key, ByteView nonce, ByteView aad, ByteView text) {
  Bytes out(text.size() + 16);
  crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, text.data(), text.size(), aad.data(),
                                            aad.size(), nullptr, nonce.data(), key.data());
  return out;
}

// k_i of record n: one ratchet for each multiple of 65,536 from 1 to n.
Key local_key_of(const Key& first, std::uint64_t n) {
  const Bytes nonce = from_hex("00000000ffffffffffffffff").value();
  Key key = first.clone();
  for (std::uint64_t i = 0; i < n / 65536; ++i) {
    const Bytes sealed = aead_seal(key, nonce, {}, Bytes(32, 0));
    key = Key(ByteView(sealed).first<32>());
  }
  return key;
}

// The key stream of AES-256-CTR, a block at a time from the bare block cipher.
Bytes key_stream(const Key& key, std::uint64_t n, std::size_t size) {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  if (EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), nullptr, key.data(), nullptr) != 1) {
    throw std::runtime_error("no AES-256-ECB");
  }
  Bytes out;
  for (std::uint64_t counter = 0; out.size() < size; ++counter) {
    const Bytes block = join({be64(n), be64(counter)});
    std::array<std::uint8_t, 16> encrypted;
    int written = 0;
    EVP_EncryptUpdate(context, encrypted.data(), &written, block.data(), 16);
    out.insert(out.end(), encrypted.begin(), encrypted.end());
  }
  EVP_CIPHER_CTX_free(context);
  out.resize(size);
  return out;
}

}  // namespace

Key reference_remote_key(Direction direction, std::uint64_t epoch, const Digest& handshake_hash,
                         const Key& relay_key) {
  const Bytes dir = {static_cast<std::uint8_t>(direction == Direction::kClientToExit ? 0 : 1)};
  const Bytes prk = hmac(handshake_hash, relay_key.view());
  const Bytes one = {1};
  const Bytes okm = hmac(prk, join({as_bytes("zks/1 remote"), dir, be64(epoch), one}));
  return Key(ByteView(okm).first<32>());
}

Bytes reference_record(const Key& key_local, Direction direction, const Digest& handshake_hash,
                       const Key& relay_key, std::uint64_t epoch, std::uint64_t n, ByteView frames) {
  const Bytes epoch_byte = {static_cast<std::uint8_t>(epoch % 256)};
  Bytes nonce(12, 0);
  for (int i = 0; i < 8; ++i)
    nonce[static_cast<std::size_t>(4 + i)] = static_cast<std::uint8_t>(n >> (8 * i));
  Bytes sealed = aead_seal(local_key_of(key_local, n), nonce, epoch_byte, frames);
  const Bytes stream =
      key_stream(reference_remote_key(direction, epoch, handshake_hash, relay_key), n, sealed.size());
  for (std::size_t i = 0; i < sealed.size(); ++i) sealed[i] ^= stream[i];
  return join({epoch_byte, sealed});
}

}  // namespace zks::crypto
