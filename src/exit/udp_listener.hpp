// SPDX-License-Identifier: MIT
//
// A listener of datagrams of one session (listeners.hpp): what comes to its socket goes into the tunnel with
// its source, and the client's answers go back from it.
//
// Only to who wrote to it lately: the policy of the exit (policy.hpp) is not asked here, so a client must not
// choose whom it sends to. What its rules leave open, --allow-listen, is who may write. UDP has no handshake,
// so whoever can forge a source address towards the socket can have an answer sent there.
//
// What an invite may use (allowance.hpp) counts for each datagram: beyond its rate or quota they are dropped.
//
// Bound: kMaxSources of them are remembered. Executor: the session's. Lifetime: shared; stop() ends the
// socket.
#pragma once

#include <memory>

#include "exit/allowance.hpp"
#include "exit/udp_socket.hpp"
#include "tunnel/flow.hpp"
#include "tunnel/source_table.hpp"

namespace zks::exit {

class UdpListener : public std::enable_shared_from_this<UdpListener> {
 public:
  static constexpr std::size_t kMaxSources = 256;

  // `buffers` outlives it.
  UdpListener(UdpSocket socket, std::shared_ptr<UdpBuffers> buffers, std::shared_ptr<Allowance> allowance);

  asio::ip::udp::endpoint local_endpoint() const { return local_; }
  // `flow`: the listener's, once the session knows that it listens.
  void start(tunnel::SessionFlowPtr flow);
  void stop();

 private:
  struct Nothing {};

  void watch();
  void on_ready();
  void on_received(const IpAddress& from, std::uint16_t port, ByteView bytes);
  void on_answer(const session::Destination& to, ByteView bytes);

  UdpSocket socket_;
  asio::ip::udp::endpoint local_;
  std::shared_ptr<UdpBuffers> buffers_;
  std::shared_ptr<Allowance> allowance_;
  tunnel::SourceTable<Nothing> sources_;
  tunnel::SessionFlowPtr flow_;
  bool stopped_ = false;
};

}  // namespace zks::exit
