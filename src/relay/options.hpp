// SPDX-License-Identifier: MIT
//
// What a relay is told: where it listens, and every limit (PROTOCOL.md, "The relay"). The program's flags and
// the demo fill this in.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "relay/backlog.hpp"
#include "relay/client_address.hpp"

namespace zks::relay {

struct TlsFiles {
  std::string certificate;  // PEM, the chain
  std::string key;          // PEM
};

struct Options {
  std::vector<boost::asio::ip::tcp::endpoint> listen;  // port 0: any free one
  std::optional<TlsFiles> tls;                         // none: plaintext
  std::string allow_rooms_file;                        // empty: every room
  std::vector<Network> trusted_proxies;
  std::vector<std::string> names;  // hosts it answers to, beside those in its certificate

  // These two bound pairs and, by themselves, registered exits (shares.hpp says who gives way).
  std::size_t max_pairs = 10'000;
  std::size_t max_pairs_per_source = 1'000;
  std::size_t max_pairs_per_room = 1'000;
  std::size_t max_message_bytes = 1 << 20;
  std::size_t max_held_bytes = Backlog::default_bytes();  // by all pairs, each loop's a part of it
  std::size_t max_url_bytes = 512;
  std::size_t max_header_bytes = 8 * 1024;
  // Connections between accept and their place in a room (handshakes.hpp says who gives way).
  std::size_t max_handshakes = 1'024;
  std::size_t max_handshakes_per_source = 256;
  double join_rate = 20;        // a second and source; 0: no limit
  std::uint64_t pair_rate = 0;  // bytes a second, both directions together; 0: no limit
  std::uint64_t window_bytes = 16 << 20;
  // A pair gets a new Key_remote after this many bytes, both directions together, or after this long.
  std::uint64_t rotate_bytes = std::uint64_t{1} << 30;
  std::chrono::seconds rotate_after{600};

  std::chrono::milliseconds first_byte_timeout{3'000};
  std::chrono::milliseconds upgrade_timeout{10'000};
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds write_timeout{60'000};  // without a byte that the peer takes
  std::chrono::milliseconds pair_timeout{10'000};   // how long a client waits for an exit
  std::chrono::milliseconds knock_timeout{3'000};   // how long one instance may take
};

}  // namespace zks::relay
