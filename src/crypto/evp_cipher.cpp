// SPDX-License-Identifier: MIT
#include "crypto/evp_cipher.hpp"

#include <stdexcept>

namespace zks::crypto {
namespace {

struct EvpCipherFree {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
using EvpCipher = std::unique_ptr<EVP_CIPHER, EvpCipherFree>;

EvpCipher fetch(const char* name) {
  EvpCipher cipher(EVP_CIPHER_fetch(nullptr, name, nullptr));
  if (!cipher) throw std::runtime_error(std::string("OpenSSL offers no ") + name);
  return cipher;
}

// Fetched once a process: a fetch takes a lock and a lookup, and each lane needs several.
const EVP_CIPHER* chacha_poly() {
  static const EvpCipher cipher = fetch("ChaCha20-Poly1305");
  return cipher.get();
}
const EVP_CIPHER* aes_ctr() {
  static const EvpCipher cipher = fetch("AES-256-CTR");
  return cipher.get();
}

EvpContext make_context(const EVP_CIPHER* cipher, const Key& key, bool encrypt) {
  EvpContext context(EVP_CIPHER_CTX_new());
  if (!context ||
      EVP_CipherInit_ex2(context.get(), cipher, key.data(), nullptr, encrypt ? 1 : 0, nullptr) != 1) {
    throw std::runtime_error("OpenSSL could not set up a cipher");
  }
  return context;
}

// -1: sealing or opening as before. A null cipher or key keeps the one that is set.
bool restart(EVP_CIPHER_CTX* context, const std::uint8_t* key, const std::uint8_t* iv) {
  return EVP_CipherInit_ex2(context, nullptr, key, iv, -1, nullptr) == 1;
}

bool run(EVP_CIPHER_CTX* context, std::uint8_t* out, ByteView in) {
  int written = 0;
  const int size = static_cast<int>(in.size());
  return EVP_CipherUpdate(context, out, &written, in.data(), size) == 1 && written == size;
}

}  // namespace

ChaChaPoly::ChaChaPoly(const Key& key, Mode mode)
    : context_(make_context(chacha_poly(), key, mode == Mode::kSeal)) {}

bool ChaChaPoly::set_key(const Key& key) {
  return restart(context_.get(), key.data(), nullptr);
}

bool ChaChaPoly::start(std::span<const std::uint8_t, 12> nonce, ByteView aad) {
  return restart(context_.get(), nullptr, nonce.data()) && run(context_.get(), nullptr, aad);
}

bool ChaChaPoly::update(MutableBytes body) {
  return run(context_.get(), body.data(), body);
}

bool ChaChaPoly::finish_seal(std::span<std::uint8_t, 16> tag) {
  int written = 0;
  return EVP_CipherFinal_ex(context_.get(), nullptr, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag.size()),
                             tag.data()) == 1;
}

bool ChaChaPoly::finish_open(std::span<const std::uint8_t, 16> tag) {
  // The control copies from the pointer and does not write to it, though its type would let it.
  auto* expected = const_cast<std::uint8_t*>(tag.data());
  int written = 0;
  return EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()), expected) ==
             1 &&
         EVP_CipherFinal_ex(context_.get(), nullptr, &written) == 1;
}

AesCtr::AesCtr(const Key& key) : context_(make_context(aes_ctr(), key, true)) {}

bool AesCtr::start(std::span<const std::uint8_t, 16> iv) {
  return restart(context_.get(), nullptr, iv.data());
}

bool AesCtr::apply(MutableBytes bytes) {
  return run(context_.get(), bytes.data(), bytes);
}

}  // namespace zks::crypto
