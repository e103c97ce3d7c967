// SPDX-License-Identifier: MIT
//
// CipherState of the Noise specification (revision 34, section 5.1) with ChaChaPoly (section 12.3), and REKEY
// of section 4.2. Below it is libsodium; above it symmetric_state encrypts the handshake with it. Records are
// longer than Noise's messages and have a cipher of their own (record.hpp), which takes only `rekey` from
// here.
//
// k is never empty here: IK and IKpsk2 mix a key in before the first encryption, so there is no path on which
// EncryptWithAd() would hand plaintext through.
#pragma once

#include <cstdint>
#include <limits>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace zks::crypto {

inline constexpr std::size_t kTagSize = 16;
// Section 5.1: n = 2^64-1 is reserved for REKEY.
inline constexpr std::uint64_t kReservedNonce = std::numeric_limits<std::uint64_t>::max();

// Section 12.3: 32 bits of zeros, then n in little-endian.
using Nonce = std::array<std::uint8_t, 12>;
Nonce encode_nonce(std::uint64_t n);

// Section 4.2: REKEY(k) = the first 32 bytes of ENCRYPT(k, 2^64-1, zerolen, 32 zero bytes).
Key rekey(const Key& k);

class CipherState {
 public:
  explicit CipherState(Key k, std::uint64_t n = 0) : k_(std::move(k)), n_(n) {}

  // ENCRYPT(k, n++, ad, plaintext): kTagSize bytes longer than `plaintext`. kLimit when n is used up.
  Result<Bytes> encrypt_with_ad(ByteView ad, ByteView plaintext);
  // DECRYPT(k, n++, ad, ciphertext). kProtocol when not authentic, and n stays; kLimit when n is used up.
  Result<Bytes> decrypt_with_ad(ByteView ad, ByteView ciphertext);

 private:
  Key k_;
  std::uint64_t n_;
};

}  // namespace zks::crypto
