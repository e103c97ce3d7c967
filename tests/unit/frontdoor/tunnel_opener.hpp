// SPDX-License-Identifier: MIT
//
// A real tunnel over a carrier in memory. Its far end connects every stream to a listener of the test's, or
// leaves it unanswered.
#pragma once

#include <boost/asio/co_spawn.hpp>

#include "../support/join_tunnels.hpp"
#include "net/spawn.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::frontdoor {

class TunnelOpener final : public tunnel::StreamOpener {
 public:
  explicit TunnelOpener(boost::asio::any_io_executor executor) : executor_(executor) {
    session::Options options;
    near_ = std::make_shared<tunnel::Tunnel>(executor, options, tunnel::Tunnel::Handlers{});
    options.role = session::Role::kExit;
    tunnel::Tunnel::Handlers handlers;
    handlers.on_open = [this](tunnel::StreamPtr stream, const session::Destination&) { on_open(stream); };
    far_ = std::make_shared<tunnel::Tunnel>(executor, options, std::move(handlers));
    test::join_tunnels(executor, *near_, *far_);
  }

  boost::asio::any_io_executor executor() override { return executor_; }
  boost::asio::awaitable<tunnel::OpenOutcome> open(session::Destination destination) override {
    return near_->open(std::move(destination));
  }

  // Call before the executor's context ends.
  void end() {
    unanswered.clear();
    near_->end(make_error(ErrorKind::kClosed, "the test is over"));
    far_->end(make_error(ErrorKind::kClosed, "the test is over"));
  }

  boost::asio::ip::tcp::endpoint target;  // port 0: streams are left unanswered
  session::Destination bound{};           // what the far end says it is bound to
  std::vector<tunnel::StreamPtr> unanswered{};
  std::size_t open_streams() const { return near_->open_streams(); }

 private:
  void on_open(const tunnel::StreamPtr& stream) {
    if (target.port() == 0) {
      unanswered.push_back(stream);
      return;
    }
    boost::asio::ip::tcp::socket socket(executor_);
    socket.connect(target);  // a listener on loopback: at once
    stream->accept(bound);
    boost::asio::co_spawn(executor_, tunnel::splice(std::move(socket), stream, Bytes{}),
                          net::RethrowFailure{});
  }

  boost::asio::any_io_executor executor_;
  std::shared_ptr<tunnel::Tunnel> near_;
  std::shared_ptr<tunnel::Tunnel> far_;
};

}  // namespace zks::frontdoor
