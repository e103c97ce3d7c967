// SPDX-License-Identifier: MIT
//
// A client session with its front doors: a proxy, forwards, or both. Used by socks5, p2p-client and demo.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <variant>

#include "frontdoor/local_forward.hpp"
#include "frontdoor/local_udp_forward.hpp"
#include "frontdoor/proxy_server.hpp"
#include "frontdoor/remote_forward.hpp"
#include "net/interfaces.hpp"
#include "net/wake_watch.hpp"
#include "options.hpp"
#include "tunnel/client.hpp"
#include "vpn/gate.hpp"
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
  // The same with forwards. `on_answer`: what the exit said to one of the remote ones, each time.
  static Result<std::shared_ptr<ProxyService>> create(boost::asio::any_io_executor executor,
                                                      const CommonOptions& common, link::AccessLink link,
                                                      const ProxyOptions& proxy, ForwardOptions forwards,
                                                      std::function<void(const Result<>&)> on_answer,
                                                      tunnel::Client::Handlers handlers);

  // Before start().
  void open_tun(vpn::Devices devices, const TunOptions& options, tunnel::Json host);
  void start();
  // Lets streams finish, for 5 s, then ends the session; the client's on_stopped tells when that is done.
  void stop();
  ModeStatus status() const;
  boost::asio::ip::tcp::endpoint local_endpoint() const { return server_->local_endpoint(); }
  // The proxy's, those of -L here and of -R at the exit, in the order in which they were given; nothing while
  // one of -R is not there yet.
  std::optional<std::vector<std::string>> addresses() const;

 private:
  using LocalDoor =
      std::variant<std::shared_ptr<frontdoor::LocalForward>, std::shared_ptr<frontdoor::LocalUdpForward>>;
  static boost::asio::awaitable<void> drain(std::shared_ptr<ProxyService> self);
  struct Beside;

  Result<> open_local(frontdoor::ForwardSpec spec, const Beside& beside);
  Result<> open_doors(const ProxyOptions& proxy, ForwardOptions forwards,
                      std::function<void(const Result<>&)> on_answer);

  std::shared_ptr<tunnel::Client> client_;
  std::shared_ptr<frontdoor::ProxyServer> server_;  // null: no proxy
  std::vector<LocalDoor> local_;                    // in the order in which they were given
  std::vector<std::shared_ptr<frontdoor::RemoteForward>> remote_;
  std::shared_ptr<vpn::Gate> gate_;  // null: no TUN device
  std::string tun_name_;
  tunnel::Json host_;
  std::unique_ptr<net::InterfaceWatch> network_;
  std::unique_ptr<net::WakeWatch> sleep_;
  bool stopping_ = false;
};

}  // namespace zks::app
