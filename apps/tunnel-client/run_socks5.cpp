// SPDX-License-Identifier: MIT
//
// The modes socks5 and p2p-client: front doors on this machine, ready once a session with the exit is up and
// the exit listens for the reverse forwards.
#include <boost/asio/io_context.hpp>
#include <unistd.h>

#include "base/log.hpp"
#include "base/log_output.hpp"
#include "carrier/tls_client.hpp"
#include "modes.hpp"
#include "net/run_loop.hpp"
#include "ops/notify.hpp"
#include "ops/ready_file.hpp"
#include "ops/signals.hpp"
#include "proxy_service.hpp"
#include "vpn/parent_link.hpp"
#include "vpn/supervisor.hpp"
#include "vpn/syscall_filter.hpp"
#include "watch_service.hpp"

namespace zks::app {
namespace {

void log_doors(bool proxy, const std::vector<std::string>& addresses) {
  if (!proxy) return log::info("session is up");
  log::info("SOCKS5 and HTTP proxy on {}; try: curl --socks5-hostname {} https://example.org/",
            addresses.front(), addresses.front());
}

}  // namespace

Result<> run_socks5(Socks5Options options) {
  if (auto possible = ops::ReadyFile::check(options.common.ready_file); !possible) return possible;
  boost::asio::io_context loop(1);
  ops::ReadyFile ready(options.worker ? std::filesystem::path() : options.common.ready_file);
  Result<> result;
  std::shared_ptr<vpn::ParentLink> parent;  // with a TUN device
  CommonOptions common = options.common;    // goes before the loop does, and what is on it with it
  std::shared_ptr<ProxyService> service;
  bool up = false;
  bool was_ready = false;

  // Once the session is up and the exit listens wherever it was asked to.
  const auto look_whether_ready = [&] {
    const auto addresses = up && !was_ready ? service->addresses() : std::nullopt;
    if (!addresses) return;
    was_ready = true;
    log_doors(options.proxy.wanted, *addresses);
    if (parent) return parent->tell_up(*addresses);
    result = ready.write(::getpid(), *addresses);
    if (!result) loop.stop();
    ops::notify_ready("session is up");
  };
  const auto on_answer = [&](const Result<>& answer) {
    if (answer) return look_whether_ready();
    if (was_ready) return log::warn("{}; trying again", answer.error().text);
    if (result) result = answer;
    service->stop();
  };
  tunnel::Client::Handlers handlers;
  handlers.on_up = [&] {
    up = true;
    look_whether_ready();
  };
  handlers.on_stopped = [&](const std::optional<Error>& error) {
    if (error && result) result = *error;
    loop.stop();
  };
  if (options.worker) {
    parent = std::make_shared<vpn::ParentLink>(loop.get_executor(), std::move(options.worker->parent),
                                               [&] { loop.stop(); });
    common.dial.uplink = parent;
    auto trust = carrier::TlsTrust::make(options.common.dial.ca_file, options.link.pin);
    if (!trust) return trust.error();
    common.dial.trust = *trust;
  }
  const bool forwards = !options.forwards.local.empty() || !options.forwards.remote.empty();
  const auto sockets = options.proxy.wanted || forwards ? vpn::Sockets::kOwn : vpn::Sockets::kGiven;
  auto created = ProxyService::create(loop.get_executor(), common, std::move(options.link), options.proxy,
                                      std::move(options.forwards), on_answer, std::move(handlers));
  if (!created) return created.error();
  service = std::move(*created);
  const auto watch = WatchService::start(loop.get_executor(), options.mode, options.watch,
                                         options.common.state_dir, [&] { return service->status(); });
  if (!watch) return watch.error();
  if (options.worker) {
    if (auto dropped = vpn::drop_privileges(options.tun->user); !dropped) return dropped.error();
    if (auto filtered = vpn::filter_system_calls(sockets); !filtered) return filtered.error();
    log::go_on();  // with a thread that has no rights either
    // Only now is anything on this machine changed.
    auto set_up = parent->prepared();
    if (!set_up) return set_up.error();
    service->open_tun(std::move(options.worker->devices), *options.tun, tunnel::Json::parse(*set_up));
    parent->start();
  }
  const ops::Signals signals(loop.get_executor(), [&] {
    ops::notify_stopping();
    service->stop();
  });
  const ops::Watchdog watchdog =
      options.worker ? ops::Watchdog(loop.get_executor(), options.alive_every, [&] { parent->tell_alive(); })
                     : ops::Watchdog(loop.get_executor());
  service->start();
  net::run_loop(loop);
  return result;
}

}  // namespace zks::app
