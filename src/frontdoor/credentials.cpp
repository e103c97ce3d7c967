// SPDX-License-Identifier: MIT
#include "frontdoor/credentials.hpp"

#include <sodium.h>

namespace zks::frontdoor {
namespace {

constexpr std::size_t kMaxPartBytes = 255;

// The length of the user comes first, so that "ab","c" and "a","bc" differ.
Secret<32> hash_of(ByteView user, ByteView password) {
  const std::uint64_t user_bytes = user.size();
  std::array<std::uint8_t, sizeof user_bytes> length;
  store_be(user_bytes, length.data());
  Secret<32> out;
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  crypto_hash_sha256_update(&state, length.data(), length.size());
  crypto_hash_sha256_update(&state, user.data(), user.size());
  crypto_hash_sha256_update(&state, password.data(), password.size());
  crypto_hash_sha256_final(&state, out.data());
  sodium_memzero(&state, sizeof state);
  return out;
}

}  // namespace

Credentials::Credentials(ByteView user, ByteView password) : hash_(hash_of(user, password)) {}

bool Credentials::match(ByteView user, ByteView password) const {
  const Secret<32> guess = hash_of(user, password);
  return hash_.equals(guess.view());
}

Result<Credentials> parse_credentials(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return make_error(ErrorKind::kUsage, "a proxy's user is given as USER:PASSWORD");
  }
  const std::string_view user = text.substr(0, colon);
  const std::string_view password = text.substr(colon + 1);
  if (user.empty() || user.size() > kMaxPartBytes || password.empty() || password.size() > kMaxPartBytes) {
    return make_error(ErrorKind::kUsage, "a proxy's user and password have 1 to 255 bytes each");
  }
  return Credentials(as_bytes(user), as_bytes(password));
}

}  // namespace zks::frontdoor
