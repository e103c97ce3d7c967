// SPDX-License-Identifier: MIT
#include "command_line.hpp"

#include <algorithm>
#include <charconv>
#include <thread>

#include "base/relay_url.hpp"
#include "ops/metrics_server.hpp"
#include "ops/units.hpp"

namespace zks::app {
namespace {

using asio_endpoint = boost::asio::ip::tcp::endpoint;

constexpr std::uint64_t kMaxThreads = 256;
constexpr std::uint64_t kMaxCount = 10'000'000;
constexpr std::uint64_t kMinPairRate = 1'024;
constexpr std::uint64_t kMinHeldBytes = 16 << 20;
// An end takes no key before its handshake is over, which is less than 1 KiB and at most 10 s long.
constexpr std::uint64_t kMinRotateBytes = 64 * 1'024;
constexpr std::size_t kMinRotateSeconds = 30;
constexpr std::size_t kMaxRotateSeconds = 365 * 24 * 3'600;

Result<net::Endpoints> parse_listener(std::string_view text) {
  return net::parse_listen(text, 443);
}

std::string_view without_per_second(std::string_view text) {
  return text.ends_with("/s") ? text.substr(0, text.size() - 2) : text;
}

Result<double> parse_join_rate(std::string_view text) {
  text = without_per_second(text);
  double rate = 0;
  const auto [end, failure] =
      std::from_chars(text.data(), text.data() + text.size(), rate, std::chars_format::fixed);
  if (failure != std::errc() || end != text.data() + text.size() || !(rate >= 0) || rate > 1e6) {
    return make_error(ErrorKind::kUsage, "needs a number of joins a second, as in 20/s; 0 for no limit");
  }
  return rate;
}

Result<std::uint64_t> parse_pair_rate(std::string_view text) {
  text = without_per_second(text);
  if (text == "0") return std::uint64_t{0};
  auto rate = ops::parse_bytes(text);
  if (!rate) return rate;
  if (*rate < kMinPairRate) return make_error(ErrorKind::kUsage, "is under 1KiB/s; 0 means no limit");
  return rate;
}

Result<std::uint64_t> parse_max_held(std::string_view text) {
  auto bytes = ops::parse_bytes(text);
  if (bytes && *bytes < kMinHeldBytes) return make_error(ErrorKind::kUsage, "is under 16MiB");
  return bytes;
}

Result<std::uint64_t> parse_rotate_bytes(std::string_view text) {
  auto bytes = ops::parse_bytes(text);
  if (bytes && *bytes < kMinRotateBytes) return make_error(ErrorKind::kUsage, "is under 64KiB");
  return bytes;
}

Result<std::chrono::seconds> parse_rotate_seconds(std::string_view text) {
  const auto seconds = ops::parse_count(text, kMinRotateSeconds, kMaxRotateSeconds);
  if (!seconds) return seconds.error();
  return std::chrono::seconds(*seconds);
}

Result<std::chrono::milliseconds> parse_timeout(std::string_view text) {
  const auto seconds = ops::parse_duration(text);
  if (!seconds) return seconds.error();
  return std::chrono::milliseconds(*seconds);
}

}  // namespace

RelayFlags::RelayFlags(ops::CommandLine& line, RelayProgram& program) : program_(program) {
  program_.threads = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMaxThreads);
  add_listeners(line.app());
  add_access(line.app());
  add_limits(line.app());
  add_rotation(line.app());
  line.add_log_options();
}

void RelayFlags::add_listeners(CLI::App& app) {
  ops::add_parsed_list<net::Endpoints>(
      app, "--listen", listen_, parse_listener,
      "serve on this address; [::] takes IPv4 as well, unless an IPv4 address of the same port is given "
      "too; * is both; repeatable; port 0 picks a free one [0.0.0.0:443; with --plaintext 127.0.0.1:8080]",
      "ADDR:PORT");
  app.add_option("--tls-cert", certificate_, "certificate chain, PEM; read again at SIGHUP")
      ->type_name("FILE");
  app.add_option("--tls-key", key_, "its private key, PEM; read again at SIGHUP")->type_name("FILE");
  app.add_flag("--plaintext", plaintext_, "no TLS: for a TLS proxy in front, or for tests");
  ops::add_count(app, "--threads", program_.threads, 1, kMaxThreads,
                 "event loops, each on a thread of its own");
  ops::add_parsed<net::Endpoints>(app, "--metrics", program_.metrics, ops::parse_metrics_address,
                                  "serve metrics for Prometheus there, at /metrics, to whoever can reach it; "
                                  "port 9464 when none is given [off]",
                                  "ADDR:PORT");
  app.add_option("--ready-file", program_.ready_file,
                 "once it serves, write the pid and the listening addresses there, a line each")
      ->type_name("FILE");
}

void RelayFlags::add_access(CLI::App& app) {
  relay::Options& relay = program_.relay;
  app.add_option("--allow-rooms", relay.allow_rooms_file,
                 "only these rooms: a room id a line, # for comments; read again at SIGHUP [every room]")
      ->type_name("FILE");
  app.add_option("--name", relay.names,
                 "host name by which exits dial this relay, where it is not in the certificate: behind a TLS "
                 "proxy, or an address behind NAT; repeatable")
      ->type_name("HOST")
      ->allow_extra_args(false);
  ops::add_parsed_list<relay::Network>(
      app, "--trusted-proxy", relay.trusted_proxies, relay::Network::parse,
      "take the client's address from this proxy's X-Forwarded-For; repeatable", "CIDR");
  ops::add_parsed<double>(app, "--join-rate", relay.join_rate, parse_join_rate,
                          "joins a second of one source address; 0 for no limit [20/s]", "N/s");
  ops::add_parsed<std::uint64_t>(app, "--pair-rate", relay.pair_rate, parse_pair_rate,
                                 "bytes a second of one pair; 0 for no limit [0]", "BYTES/s");
}

void RelayFlags::add_limits(CLI::App& app) {
  relay::Options& relay = program_.relay;
  ops::add_count(app, "--max-pairs", relay.max_pairs, 1, kMaxCount, "pairs, and registered exits, in all");
  ops::add_count(app, "--max-pairs-per-source", relay.max_pairs_per_source, 1, kMaxCount,
                 "of these, and of registered exits, of one address or one IPv6 /64");
  ops::add_count(app, "--max-pairs-per-room", relay.max_pairs_per_room, 1, kMaxCount, "pairs in one room");
  ops::add_count(app, "--max-message", relay.max_message_bytes, 64 * 1024, 64 << 20, "bytes of one message");
  ops::add_parsed<std::uint64_t>(
      app, "--max-held", max_held_, parse_max_held,
      "bytes of messages that wait in all pairs together, before the heaviest pair is "
      "ended [a quarter of the memory, at most 512MiB]",
      "BYTES");
  ops::add_count(app, "--max-url", relay.max_url_bytes, 128, 16 * 1024, "bytes of a request's target");
  ops::add_count(app, "--max-headers", relay.max_header_bytes, 1024, 64 * 1024,
                 "bytes of a request's header");
  ops::add_count(app, "--max-handshakes", relay.max_handshakes, 1, kMaxCount,
                 "connections that are not in a room yet; the source with most of them gives way");
  ops::add_count(app, "--max-handshakes-per-source", relay.max_handshakes_per_source, 1, kMaxCount,
                 "of these of one address, or one IPv6 /64; the oldest of them gives way");
  ops::add_parsed<std::chrono::milliseconds>(app, "--upgrade-timeout", relay.upgrade_timeout, parse_timeout,
                                             "how long a connection may take to get there [10s]", "DURATION");
  ops::add_parsed<std::chrono::milliseconds>(
      app, "--idle-timeout", relay.idle_timeout, parse_timeout,
      "close a connection after this long without a message or ping [75s]", "DURATION");
  ops::add_parsed<std::chrono::milliseconds>(
      app, "--write-timeout", relay.write_timeout, parse_timeout,
      "close a connection whose peer has taken nothing of what waits for it for this long [60s]", "DURATION");
}

void RelayFlags::add_rotation(CLI::App& app) {
  relay::Options& relay = program_.relay;
  ops::add_parsed<std::uint64_t>(app, "--rotate-bytes", relay.rotate_bytes, parse_rotate_bytes,
                                 "give a pair a new key after this much, both directions together [1GiB]",
                                 "BYTES");
  ops::add_parsed<std::chrono::seconds>(app, "--rotate-seconds", relay.rotate_after, parse_rotate_seconds,
                                        "give it one after this long, when a message passes [600]", "N");
}

Result<> RelayFlags::finish() {
  const bool tls = !certificate_.empty() || !key_.empty();
  if (tls == plaintext_) {
    return make_error(ErrorKind::kUsage, tls ? "--plaintext and --tls-cert exclude each other"
                                             : "give --tls-cert and --tls-key, or --plaintext");
  }
  if (tls && (certificate_.empty() || key_.empty())) {
    return make_error(ErrorKind::kUsage, "--tls-cert and --tls-key need each other");
  }
  relay::Options& relay = program_.relay;
  if (max_held_ > 0) relay.max_held_bytes = max_held_;
  if (tls) relay.tls = relay::TlsFiles{certificate_, key_};
  for (const net::Endpoints& each : listen_) {
    relay.listen.insert(relay.listen.end(), each.begin(), each.end());
  }
  if (relay.listen.empty()) {
    using boost::asio::ip::address_v4;
    relay.listen.push_back(tls ? asio_endpoint(address_v4::any(), 443)
                               : asio_endpoint(address_v4::loopback(), 8080));
  }
  return {};
}

}  // namespace zks::app
