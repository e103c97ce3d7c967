// SPDX-License-Identifier: MIT
#include "proxy_service.hpp"

#include <boost/asio/co_spawn.hpp>

#include "carrier/spawn.hpp"
#include "link/state_directory.hpp"
#include "network_options.hpp"

namespace zks::app {

Result<std::shared_ptr<ProxyService>> ProxyService::create(boost::asio::any_io_executor executor,
                                                           const CommonOptions& common, link::AccessLink link,
                                                           const ProxyOptions& proxy,
                                                           tunnel::Client::Handlers handlers) {
  auto state = link::StateDirectory::open(common.state_dir);
  if (!state) return state.error();
  auto key = state->load_or_create_client_key();
  if (!key) return key.error();

  tunnel::ClientOptions options;
  options.link = std::move(link);
  options.key = crypto::KeyPair::from_private(std::move(*key));
  options.dial = common.dial;
  options.dial.pin = options.link.pin;
  const auto apart = refuse_own_proxy(options.dial, options.link.relays, proxy.listen);
  if (!apart) return apart.error();
  announce_proxies(options.dial, options.link.relays);
  options.reconnect_max = common.reconnect_max;
  options.renew_after = proxy.renew_after;
  options.renew_bytes = proxy.renew_bytes;
  options.lanes = proxy.lanes;
  auto service = std::make_shared<ProxyService>();
  service->client_ =
      std::make_shared<tunnel::Client>(std::move(executor), std::move(options), std::move(handlers));
  frontdoor::ProxyServerOptions server;
  server.listen = proxy.listen;
  server.credentials = proxy.credentials;
  auto listening = frontdoor::ProxyServer::listen(service->client_, std::move(server));
  if (!listening) return listening.error();
  service->server_ = std::move(*listening);
  auto watch = exit::InterfaceWatch::start(
      service->client_->executor(),
      [client = service->client_](const exit::InterfaceWatch::Networks&) { client->network_changed(); });
  if (!watch) return watch.error();
  service->network_ = std::move(*watch);
  auto sleep = tunnel::WakeWatch::start(service->client_->executor(),
                                        [client = service->client_] { client->network_changed(); });
  if (!sleep) return sleep.error();
  service->sleep_ = std::move(*sleep);
  return service;
}

void ProxyService::start() {
  server_->start();
  client_->start();
}

ModeStatus ProxyService::status() const {
  ModeStatus out;
  out.client = client_->status();
  const auto listen = server_->local_endpoint();
  out.front_doors.push_back(
      {"proxy", format_host_port(listen.address().to_string(), listen.port()), server_->connections()});
  return out;
}

void ProxyService::stop() {
  if (stopping_) return;
  stopping_ = true;
  boost::asio::co_spawn(client_->executor(), drain(shared_from_this()), carrier::RethrowFailure{});
}

boost::asio::awaitable<void> ProxyService::drain(std::shared_ptr<ProxyService> self) {
  co_await self->server_->stop();
  self->client_->stop();
}

}  // namespace zks::app
