// SPDX-License-Identifier: MIT
#include "proxy_service.hpp"

#include <boost/asio/co_spawn.hpp>

#include "frontdoor/listen_endpoints.hpp"
#include "link/state_directory.hpp"
#include "net/spawn.hpp"
#include "network_options.hpp"

namespace zks::app {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kDrainTime{5};

FrontDoor door_status(const frontdoor::LocalForward& forward) {
  return {"forward", forward.address(), forward.connections()};
}

FrontDoor door_status(const frontdoor::LocalUdpForward& forward) {
  return {"udp forward", forward.address(), forward.sources()};
}

FrontDoor door_status(const frontdoor::RemoteForward& forward) {
  const bool udp = forward.kind() == session::ListenKind::kUdp;
  const bool there = !forward.address().empty();
  return {udp ? "reverse udp" : "reverse",
          there ? forward.address() : to_text(forward.spec().listen) + ", where the exit does not listen",
          forward.connections()};
}

template <class Protocol>
void append(std::vector<asio::ip::basic_endpoint<Protocol>>& out, const frontdoor::ForwardSpec& spec,
            session::ListenKind kind) {
  if (spec.kind != kind) return;
  for (const auto& endpoint : frontdoor::listen_endpoints<Protocol>(spec.listen)) out.push_back(endpoint);
}

}  // namespace

// All that the program listens on, for who has to leave room for another family.
struct ProxyService::Beside {
  net::Endpoints tcp;
  std::vector<asio::ip::udp::endpoint> udp;
};

Result<std::shared_ptr<ProxyService>> ProxyService::create(boost::asio::any_io_executor executor,
                                                           const CommonOptions& common, link::AccessLink link,
                                                           const ProxyOptions& proxy,
                                                           tunnel::Client::Handlers handlers) {
  return create(std::move(executor), common, std::move(link), proxy, {}, nullptr, std::move(handlers));
}

Result<std::shared_ptr<ProxyService>> ProxyService::create(boost::asio::any_io_executor executor,
                                                           const CommonOptions& common, link::AccessLink link,
                                                           const ProxyOptions& proxy, ForwardOptions forwards,
                                                           std::function<void(const Result<>&)> on_answer,
                                                           tunnel::Client::Handlers handlers) {
  auto state = link::StateDirectory::open(common.state_dir);
  if (!state) return state.error();
  auto key = state->load_or_create_client_key();
  if (!key) return key.error();

  tunnel::ClientOptions options;
  tunnel::LaneSource& source = options.source;
  source.link = std::move(link);
  source.key = crypto::KeyPair::from_private(std::move(*key));
  carrier::DialOptions dial = common.dial;
  dial.pin = source.link.pin;
  const auto apart = refuse_own_proxy(dial, source.link.relays, proxy.listen);
  if (!apart) return apart.error();
  announce_proxies(dial, source.link.relays);
  source.dialler = std::make_shared<carrier::NetworkDialler>(std::move(dial));
  options.reconnect_max = common.reconnect_max;
  options.renew_after = proxy.renew_after;
  options.renew_bytes = proxy.renew_bytes;
  options.lanes = proxy.lanes;
  options.once = proxy.once;
  auto service = std::make_shared<ProxyService>();
  service->client_ =
      std::make_shared<tunnel::Client>(std::move(executor), std::move(options), std::move(handlers));
  const auto opened = service->open_doors(proxy, std::move(forwards), std::move(on_answer));
  if (!opened) return opened.error();
  auto watch = net::InterfaceWatch::start(
      service->client_->executor(),
      [client = service->client_](const net::InterfaceWatch::Networks&) { client->network_changed(); });
  if (!watch) return watch.error();
  service->network_ = std::move(*watch);
  auto sleep = net::WakeWatch::start(service->client_->executor(),
                                     [client = service->client_] { client->network_changed(); });
  if (!sleep) return sleep.error();
  service->sleep_ = std::move(*sleep);
  return service;
}

Result<> ProxyService::open_local(frontdoor::ForwardSpec spec, const Beside& beside) {
  if (spec.kind == session::ListenKind::kUdp) {
    frontdoor::LocalUdpForward::Options options;
    options.beside = beside.udp;
    auto bound = frontdoor::LocalUdpForward::listen(client_, std::move(spec), std::move(options));
    if (!bound) return bound.error();
    local_.emplace_back(std::move(*bound));
  } else {
    constexpr std::size_t kMost = frontdoor::LocalForward::kMaxConnections;
    auto listening = frontdoor::LocalForward::listen(client_, std::move(spec), kMost, beside.tcp);
    if (!listening) return listening.error();
    local_.emplace_back(std::move(*listening));
  }
  return {};
}

Result<> ProxyService::open_doors(const ProxyOptions& proxy, ForwardOptions forwards,
                                  std::function<void(const Result<>&)> on_answer) {
  Beside beside;
  if (proxy.wanted) beside.tcp = proxy.listen;
  for (const auto& spec : forwards.local) {
    if (spec.listen.is_unix()) continue;
    append(beside.tcp, spec, session::ListenKind::kTcp);
    append(beside.udp, spec, session::ListenKind::kUdp);
  }
  if (proxy.wanted) {
    frontdoor::ProxyServerOptions options;
    options.beside = beside.tcp;
    options.listen = proxy.listen;
    options.credentials = proxy.credentials;
    auto listening = frontdoor::ProxyServer::listen(client_, std::move(options));
    if (!listening) return listening.error();
    server_ = std::move(*listening);
  }
  for (auto& spec : forwards.local) {
    if (auto opened = open_local(std::move(spec), beside); !opened) return opened;
  }
  for (auto& spec : forwards.remote) {
    remote_.push_back(
        std::make_shared<frontdoor::RemoteForward>(client_->executor(), std::move(spec), on_answer));
    client_->listen(remote_.back());
  }
  return {};
}

std::optional<std::vector<std::string>> ProxyService::addresses() const {
  std::vector<std::string> out;
  if (server_) {
    const auto proxy = server_->local_endpoint();
    out.push_back(format_host_port(proxy.address().to_string(), proxy.port()));
  }
  for (const LocalDoor& door : local_) {
    out.push_back(std::visit([](const auto& forward) { return forward->address(); }, door));
  }
  for (const auto& forward : remote_) {
    if (forward->address().empty()) return std::nullopt;
    out.push_back(forward->address());
  }
  if (gate_) out.push_back(tun_name_);
  return out;
}

void ProxyService::start() {
  if (server_) server_->start();
  for (const LocalDoor& door : local_) std::visit([](const auto& forward) { forward->start(); }, door);
  if (gate_) gate_->start();
  client_->start();
}

ModeStatus ProxyService::status() const {
  ModeStatus out;
  out.client = client_->status();
  if (server_) {
    const auto listen = server_->local_endpoint();
    out.front_doors.push_back(
        {"proxy", format_host_port(listen.address().to_string(), listen.port()), server_->connections()});
  }
  for (const LocalDoor& door : local_) {
    out.front_doors.push_back(std::visit([](const auto& forward) { return door_status(*forward); }, door));
  }
  for (const auto& forward : remote_) out.front_doors.push_back(door_status(*forward));
  if (gate_) {
    out.tun = TunStatus{gate_->status(), host_};
    out.front_doors.push_back({"tun", tun_name_, out.tun->gate.connections});
  }
  return out;
}

void ProxyService::open_tun(vpn::Devices devices, const TunOptions& options, tunnel::Json host) {
  vpn::GateOptions gate;
  gate.dns_ipv4 = options.plan.dns_ipv4;
  gate.dns_ipv6 = options.plan.dns_ipv6;
  gate.mtu = options.plan.mtu;
  gate.udp.idle = options.flow_timeout;
  gate.udp.idle_dns = std::min(gate.udp.idle_dns, gate.udp.idle);
  gate_ = std::make_shared<vpn::Gate>(client_, std::move(devices), gate);
  tun_name_ = options.plan.tun;
  host_ = std::move(host);
}

void ProxyService::stop() {
  if (stopping_) return;
  stopping_ = true;
  boost::asio::co_spawn(client_->executor(), drain(shared_from_this()), net::RethrowFailure{});
}

boost::asio::awaitable<void> ProxyService::drain(std::shared_ptr<ProxyService> self) {
  const auto deadline = std::chrono::steady_clock::now() + kDrainTime;
  self->client_->stop_listening();
  for (const LocalDoor& door : self->local_) std::visit([](const auto& forward) { forward->close(); }, door);
  if (self->server_) co_await self->server_->stop();
  for (const LocalDoor& door : self->local_) {
    const auto* forward = std::get_if<std::shared_ptr<frontdoor::LocalForward>>(&door);
    if (forward != nullptr) co_await (*forward)->stop(deadline);
  }
  if (self->gate_) co_await self->gate_->stop(deadline);
  self->client_->stop();
}

}  // namespace zks::app
