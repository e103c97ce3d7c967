// SPDX-License-Identifier: MIT
#include "tunnel/requests.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace zks::tunnel {

// Whoever called holds the tunnel, and this with it.
asio::awaitable<Result<Bytes>> Requests::await_answer(session::RequestId id) {
  const auto question = std::make_shared<Question>(executor_);
  questions_[id] = question;
  const auto [ec] = co_await question->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  (void)ec;  // cancelled: answered, closed, or whoever waited is no longer interested
  questions_.erase(id);
  if (question->answer) co_return std::move(*question->answer);
  if (question->closed) co_return make_error(ErrorKind::kClosed, "the session ended before the DNS answer");
  co_return make_error(ErrorKind::kTimeout, "no DNS answer from the exit");
}

void Requests::await_echo(session::RequestId id, EchoHandler handler) {
  const TimePoint now = std::chrono::steady_clock::now();
  while (!pings_.empty() && (pings_.begin()->second.until <= now || pings_.size() >= kMaxPings)) {
    pings_.erase(pings_.begin());
  }
  pings_.insert_or_assign(id, Ping{std::move(handler), now + kEchoWithin});
}

void Requests::on(session::ResolvedEvent& event) {
  const auto at = questions_.find(event.request);
  if (at == questions_.end() || at->second->answer) return;
  at->second->answer = std::move(event.bytes);
  at->second->timer.cancel();
}

void Requests::on(const session::EchoReplyEvent& event) {
  const auto ping = pings_.extract(event.request);
  if (!ping || ping.mapped().until <= std::chrono::steady_clock::now()) return;
  ping.mapped().handler({event.address, event.said, event.hop_limit, event.bytes});
}

void Requests::close() {
  pings_.clear();
  for (const auto& [id, question] : questions_) {
    question->closed = true;
    question->timer.cancel();
  }
}

}  // namespace zks::tunnel
