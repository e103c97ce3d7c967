// SPDX-License-Identifier: MIT
#include "vpn/dns_gate.hpp"

#include <array>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/dns_message.hpp"
#include "base/fd.hpp"
#include "gate_opener.hpp"
#include "session/frames.hpp"

namespace zks::vpn {
namespace {

const Bytes kHeaderOfQuery{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
const Bytes kQuestion{1, 'a', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};  // a.test, A, IN

Bytes query(std::uint8_t id = 0x34) {
  Bytes out = kHeaderOfQuery;
  out[1] = id;
  out.insert(out.end(), kQuestion.begin(), kQuestion.end());
  return out;
}
// With `more` bytes behind the question, as records are.
Bytes answer(std::size_t more, std::uint8_t id = 0x34) {
  Bytes out = query(id);
  out[2] |= 0x80;
  out.insert(out.end(), more, 7);
  return out;
}
Bytes format_error(std::uint8_t id) {
  return {0x12, id, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0};  // FORMERR
}
int code_of(const Bytes& message) {
  return message.at(3) & 0x0f;
}

class DnsGateTest : public testing::Test {
 protected:
  void ask(const Bytes& bytes) {
    gate->take(client, server, bytes);
    opener->run();
  }
  // Our end of a connection that the gate serves.
  Fd connect() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    tunnel::Socket socket(loop.get_executor(), boost::asio::generic::stream_protocol(AF_UNIX, 0), ends[1]);
    gate->serve(std::make_shared<tunnel::Connection>(std::move(socket)));
    opener->run();
    return Fd(ends[0]);
  }
  static Bytes framed(const Bytes& message) {
    Bytes out{static_cast<std::uint8_t>(message.size() >> 8), static_cast<std::uint8_t>(message.size())};
    out.insert(out.end(), message.begin(), message.end());
    return out;
  }
  void write(const Fd& end, const Bytes& bytes) {
    ASSERT_EQ(::write(end.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    opener->run();
  }
  // Everything that came; nothing when the gate has ended it.
  static std::optional<Bytes> read(const Fd& end) {
    Bytes out(70'000);
    const ssize_t size = ::read(end.get(), out.data(), out.size());
    if (size <= 0 && !(size < 0 && errno == EAGAIN)) return std::nullopt;
    out.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    return out;
  }

  const packet::Endpoint client{*parse_ip_address("198.18.0.1"), 5000};
  const packet::Endpoint server{*parse_ip_address("198.18.0.2"), 53};
  boost::asio::io_context loop;
  std::shared_ptr<GateOpener> opener = std::make_shared<GateOpener>(loop);
  std::vector<Bytes> sent;
  std::shared_ptr<DnsGate> gate = std::make_shared<DnsGate>(
      opener, [this](const packet::Endpoint& from, const packet::Endpoint& to, ByteView bytes) {
        EXPECT_EQ(from, server);
        EXPECT_EQ(to, client);
        sent.emplace_back(bytes.begin(), bytes.end());
      });
};

TEST_F(DnsGateTest, PassesTheQueryOnAndTheAnswerBack) {
  opener->answer = answer(30);
  ask(query());
  EXPECT_EQ(opener->queries, std::vector<Bytes>{query()});
  EXPECT_EQ(sent, std::vector<Bytes>{answer(30)});
  EXPECT_EQ(gate->counters().asked, 1U);
}

TEST_F(DnsGateTest, WithoutAnAnswerItSaysServFail) {
  ask(query());
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(code_of(sent[0]), static_cast<int>(DnsCode::kServFail));
  EXPECT_EQ(sent[0][1], 0x34);
}

TEST_F(DnsGateTest, CutsWhatDoesNotFitADatagram) {
  opener->answer = answer(2'000);
  ask(query());
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_LE(sent[0].size(), kDnsPlainUdp);
  EXPECT_NE(sent[0][2] & 0x02, 0);  // TC
}

TEST_F(DnsGateTest, DropsWhatIsNoQueryAndCountsIt) {
  for (const Bytes& bytes : {Bytes(), Bytes(11), answer(0)}) ask(bytes);
  EXPECT_TRUE(opener->queries.empty());
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(gate->counters().dropped, 3U);
}

TEST_F(DnsGateTest, SaysWhatIsWrongWithAQuery) {
  Bytes long_one = query();
  long_one.resize(session::kMaxDnsQuery + 1);
  Bytes two = query();
  two[5] = 2;
  Bytes none = query();
  none[5] = 0;
  Bytes notify = query();
  notify[2] = 4 << 3;
  notify[7] = 1;
  for (const Bytes& bytes : {long_one, two, none, notify}) ask(bytes);
  ASSERT_EQ(sent.size(), 4U);
  EXPECT_TRUE(opener->queries.empty());
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(code_of(sent[i]), static_cast<int>(DnsCode::kFormErr)) << i;
  EXPECT_EQ(code_of(sent[3]), static_cast<int>(DnsCode::kNotImp));
}

TEST_F(DnsGateTest, OneTooManyIsAnsweredAtOnce) {
  opener->held = true;
  for (std::size_t i = 0; i < DnsGate::kMaxQueries + 5; ++i) ask(query());
  EXPECT_EQ(opener->queries.size(), DnsGate::kMaxQueries);
  EXPECT_EQ(gate->counters().dropped, 5U);
  ASSERT_EQ(sent.size(), 5U);
  EXPECT_EQ(code_of(sent[0]), static_cast<int>(DnsCode::kServFail));
  opener->release();
  opener->run();
  EXPECT_EQ(sent.size(), DnsGate::kMaxQueries + 5);
  ask(query());
  EXPECT_EQ(opener->queries.size(), DnsGate::kMaxQueries + 1);
}

TEST_F(DnsGateTest, SaysNothingAfterItsEnd) {
  opener->held = true;
  ask(query());
  gate->stop();
  opener->release();
  opener->run();
  ask(query());
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(opener->queries.size(), 1U);
}

TEST_F(DnsGateTest, AnswersOneAfterTheOtherOverTcp) {
  opener->answer = answer(2'000);
  const Fd end = connect();
  Bytes two = framed(query(1));
  const Bytes second = framed(query(2));
  two.insert(two.end(), second.begin(), second.end() - 5);  // the rest comes later
  write(end, two);
  EXPECT_EQ(read(end), framed(answer(2'000, 1)));
  write(end, Bytes(second.end() - 5, second.end()));
  EXPECT_EQ(read(end), framed(answer(2'000, 2)));
}

TEST_F(DnsGateTest, AnswersOverTcpAsTheyCome) {
  opener->answer = answer(20);
  opener->held = true;
  const Fd end = connect();
  write(end, framed(query(1)));
  opener->held = false;  // the first goes on waiting
  Bytes two = query(2);
  two[5] = 2;
  write(end, framed(two));
  write(end, framed(query(3)));
  Bytes refused = format_error(2);
  Bytes expected = framed(refused);
  const Bytes third = framed(answer(20, 3));
  expected.insert(expected.end(), third.begin(), third.end());
  EXPECT_EQ(read(end), expected);
  EXPECT_EQ(::shutdown(end.get(), SHUT_WR), 0);  // what was asked for comes all the same
  opener->release();
  opener->run();
  EXPECT_EQ(read(end), framed(answer(20, 1)));
  opener->run();
  EXPECT_EQ(read(end), std::nullopt);
}

TEST_F(DnsGateTest, HasOnlySoManyOfAConnectionUnderWay) {
  opener->answer = answer(20);
  opener->held = true;
  const Fd end = connect();
  for (std::uint8_t i = 0; i < DnsGate::kMaxPipelined + 3; ++i) write(end, framed(query(i)));
  EXPECT_EQ(opener->queries.size(), DnsGate::kMaxPipelined);
  opener->release();
  opener->run();
  EXPECT_EQ(opener->queries.size(), DnsGate::kMaxPipelined + 3);
}

TEST_F(DnsGateTest, QueriesThatLackMemoryLeaveNoPlaceTaken) {
  opener->lacks_memory = true;
  for (std::size_t i = 0; i < DnsGate::kMaxQueries; ++i) EXPECT_THROW(ask(query()), std::bad_alloc);
  const Fd end = connect();
  for (std::size_t i = 0; i < DnsGate::kMaxPipelined; ++i) {
    const Bytes one = framed(query());
    ASSERT_EQ(::write(end.get(), one.data(), one.size()), static_cast<ssize_t>(one.size()));
    EXPECT_THROW(opener->run(), std::bad_alloc);
  }
  opener->run();
  opener->lacks_memory = false;
  opener->answer = answer(20);
  ask(query());
  EXPECT_EQ(sent, std::vector<Bytes>{answer(20)});
  write(end, framed(query(9)));
  EXPECT_EQ(read(end), framed(answer(20, 9)));
  EXPECT_EQ(gate->counters().dropped, 0U);
}

TEST_F(DnsGateTest, EndsAConnectionThatSendsSomethingElse) {
  for (const Bytes& bytes : {framed(answer(0)), Bytes{0xff, 0xff}, framed(Bytes(3))}) {
    const Fd end = connect();
    write(end, bytes);
    EXPECT_EQ(read(end), std::nullopt);
  }
  EXPECT_TRUE(opener->queries.empty());
}

TEST_F(DnsGateTest, ServesOnlySoManyConnections) {
  std::vector<Fd> ends;
  for (std::size_t i = 0; i < DnsGate::kMaxConnections; ++i) ends.push_back(connect());
  EXPECT_EQ(read(connect()), std::nullopt);
  EXPECT_EQ(read(ends[0]), Bytes());
  ends[0] = Fd();
  opener->run();
  EXPECT_EQ(read(connect()), Bytes());
  gate->stop();
  opener->run();
  EXPECT_EQ(read(ends[1]), std::nullopt);
}

}  // namespace
}  // namespace zks::vpn
