// SPDX-License-Identifier: MIT
//
// One name looked up by c-ares on the executor's own reactor: the sockets that c-ares opens are watched, its
// timeouts are timed, nothing blocks but the reading of /etc/hosts and /etc/resolv.conf. Below is c-ares,
// above resolver.hpp, which bounds how many of these there are.
//
// A channel per lookup, not one for all: it has a source port of its own, which an off-path attacker must
// guess (RFC 5452), follows a changed resolv.conf, and is cancelled by destroying it.
//
// Executor: one. Lifetime: may be destroyed at any time, and nothing is called after that.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <ares.h>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "carrier/signal.hpp"

namespace zks::exit {

// How c-ares is set up. `servers` as in resolver.hpp, empty for those of /etc/resolv.conf.
struct LookupOptions {
  std::string servers;
  int attempt_timeout_ms = 2000;  // the first try; later ones wait longer
  int attempts = 2;               // to each server
};

class Lookup {
 public:
  // What became of one query (A or AAAA); `status` is c-ares'.
  struct Answer {
    bool done = false;
    int status = ARES_SUCCESS;
    std::vector<IpAddress> addresses;  // empty unless status is ARES_SUCCESS
  };

  Lookup(boost::asio::any_io_executor executor, const LookupOptions& options);
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // /etc/hosts first, for both families at once: a name that stands there is not asked for elsewhere. kLimit
  // or kUsage when c-ares can't be set up.
  Result<> start(const std::string& name);

  const Answer& ipv4() const { return ipv4_; }
  const Answer& ipv6() const { return ipv6_; }
  carrier::Signal& changed() { return changed_; }

 private:
  struct Watch;

  bool find_in_hosts_file(const std::string& name);
  void ask(const std::string& name, int family, Answer& answer);
  void on_socket(int fd, bool readable, bool writable);
  void wait(const std::shared_ptr<Watch>& watch, bool for_writing);
  void process(int read_fd, int write_fd);
  void arm_timer();

  boost::asio::any_io_executor executor_;
  LookupOptions options_;
  ares_channel channel_ = nullptr;
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;  // by descriptor, which c-ares owns
  std::shared_ptr<boost::asio::steady_timer> timer_;         // handlers hold it weakly: gone with the lookup
  carrier::Signal changed_;
  Answer ipv4_;
  Answer ipv6_;
};

}  // namespace zks::exit
