// SPDX-License-Identifier: MIT
//
// Both ends of a session, over a carrier in memory.
#pragma once

#include <functional>
#include <memory>

#include "../support/join_tunnels.hpp"
#include "tunnel/endpoints.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::test {

inline session::Destination somewhere() {
  const auto address = boost::asio::ip::make_address("192.0.2.1");
  return tunnel::make_destination(boost::asio::ip::tcp::endpoint(address, 80));
}

class TunnelPair {
 public:
  TunnelPair(boost::asio::io_context& context, session::Options of_exit, tunnel::Tunnel::Handlers at_exit,
             tunnel::Tunnel::Handlers at_client = {})
      : context_(context) {
    session::Options of_client;
    of_client.id = of_exit.id;
    at_client.on_up = [this](session::LaneNumber, session::HelloMode) { up_ = true; };
    client = std::make_shared<tunnel::Tunnel>(context.get_executor(), of_client, std::move(at_client));
    of_exit.role = session::Role::kExit;
    exit = std::make_shared<tunnel::Tunnel>(context.get_executor(), of_exit, std::move(at_exit));
    link_ = join_tunnels(context.get_executor(), *client, *exit);
  }
  ~TunnelPair() {
    client->end(make_error(ErrorKind::kClosed, "the test is over"));
    exit->end(make_error(ErrorKind::kClosed, "the test is over"));
    context_.restart();
    context_.poll();
  }
  TunnelPair(const TunnelPair&) = delete;
  TunnelPair& operator=(const TunnelPair&) = delete;

  bool up() const { return up_; }
  void cut() { link_->cut(); }
  void stall(bool on) { link_->stall(on); }

  std::shared_ptr<tunnel::Tunnel> client;
  std::shared_ptr<tunnel::Tunnel> exit;

 private:
  boost::asio::io_context& context_;
  std::shared_ptr<carrier::MemoryLink> link_;
  bool up_ = false;
};

}  // namespace zks::test
