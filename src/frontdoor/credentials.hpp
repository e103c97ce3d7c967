// SPDX-License-Identifier: MIT
//
// The user and password that a local proxy asks for (RFC 1929). Only their hash is kept, and two hashes are
// compared in constant time: neither the time nor a memory dump says how much of a guess was right.
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace zks::frontdoor {

class Credentials {
 public:
  Credentials(ByteView user, ByteView password);

  bool match(ByteView user, ByteView password) const;

 private:
  Secret<32> hash_;
};

// "user:password" as --user takes it: 1 to 255 bytes each (RFC 1929's limits), the first colon divides.
// kUsage otherwise, without repeating what was given.
Result<Credentials> parse_credentials(std::string_view text);

}  // namespace zks::frontdoor
