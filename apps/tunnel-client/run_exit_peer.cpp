// SPDX-License-Identifier: MIT
//
// The mode exit-peer: ready once a relay has taken its registration.
#include <cstdio>

#include <boost/asio/io_context.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic_file.hpp"
#include "base/log.hpp"
#include "exit_service.hpp"
#include "modes.hpp"
#include "net/run_loop.hpp"
#include "ops/notify.hpp"
#include "ops/ready_file.hpp"
#include "ops/signals.hpp"
#include "watch_service.hpp"

namespace zks::app {
namespace {

// As a service manager has it, to keep the link out of its journal.
bool output_is_thrown_away() {
  struct stat output {};
  struct stat null {};
  return ::fstat(STDOUT_FILENO, &output) == 0 && ::stat("/dev/null", &null) == 0 && S_ISCHR(output.st_mode) &&
         output.st_rdev == null.st_rdev;
}

Result<> check_link(const ExitService& service, const std::filesystem::path& link_file) {
  if (link_file.empty() || service.default_link()) return {};
  return make_error(ErrorKind::kUsage,
                    "--link-file: the invite named default was revoked; make one with `invite NAME`");
}

// Once a relay took the room: only then the link is known to lead here. A disk that is full is no reason to
// end.
Result<> hand_out_link(const ExitService& service, const ExitPeerOptions& options,
                       const ExitService::Written& written) {
  if (!written.relays) log::error("{}; `invite` names the relays from before", written.relays.error().text);
  if (!written.link && !is_disk_trouble(written.link.error())) return written.link;
  if (!written.link) log::error("{}; going on without the link file", written.link.error().text);
  const auto& link = service.default_link();
  if (!link) return {};
  if (service.first_start() && output_is_thrown_away()) {
    log::info("first start: make an access link with `zks-tunnel-client invite NAME --state-dir {}`",
              printable(options.common.state_dir.string()));
  } else if (service.first_start()) {
    log::info(
        "first start: this is the access link of the invite named default; whoever has it can use this exit");
    if (std::printf("%s\n", link->c_str()) < 0 || std::fflush(stdout) != 0) {
      return make_error(ErrorKind::kIo, "the link could not be written to standard output");
    }
  }
  return {};
}

}  // namespace

Result<> run_exit_peer(ExitPeerOptions options, const ReadAgain& read_again) {
  if (auto possible = ops::ReadyFile::check(options.common.ready_file); !possible) return possible;
  boost::asio::io_context loop(1);
  ops::ReadyFile ready(options.common.ready_file);
  Result<> result;
  std::unique_ptr<ExitService> service;
  bool was_registered = false;

  exit::ExitPeer::Handlers handlers;
  handlers.on_registered = [&](const RelayUrl& relay) {
    if (std::exchange(was_registered, true)) return;
    service->write_down(options.link_file, [&, relay](const ExitService::Written& written) {
      result = hand_out_link(*service, options, written);
      if (result) result = ready.write(::getpid(), {relay.text()});
      if (!result) return loop.stop();
      ops::notify_ready("registered with a relay");
    });
  };
  handlers.on_stopped = [&](const std::optional<Error>& error) {
    if (error) result = *error;
    loop.stop();
  };
  auto created = ExitService::create(loop.get_executor(), options, std::move(handlers));
  if (!created) return created.error();
  service = std::move(*created);
  const auto watch =
      WatchService::start(loop.get_executor(), "exit-peer", options.watch, options.common.state_dir, [&] {
        ModeStatus status;
        status.exit = service->peer().status();
        return status;
      });
  if (!watch) return watch.error();
  if (auto checked = check_link(*service, options.link_file); !checked) return checked;
  const auto stop = [&] {
    ops::notify_stopping();
    service->peer().stop();
  };
  const auto reload = [&] {
    if (const auto changed = read_again()) {
      service->reload(*changed);
      log::info("rules and limits were read again");
    } else {
      log::error("rules and limits stay as they were: the configuration is wrong");
    }
  };
  const ops::Signals signals(loop.get_executor(), stop, read_again ? ops::Signals::Handler(reload) : nullptr);
  const ops::Watchdog watchdog(loop.get_executor());
  service->peer().start();
  net::run_loop(loop);
  return result;
}

}  // namespace zks::app
