// SPDX-License-Identifier: MIT
#include "crypto/symmetric_state.hpp"

#include <algorithm>

#include <sodium.h>

#include "crypto/hkdf.hpp"

namespace zks::crypto {
namespace {

constexpr std::size_t kHashLen = Digest{}.size();

// Section 4.3: HKDF(chaining_key, input_key_material, N), the N outputs joined.
template <std::size_t N>
Secret<N * kHashLen> noise_hkdf(const Key& chaining_key, ByteView input_key_material) {
  Secret<N * kHashLen> out;
  hkdf_sha256(chaining_key.view(), input_key_material, {}, out.mutable_view());
  return out;
}

template <std::size_t Index, std::size_t Size>
Key output(const Secret<Size>& outputs) {
  return Key(outputs.view().template subspan<Index * kHashLen, kHashLen>());
}

}  // namespace

SymmetricState::SymmetricState(std::string_view protocol_name) {
  // Section 5.2: a name of at most HASHLEN bytes is padded with zeros to be h, a longer one is hashed. ck =
  // h.
  if (protocol_name.size() <= kHashLen) {
    std::copy(protocol_name.begin(), protocol_name.end(), h_.begin());
  } else {
    h_ = sha256(as_bytes(protocol_name));
  }
  ck_ = Key(h_);
}

// ck, temp_k = HKDF(ck, input_key_material, 2); InitializeKey(temp_k)
void SymmetricState::mix_key(ByteView input_key_material) {
  const auto outputs = noise_hkdf<2>(ck_, input_key_material);
  ck_ = output<0>(outputs);
  cipher_.emplace(output<1>(outputs));
}

// h = HASH(h || data)
void SymmetricState::mix_hash(ByteView data) {
  crypto_hash_sha256_state hash;
  crypto_hash_sha256_init(&hash);
  crypto_hash_sha256_update(&hash, h_.data(), h_.size());
  crypto_hash_sha256_update(&hash, data.data(), data.size());
  crypto_hash_sha256_final(&hash, h_.data());
}

// ck, temp_h, temp_k = HKDF(ck, input_key_material, 3); MixHash(temp_h); InitializeKey(temp_k)
void SymmetricState::mix_key_and_hash(ByteView input_key_material) {
  const auto outputs = noise_hkdf<3>(ck_, input_key_material);
  ck_ = output<0>(outputs);
  const Key temp_h = output<1>(outputs);
  mix_hash(temp_h.view());
  cipher_.emplace(output<2>(outputs));
}

Result<Bytes> SymmetricState::encrypt_and_hash(ByteView plaintext) {
  if (!cipher_) return make_error(ErrorKind::kProtocol, "no key yet");
  auto ciphertext = cipher_->encrypt_with_ad(h_, plaintext);
  if (ciphertext) mix_hash(*ciphertext);
  return ciphertext;
}

Result<Bytes> SymmetricState::decrypt_and_hash(ByteView ciphertext) {
  if (!cipher_) return make_error(ErrorKind::kProtocol, "no key yet");
  auto plaintext = cipher_->decrypt_with_ad(h_, ciphertext);
  if (plaintext) mix_hash(ciphertext);
  return plaintext;
}

// temp_k1, temp_k2 = HKDF(ck, zerolen, 2)
SymmetricState::Keys SymmetricState::split() const {
  const auto outputs = noise_hkdf<2>(ck_, {});
  return {output<0>(outputs), output<1>(outputs)};
}

void SymmetricState::wipe() {
  ck_.wipe();
  sodium_memzero(h_.data(), h_.size());
  cipher_.reset();
}

}  // namespace zks::crypto
