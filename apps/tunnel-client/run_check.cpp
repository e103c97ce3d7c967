// SPDX-License-Identifier: MIT
//
// The mode check: takes an access link through every step of a connection and prints how each went, so that
// the first line that fails says where to look. Every relay of the link is tried.
#include <cstdio>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "carrier/reach.hpp"
#include "link/state_directory.hpp"
#include "modes.hpp"
#include "net/connect.hpp"
#include "tunnel/deadline.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::app {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using net::Task;
using Clock = std::chrono::steady_clock;

constexpr auto kStepTimeout = std::chrono::seconds(15);
constexpr auto kGoodbyeTimeout = std::chrono::seconds(3);

// One line a step: name, outcome, time.
class Report {
 public:
  void begin() { began_ = Clock::now(); }
  void passed(const char* step, const std::string& detail) { print(step, "ok", detail); }
  Error failed(const char* step, const Error& error) {
    print(step, "FAILED", error.text);
    return error;
  }

 private:
  void print(const char* step, const char* outcome, const std::string& detail) {
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
    std::printf("  %-10s %-6s %5lld ms  %s\n", step, outcome, static_cast<long long>(took.count()),
                detail.c_str());
    (void)std::fflush(stdout);
    began_ = Clock::now();
  }
  Clock::time_point began_;
};

std::string count_of(std::size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "es");
}

Task<> look_up(const HostPort& place, Report& report) {
  tcp::resolver resolver(co_await asio::this_coro::executor);
  auto [ec, found] = co_await resolver.async_resolve(place.host, std::to_string(place.port),
                                                     asio::as_tuple(asio::use_awaitable));
  if (ec) co_return report.failed("DNS", make_error(ErrorKind::kNetwork, place.host + ": " + ec.message()));
  report.passed("DNS", place.host + " has " + count_of(found.size(), "address"));
  co_return Result<>();
}

Task<> reach_address(const HostPort& place, const std::string& interface, Report& report) {
  const auto executor = co_await asio::this_coro::executor;
  auto socket = co_await net::connect(executor, place.host, place.port, net::Egress(interface, nullptr),
                                      Clock::now() + kStepTimeout);
  if (!socket && socket.error().kind == ErrorKind::kTimeout) {
    co_return report.failed("TCP",
                            make_error(ErrorKind::kTimeout, "no answer in 15 s; a firewall may drop it"));
  }
  if (!socket) co_return report.failed("TCP", socket.error());
  boost::system::error_code ec;
  const auto endpoint = socket->remote_endpoint(ec);
  const std::string by = interface.empty() ? "" : " by " + interface;
  report.passed("TCP",
                "connected to " + format_host_port(endpoint.address().to_string(), endpoint.port()) + by);
  co_return Result<>();
}

// DNS and TCP, to the relay or to the upstream proxy, which is then asked for the relay.
Task<> reach_relay(const RelayUrl& relay, const carrier::DialOptions& dial, Report& report) {
  const carrier::UpstreamProxy* proxy = carrier::proxy_for(relay, dial);
  HostPort place{.host = relay.host, .port = relay.port};
  if (proxy != nullptr) place = {.host = proxy->host, .port = proxy->port};
  const auto looked_up = co_await look_up(place, report);
  if (!looked_up) co_return looked_up.error();
  const auto connected = co_await reach_address(place, dial.interface, report);
  if (!connected || proxy == nullptr) co_return connected;
  const auto executor = co_await asio::this_coro::executor;
  auto through = co_await carrier::reach(executor, relay, dial, Clock::now() + kStepTimeout,
                                         carrier::ReachUntil::kTunnel);
  if (!through) co_return report.failed("proxy", through.error());
  report.passed("proxy", "the HTTP proxy " + proxy->text() + " connected to " + relay.host + " for us");
  co_return Result<>();
}

// WELCOME, then a stream to the relay's own address: an address that both ends are known to reach.
Task<> try_session(carrier::CarrierPtr carrier, tunnel::LaneKeys keys, const RelayUrl& relay,
                   Report& report) {
  const auto executor = carrier->executor();
  session::Options options;
  options.id = random_array<16>();
  net::Wakeup changed(executor);
  bool up = false;
  bool over = false;
  std::optional<Error> ended;
  tunnel::Tunnel::Handlers handlers;
  handlers.on_up = [&](session::LaneNumber, session::HelloMode) {
    up = true;
    changed.notify();
  };
  handlers.on_lane_lost = [&](session::LaneNumber, const Error& why) {
    ended = why;
    changed.notify();
  };
  handlers.on_end = [&](const Error& why) {
    over = true;
    ended = why;
    changed.notify();
  };
  const auto tunnel = std::make_shared<tunnel::Tunnel>(executor, std::move(options), std::move(handlers));
  tunnel->attach(std::move(carrier), std::move(keys), 1, session::HelloMode::kNew);
  while (!up && !ended) co_await changed.wait();
  if (!up) co_return report.failed("session", *ended);
  report.passed("session", "the exit welcomed us");

  session::Destination destination;
  destination.name = relay.host;
  destination.port = relay.port;
  const auto outcome = co_await tunnel->open(std::move(destination));
  const bool refused_by_policy = outcome.code == session::ResetCode::kNotAllowed;
  // GOAWAY, or the exit would keep the session's place for a client that may come back.
  if (outcome.stream) outcome.stream->reset(session::ResetCode::kCancelled);
  tunnel->leave(session::GoawayCode::kShutdown, "");
  asio::steady_timer patience(executor, kGoodbyeTimeout);
  patience.async_wait([weak = std::weak_ptr(tunnel)](const boost::system::error_code& ec) {
    const auto late = weak.lock();
    if (!ec && late) late->end(make_error(ErrorKind::kClosed, "done"));
  });
  while (!over) co_await changed.wait();
  patience.cancel();
  if (!outcome.stream && !refused_by_policy) {
    co_return report.failed("stream", make_error(ErrorKind::kNetwork, session::describe(outcome.code)));
  }
  report.passed("stream", outcome.stream ? "the exit connected to the relay's address for us"
                                         : "the exit answered; its policy keeps the relay's address closed");
  co_return Result<>();
}

Task<> check_relay(const RelayUrl& relay, const CheckOptions& options, const crypto::KeyPair& key,
                   Report& report) {
  report.begin();
  carrier::DialOptions dial = options.common.dial;
  dial.pin = options.link.pin;
  const auto reached = co_await reach_relay(relay, dial, report);
  if (!reached) co_return reached.error();
  const auto executor = co_await asio::this_coro::executor;
  const std::string target = "/v1/rooms/" + format_room(options.link.room) + "/client";
  auto dialled = co_await carrier::dial(executor, relay, target, dial);
  if (!dialled) co_return report.failed(relay.tls ? "TLS, relay" : "relay", dialled.error());
  carrier::CarrierPtr carrier = std::move(*dialled);
  std::string detail = relay.tls ? "certificate accepted, WebSocket open" : "WebSocket open (plaintext)";
  if (carrier->path().segment != 0)
    detail +=
        "; segments of " + std::to_string(carrier->path().segment) + " bytes, larger ones got no answer";
  report.passed(relay.tls ? "TLS, relay" : "relay", detail);
  tunnel::Deadline deadline(*carrier, kStepTimeout);
  auto paired = co_await tunnel::read_paired(*carrier);
  if (!paired) co_return report.failed("exit", paired.error());
  report.passed("exit", "the exit peer came to the relay");
  auto keys = co_await tunnel::initiate(*carrier, std::move(*paired), options.link, key);
  if (!keys) co_return report.failed("key", keys.error());
  report.passed("key", "both sides hold the link's keys");
  deadline.disarm();
  co_return co_await try_session(std::move(carrier), std::move(*keys), relay, report);
}

Task<> check_all(const CheckOptions& options, const crypto::KeyPair& key) {
  Result<> last;
  Report report;
  for (const auto& relay : options.link.relays) {
    std::printf("%s\n", relay.text().c_str());
    last = co_await check_relay(relay, options, key, report);
    if (last) co_return last;
  }
  co_return last;
}

}  // namespace

Result<> run_check(CheckOptions options) {
  auto state = link::StateDirectory::open(options.common.state_dir);
  if (!state) return state.error();
  auto secret = state->load_or_create_client_key();
  if (!secret) return secret.error();
  const auto key = crypto::KeyPair::from_private(std::move(*secret));
  boost::asio::io_context loop(1);
  Result<> result;
  asio::co_spawn(loop, check_all(options, key), [&](std::exception_ptr failure, Result<> outcome) {
    if (failure) std::rethrow_exception(failure);
    result = std::move(outcome);
    loop.stop();
  });
  loop.run();
  return result;
}

}  // namespace zks::app
