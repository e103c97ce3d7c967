// SPDX-License-Identifier: MIT
//
// What a dial found out about the way to the relay, for whoever asks the program how it is doing (`status`).
// dial.cpp fills it in and leaves it with the carrier. It is about the path to the relay alone; nothing in it
// is secret, and no destination is in it.
#pragma once

#include <cstdint>
#include <string>

namespace zks::carrier {

// Whether the other end owes an answer that did not come. kHeldUp: what we sent before may keep it from
// reading what we asked.
enum class Silence : std::uint8_t { kNone, kHeldUp, kOwed };

struct Path {
  std::string relay;        // the URL that was dialled
  std::string address;      // what TCP is connected to, "203.0.113.5:443"; of the proxy, where there is one
  std::string proxy;        // the HTTP proxy in between, without its password; empty: none
  std::string tls_version;  // "TLSv1.3"; empty: plaintext
  std::string tls_cipher;
  bool pinned = false;  // the certificate's key is a pinned one
  int segment = 0;      // TCP segments have at most so many bytes (segment_limits.hpp); 0: as usual
};

}  // namespace zks::carrier
