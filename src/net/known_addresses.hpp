// SPDX-License-Identifier: MIT
//
// The addresses by which relays and proxies were reached last, for as long as the process runs: a name that
// can't be looked up, or that somebody answers wrongly, is reached by them again. TLS decides whether it is
// the relay, as for any address.
//
// Executor: the dialler's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

namespace zks::net {

class KnownAddresses {
 public:
  // The latest first.
  std::vector<boost::asio::ip::tcp::endpoint> of(const std::string& host, std::uint16_t port) const {
    const auto at = places_.find({host, port});
    if (at == places_.end()) return {};
    return {at->second.begin(), at->second.end()};
  }

  void worked(const std::string& host, std::uint16_t port, const boost::asio::ip::tcp::endpoint& endpoint) {
    auto& known = places_[{host, port}];  // as many as the link has relays, and the proxies
    std::erase(known, endpoint);
    known.push_front(endpoint);
    if (known.size() > kMaxOfPlace) known.pop_back();
  }

 private:
  static constexpr std::size_t kMaxOfPlace = 4;
  std::map<std::pair<std::string, std::uint16_t>, std::deque<boost::asio::ip::tcp::endpoint>> places_;
};

}  // namespace zks::net
