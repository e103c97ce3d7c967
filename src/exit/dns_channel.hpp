// SPDX-License-Identifier: MIT
//
// A channel of c-ares on the executor's own reactor: the sockets that c-ares opens are watched, its timeouts
// are timed, nothing blocks but the reading of /etc/resolv.conf. Below is c-ares, above lookup.hpp for names
// and resolver.cpp for whole DNS messages.
//
// A channel per query, not one for all: it has a source port of its own, which an off-path attacker must
// guess (RFC 5452), follows a changed resolv.conf, and is cancelled by destroying it.
//
// Executor: one. Lifetime: may be destroyed at any time; what was asked for ends with ARES_EDESTRUCTION then.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include <ares.h>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.hpp"

namespace zks::exit {

// How c-ares is set up. `servers` as in resolver.hpp, empty for those of /etc/resolv.conf.
struct LookupOptions {
  std::string servers;
  int attempt_timeout_ms = 2000;  // the first try; later ones wait longer
  int attempts = 2;               // to each server
  std::uint32_t mark = 0;         // SO_MARK of what asks, which takes CAP_NET_ADMIN; 0: none
};

class DnsChannel {
 public:
  DnsChannel(boost::asio::any_io_executor executor, const LookupOptions& options);
  ~DnsChannel();
  DnsChannel(const DnsChannel&) = delete;
  DnsChannel& operator=(const DnsChannel&) = delete;

  // kLimit or kUsage when c-ares can't be set up.
  Result<> open();
  ares_channel get() const { return channel_; }  // once it is open
  void arm_timer();                              // after something was asked

 private:
  struct Watch;

  void on_socket(int fd, bool readable, bool writable);
  void wait(const std::shared_ptr<Watch>& watch, bool for_writing);
  void process(int read_fd, int write_fd);

  boost::asio::any_io_executor executor_;
  LookupOptions options_;
  ares_channel channel_ = nullptr;
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;  // by descriptor, which c-ares owns
  std::shared_ptr<boost::asio::steady_timer> timer_;         // handlers hold it weakly: gone with the channel
};

}  // namespace zks::exit
