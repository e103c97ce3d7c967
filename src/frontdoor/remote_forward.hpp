// SPDX-License-Identifier: MIT
//
// One -R: the exit listens, and whatever connects there, or is sent there by UDP (udp_targets.hpp), goes to
// one target at this end. The target is the user's word alone: nothing that the exit says of a connection has
// a part in where it leads.
//
// Bound: kMaxConnections; for one more the stream that is half-closed and silent longest makes room, or it is
// refused. Executor: the client's. Lifetime: shared; the coroutines of its
// connections hold it.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "base/limit_notice.hpp"
#include "frontdoor/forward_spec.hpp"
#include "frontdoor/udp_targets.hpp"
#include "tunnel/remote_listener.hpp"

namespace zks::frontdoor {

namespace asio = boost::asio;

class RemoteForward final : public tunnel::RemoteListener,
                            public std::enable_shared_from_this<RemoteForward> {
 public:
  static constexpr std::size_t kMaxConnections = 1024;

  // `on_answer`: each time that the exit listens, or does not and why.
  RemoteForward(asio::any_io_executor executor, ForwardSpec spec,
                std::function<void(const Result<>&)> on_answer);

  std::size_t connections() const { return targets_ ? targets_->sources() : streams_.size(); }
  const ForwardSpec& spec() const { return spec_; }
  // Where the exit listens; empty while it does not.
  const std::string& address() const { return address_; }

  session::ListenKind kind() const override { return spec_.kind; }
  session::Destination bind() const override { return spec_.listen.address; }
  void on_listening(session::Destination bound) override;
  void on_refused(session::ResetCode code) override;
  void on_connection(tunnel::StreamPtr stream, session::Destination from) override;
  void on_flow(tunnel::SessionFlowPtr flow) override;

 private:
  bool has_room();
  static asio::awaitable<void> serve(std::shared_ptr<RemoteForward> self, tunnel::StreamPtr stream);

  asio::any_io_executor executor_;
  ForwardSpec spec_;
  std::function<void(const Result<>&)> on_answer_;
  std::string address_;
  std::list<tunnel::StreamPtr> streams_;  // its connections
  LimitNotice limit_notice_;
  std::shared_ptr<UdpTargets> targets_;  // UDP, once the exit listens
};

}  // namespace zks::frontdoor
