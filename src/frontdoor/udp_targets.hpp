// SPDX-License-Identifier: MIT
//
// The client's end of one -R with /udp (remote_forward.hpp): for everybody who wrote to the exit's listener a
// local UDP socket, connected to the forward's target, whose answers go back to whom they are for.
//
// Bound: max_sources sockets; who wrote longest ago makes room, and who was silent for tunnel::source_idle()
// has none. Datagrams that wait for a lookup of the target's name: kMaxWaiting. Executor: the client's.
// Lifetime: shared, until stop() or the end of the flow.
#pragma once

#include <memory>
#include <vector>

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "tunnel/flow.hpp"
#include "tunnel/source_table.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

class UdpTargets : public std::enable_shared_from_this<UdpTargets> {
 public:
  static constexpr std::size_t kMaxSources = 256;
  static constexpr std::size_t kMaxWaiting = 16;

  UdpTargets(asio::any_io_executor executor, session::Destination target, tunnel::SessionFlowPtr flow,
             std::size_t max_sources = kMaxSources);

  void start();
  void stop();
  std::size_t sources() const { return sources_.size(); }

 private:
  using Source = asio::ip::udp::endpoint;
  using SocketPtr = std::shared_ptr<asio::ip::udp::socket>;

  void on_datagram(const session::Destination& from, ByteView bytes);
  void look_up();
  void on_found(const boost::system::error_code& ec, const asio::ip::udp::resolver::results_type& found);
  void forward(const Source& source, ByteView bytes);
  SocketPtr connect();
  void watch(const Source& source, const SocketPtr& socket);
  void on_readable(const Source& source, const SocketPtr& socket);
  void on_refused(const Source& source);
  void arm();

  asio::any_io_executor executor_;
  session::Destination target_;
  tunnel::SessionFlowPtr flow_;
  std::vector<Source> addresses_;  // of the target; the one in use stands first
  std::chrono::steady_clock::time_point look_up_at_{};
  std::vector<std::pair<Source, Bytes>> waiting_;
  bool looking_ = false;
  asio::ip::udp::resolver resolver_;
  tunnel::SourceTable<SocketPtr> sources_;
  asio::steady_timer idle_;
  bool armed_ = false;
  bool stopped_ = false;
};

}  // namespace zks::frontdoor
