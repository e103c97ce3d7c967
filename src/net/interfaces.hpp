// SPDX-License-Identifier: MIT
//
// The networks that this machine is part of, which an exit's policy keeps closed: read from the kernel at
// start and again whenever rtnetlink says that an address or a route changed.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/result.hpp"
#include "net/local_network.hpp"

namespace zks::net {

// Every interface address with its prefix, peer and broadcast addresses; and on-link prefixes that only the
// routing tables know: from router advertisements without an address in them, and locally delivered ranges.
// A prefix of length 0 is the way out, not a network of ours. kIo when the kernel does not answer.
Result<std::vector<LocalNetwork>> read_local_networks();

// Calls `on_change` with a fresh snapshot after every change, at most ten times a second: a router with a
// busy table is not to cost the exit its processor. When a snapshot can't be read, the old one stays in force
// and the next attempt comes after a second.
//
// Executor: one, given at construction; calls are made there. Lifetime: the caller's; nothing is called after
// destruction.
class InterfaceWatch {
 public:
  using Networks = std::vector<LocalNetwork>;

  // kIo when rtnetlink can't be subscribed to. `on_change` is called for the first time before this returns.
  static Result<std::unique_ptr<InterfaceWatch>> start(boost::asio::any_io_executor executor,
                                                       std::function<void(Networks)> on_change);
  ~InterfaceWatch();
  InterfaceWatch(const InterfaceWatch&) = delete;
  InterfaceWatch& operator=(const InterfaceWatch&) = delete;

 private:
  InterfaceWatch(boost::asio::any_io_executor executor, int netlink, std::function<void(Networks)> on_change);
  void wait();
  void refresh();

  boost::asio::posix::stream_descriptor netlink_;
  boost::asio::steady_timer pause_;
  std::function<void(Networks)> on_change_;
  std::shared_ptr<InterfaceWatch*> alive_;  // handlers may be queued when this object dies
};

}  // namespace zks::net
