// SPDX-License-Identifier: MIT
//
// One name looked up: A and AAAA at once. Below is dns_exchange.hpp, which asks; c-ares makes the queries and
// reads the answers. Above is resolver.hpp, which bounds how many of these there are. /etc/hosts is read,
// which blocks as little as a file does.
//
// Executor: one. Lifetime: may be destroyed at any time, and nothing is called after that.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ares.h>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "net/dns_exchange.hpp"
#include "net/wakeup.hpp"

namespace zks::net {

class DnsLookup {
 public:
  // What became of one query (A or AAAA); `status` is c-ares'.
  struct Answer {
    bool done = false;
    int status = ARES_SUCCESS;
    std::vector<IpAddress> addresses;  // empty unless status is ARES_SUCCESS
  };

  DnsLookup(const boost::asio::any_io_executor& executor, LookupOptions options);
  ~DnsLookup();
  DnsLookup(const DnsLookup&) = delete;
  DnsLookup& operator=(const DnsLookup&) = delete;

  // /etc/hosts first, for both families at once: a name that stands there is not asked for elsewhere, nor is
  // localhost (RFC 6761, section 6.3). Nobody is asked after `deadline`. kLimit when c-ares can't be set up.
  Result<> start(const std::string& name, std::chrono::steady_clock::time_point deadline);

  const Answer& ipv4() const;
  const Answer& ipv6() const;
  Wakeup& changed();

 private:
  struct Query;
  struct State;

  Result<bool> find_in_hosts_file(const std::string& name);
  void ask(const std::string& name, Query& query, std::chrono::steady_clock::time_point deadline);
  static boost::asio::awaitable<void> await(std::shared_ptr<State> state, Query* query, std::string name,
                                            std::chrono::steady_clock::time_point deadline);

  std::shared_ptr<State> state_;  // what asks holds it
};

}  // namespace zks::net
