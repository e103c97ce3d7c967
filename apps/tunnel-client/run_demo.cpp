// SPDX-License-Identifier: MIT
//
// The mode demo: relay, exit peer and SOCKS5 proxy in one process on loopback, with keys that live in a
// temporary directory as long as it runs.
#include <cstdio>
#include <cstdlib>

#include <boost/asio/io_context.hpp>
#include <unistd.h>

#include "base/log.hpp"
#include "exit_service.hpp"
#include "modes.hpp"
#include "ops/ready_file.hpp"
#include "ops/signals.hpp"
#include "proxy_service.hpp"
#include "relay/server.hpp"

namespace zks::app {
namespace {

using boost::asio::ip::tcp;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "zks-demo-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string text(const tcp::endpoint& endpoint) {
  return format_host_port(endpoint.address().to_string(), endpoint.port());
}

// The relay's own health page is what can be fetched on every machine, so the exit may reach that one
// address.
ExitPeerOptions exit_options(const std::filesystem::path& state, const tcp::endpoint& relay) {
  ExitPeerOptions options;
  options.common.state_dir = state / "exit";
  RelayUrl url;
  url.tls = false;
  url.host = relay.address().to_string();
  url.port = relay.port();
  options.relays.push_back(url);
  options.allow.push_back(exit::parse_rule(text(relay)).value());
  return options;
}

void print_what_to_try(const std::string& proxy, const std::string& relay) {
  std::printf(
      "\nSOCKS5 and HTTP proxy on %s. Everything that goes through it passes, sealed, through the relay on "
      "%s\n"
      "and leaves through the exit peer. Both run in this process. Try in another terminal:\n\n"
      "  curl --socks5-hostname %s http://%s/healthz\n"
      "  curl --socks5-hostname %s https://example.org/\n\n"
      "The first works without a network: the exit fetches a page of the relay. Ctrl-C ends it all.\n",
      proxy.c_str(), relay.c_str(), proxy.c_str(), relay.c_str(), proxy.c_str());
  std::fflush(stdout);
}

// The three parts, in the order in which they come up.
class Demo {
 public:
  Demo(boost::asio::io_context& loop, DemoOptions options)
      : loop_(loop), options_(std::move(options)), ready_(options_.ready_file) {}

  Result<> start();
  void stop();
  const Result<>& result() const { return result_; }

 private:
  Result<> start_proxy();
  void on_up();
  void on_stopped(const std::optional<Error>& error);

  boost::asio::io_context& loop_;
  DemoOptions options_;
  ops::ReadyFile ready_;
  TemporaryDirectory state_;
  std::unique_ptr<relay::Server> relay_;
  std::unique_ptr<ExitService> exit_;
  std::shared_ptr<ProxyService> proxy_;
  Result<> result_;
};

Result<> Demo::start() {
  if (state_.path().empty()) return make_error(ErrorKind::kIo, "no temporary directory could be made");
  relay::Options relay;
  relay.listen = {tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)};
  auto started = relay::Server::start(std::move(relay), {loop_.get_executor()});
  if (!started) return started.error();
  relay_ = std::move(*started);

  exit::ExitPeer::Handlers handlers;
  handlers.on_registered = [this](const RelayUrl&) {
    if (proxy_) return;
    result_ = start_proxy();
    if (!result_) loop_.stop();
  };
  handlers.on_stopped = [this](const std::optional<Error>& error) { on_stopped(error); };
  auto created = ExitService::create(
      loop_.get_executor(), exit_options(state_.path(), relay_->endpoints().front()), std::move(handlers));
  if (!created) return created.error();
  exit_ = std::move(*created);
  exit_->peer().start();
  return {};
}

Result<> Demo::start_proxy() {
  auto link = link::parse_access_link(*exit_->default_link());
  if (!link) return link.error();
  CommonOptions common;
  common.state_dir = state_.path() / "client";
  tunnel::Client::Handlers handlers;
  handlers.on_up = [this] { on_up(); };
  handlers.on_stopped = [this](const std::optional<Error>& error) {
    if (error) return on_stopped(error);
    exit_->peer().stop();
  };
  auto created = ProxyService::create(loop_.get_executor(), common, std::move(*link), options_.proxy,
                                      std::move(handlers));
  if (!created) return created.error();
  proxy_ = std::move(*created);
  proxy_->start();
  return {};
}

void Demo::on_up() {
  const std::string proxy = text(proxy_->local_endpoint());
  const std::string relay = text(relay_->endpoints().front());
  print_what_to_try(proxy, relay);
  result_ = ready_.write(::getpid(), {proxy, relay});
  if (!result_) loop_.stop();
}

void Demo::stop() {
  if (proxy_) {
    proxy_->stop();
  } else {
    exit_->peer().stop();
  }
}

void Demo::on_stopped(const std::optional<Error>& error) {
  if (error) result_ = *error;
  relay_->stop();
  loop_.stop();
}

}  // namespace

Result<> run_demo(DemoOptions options) {
  if (auto possible = ops::ReadyFile::check(options.ready_file); !possible) return possible;
  boost::asio::io_context loop(1);
  Demo demo(loop, std::move(options));
  if (auto started = demo.start(); !started) return started;
  const ops::Signals signals(loop.get_executor(), [&demo] { demo.stop(); });
  loop.run();
  return demo.result();
}

}  // namespace zks::app
