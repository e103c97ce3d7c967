// SPDX-License-Identifier: MIT
#include "common_options.hpp"

#include <algorithm>
#include <cctype>

#include "base/usage_error.hpp"
#include "link/state_directory.hpp"
#include "ops/metrics_server.hpp"
#include "secret_file.hpp"
#include "tunnel/client.hpp"

namespace zks::app {
namespace {

namespace asio = boost::asio;

constexpr std::uint16_t kSocksPort = 1080;  // RFC 1928, section 3
constexpr std::size_t kMaxHeaderBytes = 4096;
constexpr std::size_t kMaxUserBytes = 255 + 1 + 255;  // RFC 1929

// RFC 9110, section 5.6.2: token.
bool is_token(std::string_view text) {
  const auto allowed = [](unsigned char c) {
    return (std::isalnum(c) != 0 && c < 0x80) ||
           std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

bool set_by_upgrade(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::string_view kOwn[] = {"host", "connection", "upgrade", "content-length",
                                       "transfer-encoding"};
  return name.starts_with("sec-websocket-") ||
         std::find(std::begin(kOwn), std::end(kOwn), name) != std::end(kOwn);
}

Result<std::string> parse_server_name(std::string_view text) {
  const Result<HostPort> name = parse_host_port(text, 0);
  if (!name || name->host.size() != text.size()) return usage_error("not a DNS name");
  return name->host;
}

Result<frontdoor::Credentials> read_credentials(const ProxyText& text) {
  if (!text.user.empty()) return frontdoor::parse_credentials(text.user);
  const Result<link::SecretText> line = read_secret_line(text.user_file, kMaxUserBytes);
  if (!line) return line.error();
  return frontdoor::parse_credentials(line->view());
}

}  // namespace

Result<std::pair<std::string, std::string>> parse_header(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.size() > kMaxHeaderBytes)
    return usage_error("not of the form 'Name: value'");
  const std::string name(text.substr(0, colon));
  std::string_view value = text.substr(colon + 1);
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  value = value.substr(0, value.find_last_not_of(" \t") + 1);
  if (!is_token(name)) return usage_error("the name has characters that HTTP does not allow");
  const auto printable = [](unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); };
  if (!std::all_of(value.begin(), value.end(), printable))
    return usage_error("the value has control characters");
  if (set_by_upgrade(name)) return usage_error(name + " is set by the program itself");
  return std::pair(name, std::string(value));
}

Result<net::Endpoints> parse_proxy_listen(std::string_view text) {
  return net::parse_listen(text, kSocksPort);
}

void add_state_dir(CLI::App& app, std::filesystem::path& state_dir) {
  state_dir = link::StateDirectory::default_path();
  const ops::Parser<std::filesystem::path> parse =
      [](std::string_view text) -> Result<std::filesystem::path> {
    if (text.empty()) return usage_error("a directory's name is missing");
    return std::filesystem::path(text);
  };
  ops::add_parsed(app, "--state-dir", state_dir, parse,
                  "where keys and invites are kept; closed to others (0700)", "DIR")
      ->default_str(state_dir.string());
}

void add_ready_file(CLI::App& app, std::filesystem::path& ready_file) {
  const ops::Parser<std::filesystem::path> parse =
      [](std::string_view text) -> Result<std::filesystem::path> { return std::filesystem::path(text); };
  ops::add_parsed(app, "--ready-file", ready_file, parse,
                  "written once it works: the pid, then one address a line; removed at the end", "FILE");
}

void add_common(CLI::App& app, CommonOptions& common) {
  add_state_dir(app, common.state_dir);
  app.add_option("--relay-ca", common.dial.ca_file,
                 "trust these CA certificates (PEM) instead of the system's")
      ->type_name("FILE")
      ->check(CLI::Validator(CLI::ExistingFile).description(""));
  ops::add_parsed<std::string>(app, "--sni", common.dial.sni, parse_server_name,
                               "TLS server name to send and verify instead of the relay's host", "NAME");
  ops::add_parsed_list<std::pair<std::string, std::string>>(
      app, "--header", common.dial.headers, parse_header,
      "add this header to the WebSocket upgrade, for proxies that ask for one; repeatable", "'K: V'");
  ops::add_duration(app, "--reconnect-max", common.reconnect_max,
                    "longest pause between two attempts to reach a relay");
  add_ready_file(app, common.ready_file);
}

void add_watching(CLI::App& app, WatchOptions& options) {
  app.add_option("--control", options.control,
                 "socket that `status` asks, open to this user alone; 'none' for no such socket "
                 "[in the state directory, found by `status --state-dir`]")
      ->type_name("SOCKET");
  ops::add_parsed<net::Endpoints>(app, "--metrics", options.metrics, ops::parse_metrics_address,
                                  "serve metrics for Prometheus there, at /metrics, to "
                                  "whoever can reach it; port 9464 when none is given "
                                  "[off]",
                                  "ADDR:PORT");
}

void add_link(CLI::App& app, LinkText& link) {
  app.add_option("link", link.argument,
                 "the access link, zks://..., in single quotes; better in a file or ZKS_LINK")
      ->type_name("");
  app.add_option("--link-file", link.file, "read the access link from this file")->type_name("FILE");
}

void add_proxy(CLI::App& app, const std::string& name, ProxyOptions& proxy, ProxyText& text) {
  proxy.listen = {asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), kSocksPort)};
  ops::add_parsed<net::Endpoints>(app, name, proxy.listen, parse_proxy_listen,
                                  "the proxy's address; localhost and * are those of both families; port "
                                  "0 takes a free one; beyond loopback --user or --user-file is needed",
                                  "ADDR:PORT")
      ->default_str("127.0.0.1:1080");
  app.add_option("--user", text.user, "ask the proxy's users for this name and password")
      ->type_name("USER:PASSWORD");
  app.add_option("--user-file", text.user_file, "the same, USER:PASSWORD as the only line of a file")
      ->type_name("FILE");
}

void add_lanes(CLI::App& app, ProxyOptions& proxy) {
  ops::add_count(app, "--lanes", proxy.lanes, 1, tunnel::kMaxClientLanes,
                 "connections to the exit at once; when one is lost its streams go on over another");
  ops::add_duration(app, "--renew-after", proxy.renew_after,
                    "make a new connection with new keys for the session after this time, at least 1s");
  ops::add_bytes(app, "--renew-bytes", proxy.renew_bytes,
                 "and after this many bytes, both directions together, at least 1MiB");
  app.add_flag("--once", proxy.once,
               "end with a status when the first attempt to reach relay and exit fails, instead of trying "
               "again; for scripts");
}

void add_forwards(CLI::App& app, ForwardOptions& forwards) {
  ops::add_parsed_list<frontdoor::ForwardSpec>(app, "-L,--local-forward", forwards.local,
                                               frontdoor::parse_local_forward,
                                               "listen here and connect to HOST:PORT from the exit; instead "
                                               "of a port /PATH of a unix socket; /udp behind it for "
                                               "datagrams; repeatable",
                                               "[BIND:]PORT:HOST:PORT[/udp]");
  ops::add_parsed_list<frontdoor::ForwardSpec>(
      app, "-R,--remote-forward", forwards.remote, frontdoor::parse_remote_forward,
      "listen at the exit and connect to HOST:PORT, or to /PATH of a unix socket, from here; the exit has to "
      "allow it (--allow-listen); /udp behind it for datagrams; repeatable",
      "[BIND:]PORT:HOST:PORT[/udp]");
}

Result<> finish_proxy(const ProxyText& text, ProxyOptions& proxy) {
  constexpr std::uint64_t kSmallestRenewal = 1024 * 1024;
  if (proxy.renew_after.count() < 1) return usage_error("--renew-after: at least 1s");
  if (proxy.renew_bytes < kSmallestRenewal) return usage_error("--renew-bytes: at least 1MiB");
  if (!text.user.empty() && !text.user_file.empty())
    return usage_error("--user and --user-file exclude each other");
  if (text.user.empty() && text.user_file.empty()) {
    const bool loopback = std::all_of(proxy.listen.begin(), proxy.listen.end(),
                                      [](const auto& listen) { return listen.address().is_loopback(); });
    if (!proxy.wanted || loopback) return {};
    return usage_error(
        "a proxy that listens beyond loopback needs --user or --user-file, or anyone could use it");
  }
  Result<frontdoor::Credentials> credentials = read_credentials(text);
  if (!credentials) return credentials.error();
  proxy.credentials = std::make_shared<const frontdoor::Credentials>(std::move(*credentials));
  return {};
}

}  // namespace zks::app
