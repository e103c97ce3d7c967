// SPDX-License-Identifier: MIT
#include "vpn/dns_gate.hpp"

#include <boost/asio/co_spawn.hpp>

#include "base/dns_message.hpp"
#include "carrier/spawn.hpp"
#include "session/frames.hpp"

namespace zks::vpn {

using frontdoor::Connection;

constexpr std::chrono::seconds kIdle{30};  // of a TCP connection

DnsGate::DnsGate(std::shared_ptr<tunnel::StreamOpener> opener, Send send)
    : opener_(std::move(opener)), send_(std::move(send)) {}

void DnsGate::take(const packet::Endpoint& client, const packet::Endpoint& server, ByteView query) {
  const bool room = !stopped_ && asking_ < kMaxQueries && query.size() <= session::kMaxDnsQuery;
  if (!room || !read_dns_query(query)) return (void)++counters_.dropped;
  asio::co_spawn(opener_->executor(),
                 answer(shared_from_this(), client, server, Bytes(query.begin(), query.end())),
                 carrier::RethrowFailure{});
}

asio::awaitable<Bytes> DnsGate::ask(Bytes query) {
  ++asking_;
  ++counters_.asked;
  auto answer = co_await opener_->resolve(query);
  --asking_;
  if (answer) co_return std::move(*answer);
  co_return dns_failure(query, *read_dns_query(query), DnsCode::kServFail);
}

asio::awaitable<void> DnsGate::answer(std::shared_ptr<DnsGate> self, packet::Endpoint client,
                                      packet::Endpoint server, Bytes query) {
  const std::size_t most = read_dns_query(query)->udp_bytes;
  const auto answer = fit_dns_answer(co_await self->ask(std::move(query)), most);
  if (!self->stopped_ && answer) self->send_(server, client, *answer);
}

void DnsGate::serve(std::shared_ptr<Connection> connection) {
  if (stopped_ || connections_.full()) return connection->reset();
  auto place = connections_.enter(connection);
  asio::co_spawn(opener_->executor(), converse(shared_from_this(), std::move(connection)),
                 [self = shared_from_this(), place = std::move(place)](std::exception_ptr failure) mutable {
                   place.reset();
                   carrier::RethrowFailure{}(failure);
                 });
}

asio::awaitable<void> DnsGate::converse(std::shared_ptr<DnsGate> self,
                                        std::shared_ptr<Connection> connection) {
  while (!self->stopped_) {
    connection->limit_time(kIdle);
    const auto whole = [&]() -> std::optional<std::size_t> {
      const ByteView input = connection->input();
      if (input.size() < 2) return std::nullopt;
      const std::size_t size = static_cast<std::size_t>(input[0] << 8 | input[1]);
      return size > session::kMaxDnsQuery || input.size() >= 2 + size ? std::optional(size) : std::nullopt;
    };
    std::optional<std::size_t> size;
    while (!(size = whole())) {
      if (!co_await Connection::read(connection)) co_return;
    }
    if (*size > session::kMaxDnsQuery) co_return connection->reset();
    const ByteView query = connection->input().subspan(2, *size);
    if (!read_dns_query(query)) co_return connection->reset();
    Bytes copy(query.begin(), query.end());
    connection->take(2 + *size);
    Bytes answer = co_await self->ask(std::move(copy));
    const std::array<std::uint8_t, 2> length{static_cast<std::uint8_t>(answer.size() >> 8),
                                             static_cast<std::uint8_t>(answer.size())};
    answer.insert(answer.begin(), length.begin(), length.end());
    if (!co_await Connection::write(connection, std::move(answer))) co_return;
  }
}

void DnsGate::stop() {
  stopped_ = true;
  connections_.abort_all();
}

}  // namespace zks::vpn
