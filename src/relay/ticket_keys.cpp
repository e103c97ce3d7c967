// SPDX-License-Identifier: MIT
#include "relay/ticket_keys.hpp"

#include <algorithm>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>

namespace zks::relay {
namespace {

TicketKeys::Keys copy(const TicketKeys::Keys& from) {
  return {from.name, from.cipher.clone(), from.mac.clone()};
}

TicketKeys::Keys new_keys() {
  TicketKeys::Keys out{{}, Key::random(), Key::random()};
  randombytes_buf(out.name.data(), out.name.size());
  return out;
}

int index_in_context() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool set_mac(EVP_MAC_CTX* mac, const Key& key) {
  Key in_use = key.clone();  // the parameter's type is not const
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, in_use.data(), Key::kSize),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
}

// OpenSSL's SSL_CTX_set_tlsext_ticket_key_evp_cb(3) says what it returns: below 0 an error, 0 no ticket, 1
// done, 2 done and the client shall get a new one.
int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
              int seals) {
  auto* keys = static_cast<TicketKeys*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index_in_context()));
  const auto now = std::chrono::steady_clock::now();
  if (seals != 0) {
    const TicketKeys::Keys with = keys->sealing(now);
    std::copy(with.name.begin(), with.name.end(), name);
    randombytes_buf(iv, static_cast<std::size_t>(EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())));
    const bool set = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, with.cipher.data(), iv) == 1;
    return set && set_mac(mac, with.mac) ? 1 : -1;
  }
  const auto with = keys->opening(std::span<const std::uint8_t, 16>(name, 16), now);
  if (!with) return 0;
  const bool set = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, with->first.cipher.data(), iv) == 1;
  if (!set || !set_mac(mac, with->first.mac)) return -1;
  return with->second ? 2 : 1;
}

}  // namespace

Result<> TicketKeys::attach(SSL_CTX* context) {
  if (SSL_CTX_set_ex_data(context, index_in_context(), this) != 1 ||
      SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) != 1) {
    return make_error(ErrorKind::kIo, "OpenSSL takes no keys for session tickets");
  }
  return {};
}

TicketKeys::Keys TicketKeys::sealing(TimePoint now) {
  const std::lock_guard lock(mutex_);
  renew(now);
  return copy(*present_);
}

std::optional<std::pair<TicketKeys::Keys, bool>> TicketKeys::opening(std::span<const std::uint8_t, 16> name,
                                                                     TimePoint now) {
  const std::lock_guard lock(mutex_);
  renew(now);
  for (const auto* keys : {&present_, &previous_}) {
    if (*keys && std::ranges::equal((*keys)->name, name)) {
      return std::pair(copy(**keys), keys == &previous_);
    }
  }
  return std::nullopt;
}

// When a ticket is made or shown, and never by a timer: without either there is nothing that the keys would
// open for longer.
void TicketKeys::renew(TimePoint now) {
  if (present_ && now - since_ < kLife) return;
  previous_.reset();
  if (present_ && now - since_ < 2 * kLife) previous_ = std::move(present_);
  present_ = new_keys();
  since_ = now;
}

}  // namespace zks::relay
