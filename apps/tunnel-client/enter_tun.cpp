// SPDX-License-Identifier: MIT
#include "enter_tun.hpp"

#include <cstdlib>

#include <unistd.h>

#include "carrier/reach.hpp"
#include "link/state_directory.hpp"
#include "modes.hpp"
#include "ops/notify.hpp"
#include "ops/ready_file.hpp"
#include "vpn/name_process.hpp"
#include "vpn/supervisor.hpp"
#include "watch_service.hpp"

namespace zks::app {
namespace {

// What may be connected to outside the tunnel: the link's relays, or the proxies on the way to them.
std::set<HostPort> targets_of(const Socks5Options& options) {
  std::set<HostPort> out;
  for (const RelayUrl& relay : options.link.relays) {
    const carrier::UpstreamProxy* proxy = carrier::proxy_for(relay, options.common.dial);
    out.insert(proxy != nullptr ? HostPort{proxy->host, proxy->port} : HostPort{relay.host, relay.port});
  }
  return out;
}

void remove_control_socket(const Socks5Options& options, pid_t worker) {
  if (!options.watch.control.empty()) return;
  const auto name = options.mode + "-" + std::to_string(worker) + ".sock";
  for (const char* ending : {"", ".lock"}) {
    std::error_code ignored;
    std::filesystem::remove(control_directory(options.common.state_dir) / (name + ending), ignored);
  }
}

}  // namespace

int run_with_tun(const ops::CommandLine& line, Socks5Options options) {
  if (::geteuid() != 0) {
    return line.fail(make_error(ErrorKind::kUsage, "a TUN device, routes and a firewall take root: sudo"));
  }
  const auto state = link::StateDirectory::open(options.common.state_dir);
  if (!state) return line.fail(state.error());
  if (auto possible = ops::ReadyFile::check(options.common.ready_file); !possible) {
    return line.fail(possible.error());
  }
  std::optional<ops::ReadyFile> ready;
  vpn::SupervisorOptions parent;
  parent.plan = options.tun->plan;
  parent.offloads = options.tun->offloads;
  parent.state_dir = options.common.state_dir;
  parent.targets = targets_of(options);
  parent.name_program = {"/proc/self/exe", std::string(vpn::kNameMode), options.tun->user};
  parent.on_up = [&](std::vector<std::string> lines) {
    ops::notify_ready("session is up");
    return ready->write(::getpid(), lines);
  };
  // Not of whoever is refused: the file may be that of the one who runs.
  parent.on_begin = [&] { ready.emplace(options.common.ready_file); };
  parent.stay_closed = options.tun->stay_closed;
  parent.on_alive = [] { ops::notify_alive(); };
  parent.on_stopping = [] { ops::notify_stopping(); };
  parent.on_ended = [&](pid_t worker) { remove_control_socket(options, worker); };
  options.alive_every = ops::watchdog_interval();  // $WATCHDOG_PID is the parent's
  auto part = vpn::supervise(std::move(parent));
  if (!part) return line.fail(part.error());
  if (!part->worker) return part->status;

  if (ready) ready->disown();
  ::unsetenv("NOTIFY_SOCKET");  // systemd listens to the parent
  options.worker = std::make_shared<vpn::Worker>(std::move(*part->worker));
  const Result<> ended = run_socks5(std::move(options));
  return ended ? 0 : line.fail(ended.error());
}

}  // namespace zks::app
