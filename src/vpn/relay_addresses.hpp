// SPDX-License-Identifier: MIT
//
// In vpn's parent: where the relays that the user named are, and so whom the kill switch lets marked sockets
// reach. Names are asked for by the name process (name_process.hpp), of which this is the other end.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "host/host.hpp"
#include "vpn/name_process.hpp"
#include "vpn/requests.hpp"

namespace zks::vpn {

namespace asio = boost::asio;

inline constexpr std::size_t kMaxLookups = 16;  // of the worker, at once; a relay has one lane that dials

bool has_names(const std::set<HostPort>& targets);

// A socket that may leave (host/firewall.hpp), for another process. None, and errno, when it can't be had.
Fd marked_socket(int family, int type);

// Executor: the loop's, one thread. Lifetime: not less than the loop runs; `host` outlives it.
class RelayAddresses {
 public:
  RelayAddresses(asio::io_context& loop, host::Host& host, std::set<HostPort> targets, NameProcess names);

  void start() { wait(); }
  // Those that are known now; during a lookup the name servers, too.
  Result<> allow();
  // The latest first. An error for a target that nobody named, for a name without an address so far, and
  // beyond kMaxLookups.
  static asio::awaitable<Result<std::vector<IpAddress>>> look_up(RelayAddresses* self, HostPort target);
  std::optional<int> name_process_ended() { return names_.ended(); }
  void end() { names_.end(); }

 private:
  struct Question;
  struct Pending;
  struct Asked;

  void wait();
  void on_message(const NameMessage& message);
  static asio::awaitable<NameAnswer> ask(RelayAddresses* self, std::string host);
  std::string look_for_servers();
  void remember(const HostPort& target, const std::vector<IpAddress>& addresses);

  asio::io_context& loop_;
  host::Host& host_;
  std::set<HostPort> targets_;
  NameProcess names_;
  asio::posix::stream_descriptor socket_;
  std::shared_ptr<Pending> pending_;
  std::uint64_t last_question_ = 0;
  std::vector<NameServer> told_of_;  // forwarders that there was a warning about
  std::map<HostPort, std::deque<IpAddress>> addresses_;
};

}  // namespace zks::vpn
