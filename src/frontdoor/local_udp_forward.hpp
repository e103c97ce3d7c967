// SPDX-License-Identifier: MIT
//
// One -L with /udp: what comes to a local UDP socket goes to one destination behind the exit, through a flow
// (tunnel/flow.hpp) for each local address and port that it comes from, and answers go back there. Beside it:
// local_forward.hpp for TCP.
//
// The exit's socket takes datagrams from anybody (RFC 4787), whoever uses a forward expects them from its
// target: only those that come from the target's port, and from its address unless it was given as a name,
// are passed on.
//
// Bound: max_sources with a flow each; who wrote longest ago makes room. A flow ends when its source was
// silent for tunnel::source_idle(). Executor: the opener's. Lifetime: shared.
#pragma once

#include <memory>
#include <vector>

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "frontdoor/forward_spec.hpp"
#include "tunnel/source_table.hpp"
#include "tunnel/stream.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

class LocalUdpForward : public std::enable_shared_from_this<LocalUdpForward> {
 public:
  static constexpr std::size_t kMaxSources = 512;

  struct Options {
    std::size_t max_sources = kMaxSources;
    std::chrono::milliseconds idle_timeout{0};      // 0: tunnel::source_idle() of the target's port
    std::vector<asio::ip::udp::endpoint> beside{};  // what else the program takes UDP on
  };

  // kIo when the address can't be bound.
  static Result<std::shared_ptr<LocalUdpForward>> listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                         ForwardSpec spec, Options options);
  static Result<std::shared_ptr<LocalUdpForward>> listen(std::shared_ptr<tunnel::StreamOpener> opener,
                                                         ForwardSpec spec) {
    return listen(std::move(opener), std::move(spec), Options());
  }
  LocalUdpForward(std::shared_ptr<tunnel::StreamOpener> opener, ForwardSpec spec,
                  std::vector<asio::ip::udp::socket> sockets, const Options& options);

  // The first, with the port that the kernel chose when the one asked for was 0.
  std::string address() const;
  void start();
  void close();
  std::size_t sources() const { return sources_.size(); }

 private:
  using Source = asio::ip::udp::endpoint;

  void watch(asio::ip::udp::socket& socket);
  void on_readable(asio::ip::udp::socket& socket);
  void on_datagram(const Source& from, ByteView bytes);
  Result<tunnel::FlowPtr> open_flow(const Source& source);
  void answer(const Source& to, const session::Destination& from, ByteView bytes);
  bool is_of_target(const session::Destination& from) const;
  void complain(const Error& error);
  void arm();

  std::shared_ptr<tunnel::StreamOpener> opener_;
  ForwardSpec spec_;
  std::vector<asio::ip::udp::socket> sockets_;  // of one family each, when there are two
  std::string address_;
  tunnel::SourceTable<tunnel::FlowPtr> sources_;
  asio::steady_timer idle_;
  bool armed_ = false;
  std::chrono::steady_clock::time_point complained_at_{};
  bool closed_ = false;
};

}  // namespace zks::frontdoor
