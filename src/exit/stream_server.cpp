// SPDX-License-Identifier: MIT
#include "exit/stream_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/log.hpp"
#include "net/as_tuple.hpp"
#include "net/spawn.hpp"

namespace zks::exit {

using session::ResetCode;

StreamServer::StreamServer(asio::any_io_executor executor, Connect connect,
                           std::shared_ptr<GuestResolver> resolver, Options options)
    : executor_(std::move(executor)),
      connect_(std::move(connect)),
      resolver_(std::move(resolver)),
      options_(options) {}

void StreamServer::serve(const ClientSessionPtr& session, tunnel::StreamPtr stream,
                         session::Destination destination) {
  if (session->connecting >= options_.max_streams) {
    return refuse(*session, stream, ResetCode::kLimit, "too many connects under way");
  }
  auto admission = session->allowance->admit(session->claim);
  if (!admission.reason.empty()) return refuse(*session, stream, admission.refused, admission.reason);
  net::Counted connecting(session, session->connecting);
  asio::co_spawn(executor_,
                 run(shared_from_this(), session, std::move(connecting), std::move(stream),
                     std::move(destination), std::move(admission)),
                 net::RethrowFailure{});
}

void StreamServer::refuse(const ClientSession& session, const tunnel::StreamPtr& stream, ResetCode code,
                          const std::string& reason) {
  tally_.fail_stream(code);
  if (session.allowance->may_log()) log::info("stream refused: {}", reason);
  stream->reset(code);
}

asio::awaitable<void> StreamServer::run(std::shared_ptr<StreamServer> self, ClientSessionPtr session,
                                        net::Counted connecting, tunnel::StreamPtr stream,
                                        session::Destination destination, Allowance::Admission admission) {
  if (admission.pause > Allowance::Duration::zero()) {
    asio::steady_timer turn(self->executor_, admission.pause);
    [[maybe_unused]] const auto [ec] = co_await turn.async_wait(net::kTuple);
  }
  if (stream->reset_code()) co_return;
  const std::string where = self->options_.log_destinations ? " to " + session::to_text(destination) : "";
  ConnectOptions options;
  options.asker = session->claim;
  auto outcome = co_await self->connect_(self->executor_, std::move(destination),
                                         session->allowance->policy(), self->resolver_, std::move(options));
  connecting.over();
  const bool told = !where.empty() || outcome.code == ResetCode::kNotAllowed;
  if (told && session->allowance->may_log()) {
    log::info("stream{}: {}", where, outcome.socket ? "connected" : outcome.reason);
  }
  if (!outcome.socket) {
    self->tally_.fail_stream(outcome.code);
    stream->reset(outcome.code);
    co_return;
  }
  if (stream->reset_code()) co_return;
  ++self->tally_.connected_streams;
  admission.slot.give(stream);
  stream->accept(outcome.bound);
  Bytes nothing_early;
  co_await tunnel::splice(std::move(*outcome.socket), std::move(stream), std::move(nothing_early),
                          session->allowance);
}

}  // namespace zks::exit
