// SPDX-License-Identifier: MIT
#include "vpn/dns_gate.hpp"

#include <deque>
#include <utility>

#include <boost/asio/co_spawn.hpp>

#include "base/dns_message.hpp"
#include "net/counted.hpp"
#include "net/spawn.hpp"
#include "net/wakeup.hpp"
#include "session/frames.hpp"

namespace zks::vpn {

using tunnel::Connection;

constexpr std::chrono::seconds kIdle{30};  // of a TCP connection

// One query whose answer is not written yet. Lifetime: dies before its conversation.
class DnsGate::UnderWay {
 public:
  explicit UnderWay(Conversation& with);
  ~UnderWay();
  UnderWay(UnderWay&& other) noexcept : with_(std::exchange(other.with_, nullptr)) {}
  UnderWay& operator=(UnderWay&&) = delete;

 private:
  Conversation* with_;
};

// Over TCP. Answers leave one after the other, in the order in which they came.
struct DnsGate::Conversation {
  struct Answer {
    UnderWay under_way;
    Bytes bytes;  // with its length
  };

  explicit Conversation(std::shared_ptr<Connection> c)
      : connection(std::move(c)), changed(connection->executor()) {}

  std::shared_ptr<Connection> connection;
  net::Wakeup changed;         // of `under_way`
  std::size_t under_way = 0;   // UnderWay's
  std::deque<Answer> answers;  // to be written
  bool writing = false;
};

DnsGate::UnderWay::UnderWay(Conversation& with) : with_(&with) {
  ++with.under_way;
}

DnsGate::UnderWay::~UnderWay() {
  if (with_ == nullptr) return;
  --with_->under_way;
  with_->changed.notify();
}

// Where the writer lacks memory, what a client has got may end within an answer.
struct DnsGate::Writing {
  explicit Writing(Conversation& to) : with(to) { with.writing = true; }
  ~Writing() {
    with.writing = false;
    if (done) return;
    with.connection->abort();
    with.answers.clear();
  }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;

  Conversation& with;
  bool done = false;
};

struct DnsGate::Query {
  std::shared_ptr<Conversation> with;
  UnderWay under_way;
  Bytes bytes;
};

DnsGate::DnsGate(std::shared_ptr<tunnel::StreamOpener> opener, Send send)
    : opener_(std::move(opener)), send_(std::move(send)) {}

void DnsGate::take(const packet::Endpoint& client, const packet::Endpoint& server, ByteView query) {
  if (stopped_) return;
  if (query.size() > session::kMaxDnsQuery || !read_dns_query(query)) {
    ++counters_.dropped;
    if (const auto refusal = dns_refusal(query)) send_(server, client, *refusal);
    return;
  }
  asio::co_spawn(opener_->executor(),
                 answer(shared_from_this(), client, server, Bytes(query.begin(), query.end())),
                 net::RethrowFailure{});
}

// `query` has read as one.
asio::awaitable<Bytes> DnsGate::ask(Bytes query) {
  if (asking_ >= kMaxQueries) {
    ++counters_.dropped;
    co_return dns_failure(query, *read_dns_query(query), DnsCode::kServFail, DnsReason::kOther);
  }
  const net::Counted asking(shared_from_this(), asking_);
  ++counters_.asked;
  auto answer = co_await opener_->resolve(query);
  if (answer) co_return std::move(*answer);
  co_return dns_failure(query, *read_dns_query(query), DnsCode::kServFail, DnsReason::kNetworkError);
}

asio::awaitable<void> DnsGate::answer(std::shared_ptr<DnsGate> self, packet::Endpoint client,
                                      packet::Endpoint server, Bytes query) {
  const std::size_t most = read_dns_query(query)->udp_bytes;
  const auto answer = fit_dns_answer(co_await self->ask(std::move(query)), most);
  if (!self->stopped_ && answer) self->send_(server, client, *answer);
}

void DnsGate::serve(std::shared_ptr<Connection> connection) {
  if (stopped_ || connections_.full()) return connection->reset();
  auto membership = connections_.enter(connection);
  asio::co_spawn(
      opener_->executor(),
      converse(shared_from_this(), std::make_shared<Conversation>(std::move(connection))),
      [self = shared_from_this(), membership = std::move(membership)](std::exception_ptr failure) mutable {
        membership.reset();
        net::RethrowFailure{}(failure);
      });
}

// Until a whole one stands in input(). False at the end, and for one that is too long.
asio::awaitable<bool> DnsGate::read_query(std::shared_ptr<Conversation> with) {
  Connection& connection = *with->connection;
  for (;;) {
    const ByteView input = connection.input();
    if (input.size() >= 2) {
      const std::size_t size = load_be<std::uint16_t>(input.data());
      if (size > session::kMaxDnsQuery) {
        connection.reset();
        co_return false;
      }
      if (input.size() >= 2 + size) co_return true;
    }
    const bool more = co_await Connection::read(with->connection);
    if (!more) co_return false;
  }
}

asio::awaitable<void> DnsGate::converse(std::shared_ptr<DnsGate> self, std::shared_ptr<Conversation> with) {
  Connection& connection = *with->connection;
  while (!self->stopped_ && !connection.gone()) {
    connection.limit_time(kIdle);
    const bool whole = co_await read_query(with);
    if (!whole) break;
    const ByteView input = connection.input();
    const ByteView message = input.subspan(2, load_be<std::uint16_t>(input.data()));
    Bytes query(message.begin(), message.end());
    connection.take(2 + message.size());
    // An answer, or less than a header: the two have lost each other.
    if (!read_dns_query(query) && !dns_refusal(query)) {
      connection.reset();
      break;
    }
    asio::co_spawn(self->opener_->executor(), answer_in(self, Query{with, UnderWay(*with), std::move(query)}),
                   net::RethrowFailure{});
    while (with->under_way >= kMaxPipelined) co_await with->changed.wait();
  }
  // A client may have said all that it has to say. Its place is taken as long as anything is held for it.
  while (with->under_way > 0) co_await with->changed.wait();
}

asio::awaitable<void> DnsGate::answer_in(std::shared_ptr<DnsGate> self, Query query) {
  const std::shared_ptr<Conversation> with = query.with;
  Bytes answer;
  if (read_dns_query(query.bytes)) {
    answer = co_await self->ask(std::move(query.bytes));
  } else {
    answer = dns_refusal(query.bytes).value_or(Bytes());
  }
  const std::array<std::uint8_t, 2> length{static_cast<std::uint8_t>(answer.size() >> 8),
                                           static_cast<std::uint8_t>(answer.size())};
  answer.insert(answer.begin(), length.begin(), length.end());
  with->answers.push_back({std::move(query.under_way), std::move(answer)});
  if (!with->writing) co_await write_answers(with);
}

asio::awaitable<void> DnsGate::write_answers(std::shared_ptr<Conversation> with) {
  Writing writing(*with);
  while (!with->answers.empty()) {
    Conversation::Answer next = std::move(with->answers.front());
    with->answers.pop_front();
    const bool sent = co_await Connection::write(with->connection, std::move(next.bytes));
    if (sent) {
      with->connection->limit_time(kIdle);
    } else {
      with->connection->abort();
    }
  }
  writing.done = true;
}

void DnsGate::stop() {
  stopped_ = true;
  connections_.abort_all();
}

}  // namespace zks::vpn
