// SPDX-License-Identifier: MIT
//
// The mode socks5 (and p2p-client): a proxy on this machine, ready once a session with the exit is up.
#include <boost/asio/io_context.hpp>
#include <unistd.h>

#include "base/log.hpp"
#include "modes.hpp"
#include "ops/notify.hpp"
#include "ops/ready_file.hpp"
#include "ops/signals.hpp"
#include "proxy_service.hpp"
#include "watch_service.hpp"

namespace zks::app {
namespace {

std::string address_text(const boost::asio::ip::tcp::endpoint& endpoint) {
  return format_host_port(endpoint.address().to_string(), endpoint.port());
}

}  // namespace

Result<> run_socks5(Socks5Options options) {
  boost::asio::io_context loop(1);
  ops::ReadyFile ready(options.common.ready_file);
  Result<> result;
  std::shared_ptr<ProxyService> service;
  bool was_up = false;

  tunnel::Client::Handlers handlers;
  handlers.on_up = [&] {
    if (std::exchange(was_up, true)) return;
    const std::string address = address_text(service->local_endpoint());
    log::info("SOCKS5 and HTTP proxy on {}; try: curl --socks5-hostname {} https://example.org/", address,
              address);
    result = ready.write(::getpid(), {address});
    if (!result) loop.stop();
    ops::notify_ready("session is up");
  };
  handlers.on_stopped = [&](const std::optional<Error>& error) {
    if (error) result = *error;
    loop.stop();
  };
  auto created = ProxyService::create(loop.get_executor(), options.common, std::move(options.link),
                                      options.proxy, std::move(handlers));
  if (!created) return created.error();
  service = std::move(*created);
  const auto watch = WatchService::start(loop.get_executor(), options.mode, options.watch,
                                         options.common.state_dir, [&] { return service->status(); });
  if (!watch) return watch.error();
  const ops::Signals signals(loop.get_executor(), [&] {
    ops::notify_stopping();
    service->stop();
  });
  const ops::Watchdog watchdog(loop.get_executor());
  service->start();
  loop.run();
  return result;
}

}  // namespace zks::app
