// SPDX-License-Identifier: MIT
#include "frontdoor/remote_forward.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "net/accept_loop.hpp"
#include "net/connect.hpp"
#include "net/spawn.hpp"
#include "net/wakeup.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::frontdoor {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using session::ResetCode;

constexpr std::chrono::seconds kConnectTimeout{10};

// A connect to the target that ends when the one who connected at the exit is gone.
struct Attempt {
  explicit Attempt(const asio::any_io_executor& executor) : ended(executor) {}

  asio::cancellation_signal cancel;
  net::Wakeup ended;
  bool over = false;
  bool gone = false;  // whoever connected
  Result<tunnel::Socket> socket = make_error(ErrorKind::kNetwork, "not connected");
  session::Destination bound;  // of a unix socket: 0.0.0.0:0
};
using AttemptPtr = std::shared_ptr<Attempt>;

// A cancelled attempt ends with an exception, as Asio has it.
struct AttemptDone {
  AttemptPtr attempt;

  void operator()(std::exception_ptr failure) const {
    attempt->over = true;
    attempt->ended.notify();
    if (!attempt->gone) net::RethrowFailure{}(failure);
  }
};

asio::awaitable<void> connect_unix(AttemptPtr attempt, asio::any_io_executor executor, std::string path) {
  asio::local::stream_protocol::socket socket(executor);
  const asio::local::stream_protocol::endpoint endpoint(path);
  const auto [ec] = co_await socket.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
  attempt->bound.kind = session::Destination::Kind::kIpv4;
  if (ec) {
    attempt->socket = make_error(ErrorKind::kNetwork, ec.message(), ec.value());
  } else {
    attempt->socket = tunnel::Socket(std::move(socket));
  }
}

asio::awaitable<void> connect_tcp(AttemptPtr attempt, asio::any_io_executor executor,
                                  session::Destination target) {
  const bool is_name = target.kind == session::Destination::Kind::kName;
  std::string host = is_name ? target.name : tunnel::make_endpoint<tcp>(target).address().to_string();
  const auto deadline = std::chrono::steady_clock::now() + kConnectTimeout;
  net::Egress egress;
  auto socket = co_await net::connect(executor, std::move(host), target.port, std::move(egress), deadline);
  if (!socket) {
    attempt->socket = socket.error();
    co_return;
  }
  error_code ignored;
  attempt->bound = tunnel::make_destination(socket->local_endpoint(ignored));
  attempt->socket = tunnel::Socket(std::move(*socket));
}

AttemptPtr begin(const asio::any_io_executor& executor, const ForwardPlace& target,
                 const tunnel::StreamPtr& stream) {
  auto attempt = std::make_shared<Attempt>(executor);
  stream->on_reset([weak = std::weak_ptr(attempt)] {
    const auto self = weak.lock();
    if (!self || self->over) return;
    self->gone = true;
    self->cancel.emit(asio::cancellation_type::terminal);
  });
  auto connecting = target.is_unix() ? connect_unix(attempt, executor, target.path)
                                     : connect_tcp(attempt, executor, target.address);
  asio::co_spawn(executor, std::move(connecting),
                 asio::bind_cancellation_slot(attempt->cancel.slot(), AttemptDone{attempt}));
  return attempt;
}

// What the one at the exit's port is told.
ResetCode code_of_failed_connect(const Error& error) {
  if (error.kind == ErrorKind::kTimeout) return ResetCode::kTimedOut;
  if (error.detail == 0) return ResetCode::kNameNotFound;            // no address was tried
  if (error.detail == ENOENT) return ResetCode::kConnectionRefused;  // no such unix socket
  return tunnel::reset_code_of(error_code(error.detail, boost::system::system_category()));
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
  if (limit_notice_.is_due(streams_.size(), kMaxConnections)) {
    log::warn(
        "all {} connections of -R {} are in use: those that are half-closed and silent longest make room, "
        "and "
        "without such more are refused",
        kMaxConnections, to_text(spec_.listen));
  }
  if (!has_room()) return stream->reset(ResetCode::kLimit);
  const auto at = streams_.insert(streams_.end(), stream);
  asio::co_spawn(executor_, serve(shared_from_this(), std::move(stream)),
                 [self = shared_from_this(), at](std::exception_ptr failure) {
                   self->streams_.erase(at);
                   net::RethrowFailure{}(failure);
                 });
}

// The one that makes room leaves when its coroutine ends, soon after.
bool RemoteForward::has_room() {
  if (streams_.size() < kMaxConnections) return true;
  const tunnel::StreamPtr longest = tunnel::longest_half_closed(streams_);
  if (longest) longest->reset(ResetCode::kLimit);
  return longest != nullptr;
}

void RemoteForward::on_flow(tunnel::SessionFlowPtr flow) {
  if (targets_) targets_->stop();
  targets_ = std::make_shared<UdpTargets>(executor_, spec_.target.address, std::move(flow));
  targets_->start();
}

asio::awaitable<void> RemoteForward::serve(std::shared_ptr<RemoteForward> self, tunnel::StreamPtr stream) {
  const AttemptPtr attempt = begin(self->executor_, self->spec_.target, stream);
  while (!attempt->over) co_await attempt->ended.wait();
  if (attempt->gone || stream->reset_code()) co_return;
  if (!attempt->socket) {
    const Error& why = attempt->socket.error();
    log::warn("a connection that came by -R {} failed here: {}", to_text(self->spec_.listen), why.text);
    stream->reset(code_of_failed_connect(why));
    co_return;
  }
  stream->accept(attempt->bound);
  Bytes nothing_early;
  co_await tunnel::splice(std::move(*attempt->socket), std::move(stream), std::move(nothing_early));
}

}  // namespace zks::frontdoor
