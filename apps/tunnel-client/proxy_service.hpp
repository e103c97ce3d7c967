// SPDX-License-Identifier: MIT
//
// A client session with the proxy in front of it. Used by socks5, p2p-client and demo.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "exit/interfaces.hpp"
#include "frontdoor/proxy_server.hpp"
#include "options.hpp"
#include "tunnel/client.hpp"
#include "tunnel/wake_watch.hpp"
#include "watch_service.hpp"

namespace zks::app {

// Executor: the one given. Lifetime: shared; its coroutines hold it.
class ProxyService : public std::enable_shared_from_this<ProxyService> {
 public:
  // Listens at once, so that a taken port is found out before anything is dialled; clients wait for the
  // session.
  static Result<std::shared_ptr<ProxyService>> create(boost::asio::any_io_executor executor,
                                                      const CommonOptions& common, link::AccessLink link,
                                                      const ProxyOptions& proxy,
                                                      tunnel::Client::Handlers handlers);

  void start();
  // Lets streams finish, for 5 s, then ends the session; the client's on_stopped tells when that is done.
  void stop();
  ModeStatus status() const;
  boost::asio::ip::tcp::endpoint local_endpoint() const { return server_->local_endpoint(); }

 private:
  static boost::asio::awaitable<void> drain(std::shared_ptr<ProxyService> self);

  std::shared_ptr<tunnel::Client> client_;
  std::shared_ptr<frontdoor::ProxyServer> server_;
  std::unique_ptr<exit::InterfaceWatch> network_;
  std::unique_ptr<tunnel::WakeWatch> sleep_;
  bool stopping_ = false;
};

}  // namespace zks::app
