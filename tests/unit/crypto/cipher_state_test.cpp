// SPDX-License-Identifier: MIT
//
// CipherState: the nonce goes on only after success and is never the reserved one; rekey by the
// specification's words, through another library.
#include "crypto/cipher_state.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "handshake_fixture.hpp"

namespace zks::crypto {
namespace {

const Bytes kAd = {1, 2, 3};
const Bytes kText = {'n', 'o', 'i', 's', 'e'};

TEST(CipherState, NonceStaysAfterAFailure) {
  CipherState sealing(filled_key(1));
  CipherState opening(filled_key(1));
  const Bytes sealed = sealing.encrypt_with_ad(kAd, kText).value();
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    Bytes changed = sealed;
    changed[i] ^= 1;
    EXPECT_EQ(opening.decrypt_with_ad(kAd, changed).error().kind, ErrorKind::kProtocol);
    EXPECT_FALSE(opening.decrypt_with_ad(kAd, ByteView(sealed).first(i)));
  }
  EXPECT_FALSE(opening.decrypt_with_ad({}, sealed));
  EXPECT_EQ(opening.decrypt_with_ad(kAd, sealed).value(), kText);
  EXPECT_FALSE(opening.decrypt_with_ad(kAd, sealed));
}

TEST(CipherState, TheReservedNonceIsNotUsed) {
  CipherState sealing(filled_key(1), kReservedNonce - 1);
  CipherState opening(filled_key(1), kReservedNonce - 1);
  const Bytes sealed = sealing.encrypt_with_ad(kAd, kText).value();
  EXPECT_EQ(opening.decrypt_with_ad(kAd, sealed).value(), kText);
  EXPECT_EQ(sealing.encrypt_with_ad(kAd, kText).error().kind, ErrorKind::kLimit);
  EXPECT_EQ(opening.decrypt_with_ad(kAd, sealed).error().kind, ErrorKind::kLimit);
}

TEST(CipherState, NonceLayout) {
  EXPECT_EQ(to_hex(encode_nonce(0x0102030405060708)), "000000000807060504030201");
}

TEST(Rekey, IsTheFirst32BytesOfAnEncryptionUnderTheReservedNonce) {
  const Key key = filled_key(7);
  std::array<std::uint8_t, 12> nonce;
  nonce.fill(0xff);
  std::fill_n(nonce.begin(), 4, std::uint8_t{0});
  std::array<std::uint8_t, 32> block{};
  int written = 0;
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  ASSERT_EQ(EVP_EncryptInit_ex(context, EVP_chacha20_poly1305(), nullptr, key.data(), nonce.data()), 1);
  ASSERT_EQ(EVP_EncryptUpdate(context, block.data(), &written, block.data(), 32), 1);
  EVP_CIPHER_CTX_free(context);
  EXPECT_TRUE(rekey(key).equals(block));
}

}  // namespace
}  // namespace zks::crypto
