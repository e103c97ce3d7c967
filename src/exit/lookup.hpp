// SPDX-License-Identifier: MIT
//
// One name looked up by c-ares. Below is dns_channel.hpp, above resolver.hpp, which bounds how many of these
// there are. /etc/hosts is read, which blocks as little as a file does.
//
// Executor: one. Lifetime: may be destroyed at any time, and nothing is called after that.
#pragma once

#include <string>
#include <vector>

#include <ares.h>
#include <boost/asio/any_io_executor.hpp>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "carrier/signal.hpp"
#include "exit/dns_channel.hpp"

namespace zks::exit {

class Lookup {
 public:
  // What became of one query (A or AAAA); `status` is c-ares'.
  struct Answer {
    bool done = false;
    int status = ARES_SUCCESS;
    std::vector<IpAddress> addresses;  // empty unless status is ARES_SUCCESS
  };

  Lookup(boost::asio::any_io_executor executor, const LookupOptions& options);
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // /etc/hosts first, for both families at once: a name that stands there is not asked for elsewhere. kLimit
  // or kUsage when c-ares can't be set up.
  Result<> start(const std::string& name);

  const Answer& ipv4() const { return ipv4_; }
  const Answer& ipv6() const { return ipv6_; }
  carrier::Signal& changed() { return changed_; }

 private:
  bool find_in_hosts_file(const std::string& name);
  void ask(const std::string& name, int family, Answer& answer);

  carrier::Signal changed_;
  Answer ipv4_;
  Answer ipv6_;
  DnsChannel channel_;  // goes first
};

}  // namespace zks::exit
