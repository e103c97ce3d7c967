// SPDX-License-Identifier: MIT
#include "carrier/reach.hpp"

#include <array>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <sodium.h>

#include "base/log.hpp"
#include "carrier/connect_answer.hpp"
#include "net/connect.hpp"
#include "net/socket_options.hpp"

namespace zks::carrier {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

constexpr std::size_t kReadBytes = 1024;
constexpr std::chrono::seconds kHangsFor{1};         // at least, or its answer may only be late
constexpr char kProxyCalled[] = "the HTTP proxy: ";  // where its address is what can't be had

Error proxy_error(const UpstreamProxy& proxy, const boost::system::error_code& ec) {
  const std::string name = "the HTTP proxy " + proxy.text();
  if (ec == boost::beast::error::timeout)
    return make_error(ErrorKind::kTimeout, name + " did not answer in time");
  if (ec == asio::error::eof)
    return make_error(ErrorKind::kNetwork, name + " closed the connection without an answer");
  return make_error(ErrorKind::kNetwork, name + ": " + ec.message(), ec.value());
}

// `proxy` and `tcp` are the caller's and outlive this.
Task<> open_tunnel(net::TcpStream* tcp, const UpstreamProxy* proxy, std::string target) {
  std::string request = connect_request(*proxy, target);
  auto [write_ec, written] =
      co_await asio::async_write(*tcp, asio::buffer(request), asio::as_tuple(asio::use_awaitable));
  sodium_memzero(request.data(), request.size());
  if (write_ec) co_return proxy_error(*proxy, write_ec);

  ConnectAnswer answer;
  std::array<char, kReadBytes> bytes;
  for (;;) {
    auto [ec, size] = co_await tcp->async_read_some(asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
    if (ec) co_return proxy_error(*proxy, ec);
    const auto whole = answer.take(std::string_view(bytes.data(), size));
    if (!whole) {
      co_return make_error(whole.error().kind, "the HTTP proxy " + proxy->text() + ": " + whole.error().text);
    }
    if (*whole) break;
  }
  if (!answer.accepted()) co_return answer.refusal(*proxy, target);
  co_return Result<>();
}

}  // namespace

const UpstreamProxy* proxy_for(const RelayUrl& url, const DialOptions& options) {
  return options.proxies ? options.proxies->choose(url) : nullptr;
}

HostPort dialled_place(const RelayUrl& url, const DialOptions& options) {
  const UpstreamProxy* proxy = proxy_for(url, options);
  HostPort place{.host = url.host, .port = url.port};
  if (proxy != nullptr) place = {.host = proxy->host, .port = proxy->port};
  return place;
}

RelayAttempt::RelayAttempt(const asio::any_io_executor& executor, std::shared_ptr<Plan> plan,
                           asio::ip::tcp::endpoint endpoint, int segment)
    : tcp(executor), plan_(std::move(plan)), endpoint_(std::move(endpoint)), segment_(segment) {}

Task<> RelayAttempt::run(std::function<void()> on_connected) {
  const auto& options = plan_->options;
  const HostPort place = dialled_place(plan_->url, options);
  net::Egress egress(options.interface, options.uplink);
  egress.segment = segment_;
  const auto connected = co_await net::connect_by(&tcp->socket(), endpoint_, std::move(egress),
                                                  format_host_port(place.host, place.port));
  const UpstreamProxy* proxy = proxy_for(plan_->url, options);
  if (!connected) {
    const Error& error = connected.error();
    co_return make_error(error.kind, (proxy != nullptr ? kProxyCalled : "") + error.text, error.detail);
  }
  net::tune_socket(tcp->socket());
  on_connected();
  if (proxy != nullptr) {
    const auto asked = co_await ask_proxy(proxy);
    if (!asked) co_return asked;
  }
  if (!plan_->trust) co_return Result<>();
  const auto shaken = co_await shake_hands();
  co_return shaken;
}

Task<> RelayAttempt::ask_proxy(const UpstreamProxy* proxy) {
  log::debug("asking the HTTP proxy {} for {}", proxy->text(), plan_->url.text());
  tcp->expires_at(plan_->deadline);
  const auto opened = co_await open_tunnel(&*tcp, proxy, format_host_port(plan_->url.host, plan_->url.port));
  tcp->expires_never();
  co_return opened;
}

Task<> RelayAttempt::shake_hands() {
  tls.emplace(std::move(*tcp), plan_->trust->context().native_handle(), TlsEngine::Role::kClient);
  const std::string& name = plan_->options.sni.empty() ? plan_->url.host : plan_->options.sni;
  const Result<> prepared = plan_->trust->prepare(tls->native_handle(), name);
  if (!prepared) co_return prepared;
  // The race ends at the deadline, and has to find the socket open.
  tls->next_layer().expires_at(plan_->deadline + kHangsFor);
  began_at_ = std::chrono::steady_clock::now();
  const auto hangs = plan_->hanging.insert(endpoint_);
  const ErrorCode ec = co_await tls->handshake();
  plan_->hanging.erase(hangs);
  if (ec == boost::beast::error::timeout)
    co_return make_error(ErrorKind::kTimeout, "TLS with " + name + " took too long");
  if (ec) co_return plan_->trust->explain(tls->native_handle(), name, ec);
  if (segment_ != plan_->segment) plan_->through_small = endpoint_;
  co_return Result<>();
}

// The race is over without this one. Where the attempt with small segments hangs, too, it is not their size.
void RelayAttempt::abort() {
  try {
    if (tls && segment_ == plan_->segment && plan_->hanging.count(endpoint_) == 1) note_hanging();
  } catch (...) {  // without memory nothing is learned, and the socket is closed all the same
  }
  if (tls) {
    tls->next_layer().close();
  } else {
    tcp->close();
  }
}

void RelayAttempt::note_hanging() {
  const auto now = std::chrono::steady_clock::now();
  const auto state = net::tcp_state(tls->next_layer().socket());
  if (!state || now - began_at_ < kHangsFor) return;
  const Passages passages = passages_of(*state, segment_, Silence::kOwed);
  if (!passages.stuck()) return;
  const HostPort place = dialled_place(plan_->url, plan_->options);
  SegmentLimits& limits = *plan_->options.segments;
  if (plan_->through_small == endpoint_) return limits.found(place.host, place.port, now);
  limits.note(place.host, place.port, segment_, passages, began_at_, now);
}

Task<std::shared_ptr<RelayAttempt>> reach(asio::any_io_executor executor, RelayUrl url, DialOptions options,
                                          TimePoint deadline, ReachUntil until) {
  std::shared_ptr<TlsTrust> trust;
  if (url.tls && until == ReachUntil::kTls) {
    trust = options.trust;
    if (!trust) {
      auto made = TlsTrust::make(options.ca_file, options.pin);
      if (!made) co_return made.error();
      trust = std::move(*made);
    }
  }
  const HostPort place = dialled_place(url, options);
  net::Goal goal(place.host, place.port, net::Egress(options.interface, options.uplink), options.known);
  if (proxy_for(url, options) != nullptr) goal.called = kProxyCalled;
  const int segment = options.segments->next(place.host, place.port, std::chrono::steady_clock::now());
  goal.twice = segment == 0 && trust;
  const auto plan = std::make_shared<RelayAttempt::Plan>();
  plan->url = std::move(url);
  plan->options = std::move(options);
  plan->trust = std::move(trust);
  plan->deadline = deadline;
  plan->segment = segment;
  net::MakeAttempt make = [executor,
                           plan](asio::ip::tcp::endpoint endpoint) -> std::shared_ptr<net::Attempt> {
    const bool again = !plan->begun.insert(endpoint).second;
    if (again && !plan->hanging.contains(endpoint)) return nullptr;
    return std::make_shared<RelayAttempt>(executor, plan, std::move(endpoint),
                                          again ? SegmentLimits::kSmall : plan->segment);
  };
  auto won = co_await net::connect_any(executor, std::move(goal), std::move(make), deadline);
  if (!won && won.error().kind == ErrorKind::kTimeout && !plan->hanging.empty())
    co_return make_error(ErrorKind::kTimeout, "TLS with " + plan->url.host + " took too long");
  if (!won) co_return won.error();
  co_return std::static_pointer_cast<RelayAttempt>(*won);
}

}  // namespace zks::carrier
