// SPDX-License-Identifier: MIT
//
// The two bulk ciphers of a record on OpenSSL's EVP: contexts that are made once and, record by record, only
// get a new IV, so nothing is allocated or scheduled per record. record_sealer and record_opener run them
// over the same bytes, one after the other.
//
// In place. The constructors throw when OpenSSL has no such cipher or no memory; a false afterwards means
// that OpenSSL failed, and the bytes are then undefined.
#pragma once

#include <memory>

#include <openssl/evp.h>

#include "base/bytes.hpp"
#include "base/secret.hpp"

namespace zks::crypto {

struct EvpContextFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }  // wipes the key in it
};
using EvpContext = std::unique_ptr<EVP_CIPHER_CTX, EvpContextFree>;

// ChaCha20-Poly1305 (RFC 8439) in one direction. A record is: start, update, finish.
class ChaChaPoly {
 public:
  enum class Mode { kSeal, kOpen };

  ChaChaPoly(const Key& key, Mode mode);

  [[nodiscard]] bool set_key(const Key& key);
  [[nodiscard]] bool start(std::span<const std::uint8_t, 12> nonce, ByteView aad);
  [[nodiscard]] bool update(MutableBytes body);
  [[nodiscard]] bool finish_seal(std::span<std::uint8_t, 16> tag);
  // False when `tag` is not that of what was read.
  [[nodiscard]] bool finish_open(std::span<const std::uint8_t, 16> tag);

 private:
  EvpContext context_;
};

// AES-256 in counter mode (NIST SP 800-38A, section 6.5): apply() xors its key stream onto the bytes.
class AesCtr {
 public:
  explicit AesCtr(const Key& key);

  [[nodiscard]] bool start(std::span<const std::uint8_t, 16> iv);
  [[nodiscard]] bool apply(MutableBytes bytes);

 private:
  EvpContext context_;
};

}  // namespace zks::crypto
