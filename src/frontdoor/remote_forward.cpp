// SPDX-License-Identifier: MIT
#include "frontdoor/remote_forward.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "carrier/spawn.hpp"
#include "tunnel/accept_loop.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::frontdoor {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using session::ResetCode;

constexpr auto kToTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kConnectTimeout{10};

// A connect that ends when it takes too long, or when the one who connected is gone.
struct Attempt {
  explicit Attempt(const asio::any_io_executor& executor)
      : resolver(executor), socket(executor), unix_socket(executor), timer(executor, kConnectTimeout) {}

  void give_up() {
    error_code ignored;
    resolver.cancel();
    socket.close(ignored);
    unix_socket.close(ignored);
    over = true;
  }

  tcp::resolver resolver;
  tcp::socket socket;
  asio::local::stream_protocol::socket unix_socket;
  asio::steady_timer timer;
  bool over = false;
};
using AttemptPtr = std::shared_ptr<Attempt>;

AttemptPtr begin(const asio::any_io_executor& executor, const tunnel::StreamPtr& stream) {
  auto attempt = std::make_shared<Attempt>(executor);
  const std::weak_ptr<Attempt> weak = attempt;
  attempt->timer.async_wait([weak](const error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->give_up();
  });
  stream->on_reset([weak] {
    if (const auto self = weak.lock()) self->give_up();
  });
  return attempt;
}

asio::awaitable<error_code> connect_tcp(AttemptPtr attempt, session::Destination target) {
  if (target.kind != session::Destination::Kind::kName) {
    const auto endpoint = tunnel::make_endpoint<tcp>(target);
    const auto [ec] = co_await attempt->socket.async_connect(endpoint, kToTuple);
    co_return ec;
  }
  const std::string port = std::to_string(target.port);
  const auto [failure, found] = co_await attempt->resolver.async_resolve(target.name, port, kToTuple);
  if (failure) co_return failure;
  error_code last = asio::error::host_not_found;
  for (const auto& entry : found) {
    if (attempt->over) break;
    error_code ignored;
    attempt->socket.close(ignored);
    const auto [ec] = co_await attempt->socket.async_connect(entry.endpoint(), kToTuple);
    last = ec;
    if (!ec) break;
  }
  co_return last;
}

// What the one at the exit's port is told.
ResetCode code_of(const error_code& ec) {
  if (ec == asio::error::operation_aborted) return ResetCode::kTimedOut;
  if (ec.category() == asio::error::get_netdb_category()) return ResetCode::kNameNotFound;
  if (ec.value() == ENOENT) return ResetCode::kConnectionRefused;  // no such unix socket
  return tunnel::reset_code_of(ec);
}

std::string reason(const ForwardSpec& spec, ResetCode code) {
  const std::string port = std::to_string(spec.listen.address.port);
  const std::string what = "-R " + to_text(spec.listen) + ": ";
  const bool loopback = !is_open_to_others(spec.listen);
  switch (code) {
    case ResetCode::kNotAllowed:
      return what + "the exit does not allow it; its operator can, with --allow-listen " +
             (loopback ? port : to_text(spec.listen));
    case ResetCode::kAddressInUse:
      return what + "something else has that address at the exit; choose another port";
    case ResetCode::kLimit:
      return what + "the exit takes no more listeners of this client";
    case ResetCode::kNetworkUnreachable:
      return what + "the exit's machine has no such address";
    case ResetCode::kCommandNotSupported:
      return what + "the exit does not listen for UDP";
    default:
      return what + "the exit can't listen there: " + session::describe(code);
  }
}

}  // namespace

RemoteForward::RemoteForward(asio::any_io_executor executor, ForwardSpec spec,
                             std::function<void(const Result<>&)> on_answer)
    : executor_(std::move(executor)), spec_(std::move(spec)), on_answer_(std::move(on_answer)) {}

void RemoteForward::on_listening(session::Destination bound) {
  address_ = session::to_text(bound);
  log::info("the exit listens on {} for -R {}", address_, to_text(spec_.listen));
  on_answer_(Result<>());
}

void RemoteForward::on_refused(ResetCode code) {
  address_.clear();
  on_answer_(make_error(ErrorKind::kRefused, reason(spec_, code)));
}

void RemoteForward::on_connection(tunnel::StreamPtr stream, session::Destination) {
  if (connections_ >= kMaxConnections) return stream->reset(ResetCode::kLimit);
  ++connections_;
  asio::co_spawn(executor_, serve(shared_from_this(), std::move(stream)),
                 [self = shared_from_this()](std::exception_ptr failure) {
                   --self->connections_;
                   carrier::RethrowFailure{}(failure);
                 });
}

void RemoteForward::on_flow(tunnel::SessionFlowPtr flow) {
  if (targets_) targets_->stop();
  targets_ = std::make_shared<UdpTargets>(executor_, spec_.target.address, std::move(flow));
  targets_->start();
}

asio::awaitable<void> RemoteForward::serve(std::shared_ptr<RemoteForward> self, tunnel::StreamPtr stream) {
  const AttemptPtr attempt = begin(self->executor_, stream);
  const bool is_unix = self->spec_.target.is_unix();
  error_code ec;
  if (is_unix) {
    const asio::local::stream_protocol::endpoint path(self->spec_.target.path);
    const auto [failure] = co_await attempt->unix_socket.async_connect(path, kToTuple);
    ec = failure;
  } else {
    ec = co_await connect_tcp(attempt, self->spec_.target.address);
  }
  attempt->timer.cancel();
  if (attempt->over && !ec) ec = asio::error::operation_aborted;
  if (stream->reset_code()) co_return;
  if (ec) {
    log::warn("a connection that came by -R {} failed here: {}", to_text(self->spec_.listen), ec.message());
    stream->reset(code_of(ec));
    co_return;
  }
  session::Destination bound;
  bound.kind = session::Destination::Kind::kIpv4;  // of a unix socket: 0.0.0.0:0
  error_code ignored;
  if (!is_unix) bound = tunnel::make_destination(attempt->socket.local_endpoint(ignored));
  stream->accept(bound);
  Bytes nothing_early;
  tunnel::Socket socket =
      is_unix ? tunnel::Socket(std::move(attempt->unix_socket)) : tunnel::Socket(std::move(attempt->socket));
  co_await tunnel::splice(std::move(socket), std::move(stream), std::move(nothing_early));
}

}  // namespace zks::frontdoor
