// SPDX-License-Identifier: MIT
#include "frontdoor/basic_auth.hpp"

#include <algorithm>

#include <sodium.h>

namespace zks::frontdoor {
namespace {

constexpr std::string_view kScheme = "basic ";
constexpr std::size_t kMaxUserAndPassword = 255 + 1 + 255;

bool is_base64(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
         c == '=';
}

bool has_scheme(std::string_view value) {
  return value.size() > kScheme.size() &&
         std::equal(kScheme.begin(), kScheme.end(), value.begin(), [](char wanted, char c) {
           return wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
         });
}

}  // namespace

bool basic_auth_matches(std::string_view value, const Credentials& credentials) {
  if (!has_scheme(value)) return false;
  value.remove_prefix(std::min(value.find_first_not_of(' ', kScheme.size()), value.size()));
  // libsodium's decoder takes other bytes for characters of its alphabet.
  if (!std::all_of(value.begin(), value.end(), is_base64)) return false;
  Secret<kMaxUserAndPassword> text;
  std::size_t size = 0;
  if (::sodium_base642bin(text.data(), kMaxUserAndPassword, value.data(), value.size(), nullptr, &size,
                          nullptr, sodium_base64_VARIANT_ORIGINAL) != 0) {
    return false;
  }
  const ByteView all(text.data(), size);
  const auto colon = std::find(all.begin(), all.end(), std::uint8_t{':'});
  if (colon == all.end()) return false;
  const auto user_bytes = static_cast<std::size_t>(colon - all.begin());
  return credentials.match(all.first(user_bytes), all.subspan(user_bytes + 1));
}

}  // namespace zks::frontdoor
