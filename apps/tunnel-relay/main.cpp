// SPDX-License-Identifier: MIT
//
// zks-tunnel-relay: joins clients and exits into pairs and passes on what it can't read. Wiring only: flags,
// loops, the server, signals.
#include <optional>

#include <boost/asio/steady_timer.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.hpp"
#include "base/relay_url.hpp"
#include "command_line.hpp"
#include "metrics.hpp"
#include "net/memory_watch.hpp"
#include "net/run_loop.hpp"
#include "ops/notify.hpp"
#include "ops/ready_file.hpp"
#include "ops/run_main.hpp"
#include "ops/signals.hpp"
#include "relay/event_loops.hpp"
#include "relay/server.hpp"

namespace {

using namespace zks;

constexpr const char* kPurpose =
    "Joins clients and exit peers into pairs, and passes sealed records between them that it can't read.";
constexpr const char* kExamples =
    "Examples:\n"
    "  zks-tunnel-relay --tls-cert fullchain.pem --tls-key privkey.pem\n"
    "      serves wss:// on port 443\n"
    "  zks-tunnel-relay --plaintext --listen 127.0.0.1:8080 --trusted-proxy 127.0.0.1\n"
    "      serves ws:// behind a TLS proxy on the same machine\n"
    "  zks-tunnel-relay --tls-cert c.pem --tls-key k.pem --allow-rooms rooms.txt\n"
    "      serves only the rooms in that file\n"
    "SIGHUP reads certificate, key and allowed rooms again. SIGTERM ends it within 5 s; peers redial "
    "elsewhere.";

// What the server has not ended by itself (Server::stop) does not hold the program back: it has 5 s to stop.
constexpr std::chrono::milliseconds kStopAtLast{4'800};

// A pair takes two descriptors; a few are for listeners, files and handshakes.
void warn_if_descriptors_are_few(const relay::Options& options) {
  rlimit limit{};
  const std::size_t wanted = 2 * options.max_pairs + options.max_handshakes + 64;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  log::warn(
      "{} descriptors are allowed, --max-pairs {} may need {}: raise the limit (LimitNOFILE=), or lower it",
      limit.rlim_cur, options.max_pairs, wanted);
}

std::vector<std::string> addresses_of(const relay::Server& server) {
  std::vector<std::string> out;
  for (const auto& endpoint : server.endpoints()) {
    out.push_back(format_host_port(endpoint.address().to_string(), endpoint.port()));
  }
  return out;
}

void log_failure(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    log::error("stopping: {}", e.what());
  }
}

void reload(relay::Server& server) {
  const Result<> reloaded = server.reload();
  if (reloaded) {
    log::info("certificate and allowed rooms were read again");
  } else {
    log::error("not reloaded: {}", reloaded.error().text);
  }
}

Result<> announce(const relay::Server& server, const app::RelayProgram& program, ops::ReadyFile& ready) {
  const auto addresses = addresses_of(server);
  for (const auto& address : addresses) {
    log::info("zks-tunnel-relay " ZKS_VERSION " listens on {} ({})", address,
              program.relay.tls ? "TLS" : "plaintext");
  }
  const Result<> written = ready.write(getpid(), addresses);
  if (written) ops::notify_ready("listening");
  return written;
}

int serve(const ops::CommandLine& line, const app::RelayProgram& program) {
  boost::asio::io_context control;
  const auto keep_running = boost::asio::make_work_guard(control);
  relay::EventLoops loops(program.threads);
  auto server = relay::Server::start(program.relay, loops.executors());
  if (!server) return line.fail(server.error());
  std::shared_ptr<ops::MetricsServer> metrics;
  if (program.metrics) {
    auto listening = ops::MetricsServer::listen(control.get_executor(), *program.metrics,
                                                app::relay_collectables(**server));
    if (!listening) return line.fail(listening.error());
    metrics = std::move(*listening);
    metrics->start();
  }
  const net::MemoryWatch memory(control.get_executor(), [&] { (*server)->relieve_memory(); });
  std::atomic<bool> broken = false;
  boost::asio::steady_timer at_last(control);
  const auto stop = [&] {
    ops::notify_stopping();
    (*server)->stop();
    loops.release();
    at_last.expires_after(kStopAtLast);
    at_last.async_wait([&](const boost::system::error_code& ec) {
      if (ec) return;
      log::error("connections did not end in time; they are left");
      loops.cut();
    });
  };
  const ops::Signals signals(control.get_executor(), stop, [&] { reload(**server); });
  const ops::Watchdog watchdog(control.get_executor(), loops.executors());
  ops::ReadyFile ready(program.ready_file);  // whoever reads it may send a signal at once
  const Result<> announced = announce(**server, program, ready);
  if (!announced) return line.fail(announced.error());
  loops.run(
      [&](const std::exception_ptr& failure) {
        log_failure(failure);
        broken = true;
        boost::asio::post(control, stop);
      },
      [&control] { control.stop(); });
  net::run_loop(control);
  log::info("stopped");
  return broken ? 1 : 0;
}

int run(int argc, char** argv) {
  ops::CommandLine line("zks-tunnel-relay", kPurpose, kExamples);
  app::RelayProgram program;
  app::RelayFlags flags(line, program);
  if (const auto status = line.parse(argc, argv)) return *status;
  const Result<> finished = flags.finish();
  if (!finished) return line.fail(finished.error());
  warn_if_descriptors_are_few(program.relay);
  return serve(line, program);
}

}  // namespace

int main(int argc, char** argv) {
  return ops::run_main(run, argc, argv);
}
