// SPDX-License-Identifier: MIT
//
// Addresses that race for one connection, on loopback: some refuse, some never answer.
#include "net/race.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <gtest/gtest.h>

#include "../support/run.hpp"

namespace zks::net {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using std::chrono::steady_clock;

tcp::endpoint endpoint_at(const char* address, std::uint16_t port = 0) {
  return {asio::ip::make_address(address), port};
}

// A listener whose queue is full, so that the kernel drops every further SYN.
class Silent {
 public:
  Silent(asio::io_context& io, const char* address) : acceptor_(io, endpoint_at(address)) {
    acceptor_.listen(0);
    for (int i = 0; i < 4; ++i) {
      auto& filler = fillers_.emplace_back(io, tcp::v4());
      filler.non_blocking(true);
      const auto endpoint = acceptor_.local_endpoint();
      ::connect(filler.native_handle(), endpoint.data(), static_cast<socklen_t>(endpoint.size()));
    }
  }
  tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

 private:
  tcp::acceptor acceptor_;
  std::vector<tcp::socket> fillers_;
};

// Bound and not listening: connects are refused while it lives.
class Closed {
 public:
  Closed(asio::io_context& io, const char* address) : socket_(io, tcp::v4()) {
    socket_.bind(endpoint_at(address));
  }
  tcp::endpoint endpoint() const { return socket_.local_endpoint(); }

 private:
  tcp::socket socket_;
};

asio::awaitable<void> run_race(asio::io_context* io, Course course, steady_clock::duration time,
                               RaceOptions options, RaceOutcome* out) {
  *out = co_await race(io->get_executor(), std::move(course), steady_clock::now() + time, options);
}

class RaceTest : public testing::Test {
 protected:
  RaceOutcome race_to(std::vector<tcp::endpoint> addresses, steady_clock::duration time = 30s,
                      RaceOptions options = {}) {
    Course course;
    course.next = each_of(std::move(addresses));
    return race_on(std::move(course), time, options);
  }
  RaceOutcome race_on(Course course, steady_clock::duration time = 30s, RaceOptions options = {}) {
    RaceOutcome out;
    test::run(io, run_race(&io, std::move(course), time, options, &out));
    return out;
  }

  asio::io_context io{1};
};

TEST_F(RaceTest, AnAddressThatIsSilentHoldsNobodyBack) {
  const Silent silent(io, "127.9.0.1");
  const tcp::acceptor target(io, endpoint_at("127.9.0.2"));
  const auto out = race_to({silent.endpoint(), silent.endpoint(), target.local_endpoint()});
  ASSERT_TRUE(out.winner);
  EXPECT_EQ(out.winner->remote_endpoint(), target.local_endpoint());
}

TEST_F(RaceTest, AfterARefusalTheNextAddressIsTriedAtOnce) {
  const Closed closed(io, "127.9.0.1");
  const tcp::acceptor target(io, endpoint_at("127.9.0.2"));
  RaceOptions options;
  options.attempt_delay = 1h;
  const auto out = race_to({closed.endpoint(), target.local_endpoint()}, 30s, options);
  ASSERT_TRUE(out.winner);
  ASSERT_EQ(out.failures.size(), 1U);
  EXPECT_EQ(out.failures.front().detail, ECONNREFUSED);
}

TEST_F(RaceTest, AllThatRefusedAreToldInTheirOrder) {
  const Closed first(io, "127.9.0.1");
  const auto out = race_to({endpoint_at("127.255.255.255", 80), first.endpoint()});
  EXPECT_FALSE(out.winner);
  EXPECT_FALSE(out.timed_out);
  ASSERT_EQ(out.failures.size(), 2U);
  EXPECT_EQ(out.failures[0].detail, ENETUNREACH);
  EXPECT_EQ(out.failures[1].detail, ECONNREFUSED);
}

TEST_F(RaceTest, SilenceEndsWithTheDeadline) {
  const Silent silent(io, "127.9.0.1");
  const Closed closed(io, "127.9.0.2");
  const auto out = race_to({silent.endpoint(), closed.endpoint()}, 600ms);
  EXPECT_FALSE(out.winner);
  EXPECT_TRUE(out.timed_out);
}

TEST_F(RaceTest, AddressesAreAskedForWhenTheirTurnComesAndNoMoreThanTheBound) {
  const Closed closed(io, "127.9.0.1");
  int asked = 0;
  Course course;
  course.next = [&]() -> std::optional<tcp::endpoint> {
    ++asked;
    return closed.endpoint();
  };
  RaceOptions options;
  options.max_attempts = 3;
  const auto out = race_on(std::move(course), 30s, options);
  EXPECT_EQ(out.failures.size(), 3U);
  EXPECT_EQ(asked, 3);
}

TEST_F(RaceTest, NoAddressIsNoFailureOfAny) {
  const auto out = race_to({});
  EXPECT_FALSE(out.winner);
  EXPECT_TRUE(out.failures.empty());
  EXPECT_FALSE(out.timed_out);
}

// Else a port that nobody listens on would seem to answer.
TEST_F(RaceTest, AConnectionToItselfIsARefusal) {
  tcp::socket probe(io, tcp::v4());
  probe.bind(endpoint_at("127.0.0.1"));
  const tcp::endpoint itself = probe.local_endpoint();
  probe.close();
  Course course;
  course.next = each_of({itself});
  course.connect = [itself](tcp::socket* socket, tcp::endpoint endpoint) {
    socket->open(tcp::v4());
    socket->bind(itself);
    return connect_socket(socket, endpoint);
  };
  const auto out = race_on(std::move(course));
  EXPECT_FALSE(out.winner);
  ASSERT_EQ(out.failures.size(), 1U);
  EXPECT_EQ(out.failures.front().detail, ECONNREFUSED);
}

TEST_F(RaceTest, CancellationEndsItWhileNobodyAnswers) {
  const Silent silent(io, "127.9.0.1");
  Course course;
  course.next = each_of({silent.endpoint()});
  asio::cancellation_signal cancel;
  RaceOutcome out;
  bool over = false;
  asio::co_spawn(io, run_race(&io, std::move(course), 1h, {}, &out),
                 asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr) { over = true; }));
  io.run_for(20ms);
  ASSERT_FALSE(over);
  cancel.emit(asio::cancellation_type::terminal);
  const auto deadline = steady_clock::now() + 30s;
  while (!over && steady_clock::now() < deadline) io.run_one_for(10ms);
  EXPECT_TRUE(over);
}

}  // namespace
}  // namespace zks::net
