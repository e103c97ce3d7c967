// SPDX-License-Identifier: MIT
//
// The life of a stream between two sessions: OPEN, bytes, half-close, RESET, DONE, and that nothing is left.
#include <gtest/gtest.h>

#include "session/session.hpp"
#include "session_fixture.hpp"

namespace zks::session {
namespace {

using namespace std::chrono_literals;
using test::count_of;
using test::find_event;
using test::Peer;
using test::read;
using test::SessionPair;
using test::write;

constexpr std::uint64_t kShared = 32 * 1024 * 1024;  // 64 MiB less 2048 times 16 KiB

void expect_nothing_left(SessionPair& pair) {
  for (Session* session : {&pair.client, &pair.exit}) {
    EXPECT_EQ(session->streams().size(), 0U);
    EXPECT_EQ(session->streams().buffered_to_send(), 0U);
    EXPECT_EQ(session->streams().spare_credit(), kShared);
    EXPECT_EQ(session->streams().memory_bytes(), 0U);
  }
}

TEST(SessionStreams, WelcomeIsTheClientsFirstEvent) {
  SessionPair pair;
  Session client(test::options_of(Role::kClient));
  Session exit(test::options_of(Role::kExit));
  client.attach_lane({}, pair.now);
  exit.attach_lane({}, pair.now);
  const auto hello = test::next_record(client, pair.now);
  ASSERT_TRUE(hello.has<HelloFrame>());
  EXPECT_TRUE(std::holds_alternative<HelloFrame>(hello.frames.front()));
  ASSERT_TRUE(exit.receive(1, hello.bytes, hello.size(), pair.now));
  const auto welcome = test::next_record(exit, pair.now);
  EXPECT_EQ(welcome.all<WelcomeFrame>().at(0).instance, test::options_of(Role::kExit).instance);
  ASSERT_TRUE(client.receive(1, welcome.bytes, welcome.size(), pair.now));
  EXPECT_EQ(count_of<WelcomeEvent>(client.take_events()), 1U);
}

TEST(SessionStreams, OpenAndAccept) {
  SessionPair pair;
  const StreamId id = pair.client.streams().open(test::to_name("example.org", 443), pair.now).value();
  EXPECT_EQ(id % 2, 0U);
  pair.pump();
  const auto* asked = find_event<OpenEvent>(pair.exit_events);
  ASSERT_NE(asked, nullptr);
  EXPECT_EQ(asked->address, test::to_name("example.org", 443));
  EXPECT_EQ(count_of<OpenedEvent>(pair.client_events), 0U);
  pair.exit.streams().accept(asked->stream, test::to_ipv4({192, 0, 2, 1}, 5000));
  pair.pump();
  const auto* opened = find_event<OpenedEvent>(pair.client_events);
  ASSERT_NE(opened, nullptr);
  EXPECT_EQ(opened->stream, id);
  EXPECT_EQ(opened->address, test::to_ipv4({192, 0, 2, 1}, 5000));
}

TEST(SessionStreams, ARefusalCarriesItsCodeAndIsForgotten) {
  SessionPair pair;
  const StreamId id = pair.client.streams().open(test::to_name("example.org", 443), pair.now).value();
  pair.pump();
  pair.exit.streams().reset(id, ResetCode::kConnectionRefused);
  pair.pump();
  const auto* refused = find_event<ResetEvent>(pair.client_events);
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->stream, id);
  EXPECT_EQ(refused->code, ResetCode::kConnectionRefused);
  expect_nothing_left(pair);
}

TEST(SessionStreams, BytesBothWaysAreTheSame) {
  SessionPair pair;
  const StreamId id = pair.connect();
  constexpr std::size_t kTotal = 3'000'000;
  for (auto [from, to] : {std::pair{&pair.client, &pair.exit}, std::pair{&pair.exit, &pair.client}}) {
    std::size_t sent = 0;
    std::size_t got = 0;
    for (int i = 0; i < 1000 && got < kTotal; ++i) {
      sent += write(*from, id, kTotal - sent, sent);
      pair.pump();
      got += read(*to, id, kTotal, got, pair.now);
      pair.run_for(50ms);
    }
    EXPECT_EQ(got, kTotal);
  }
  pair.finish(id);
  expect_nothing_left(pair);
}

// `first` finishes, the other goes on for a while.
void half_close(SessionPair& pair, Session& first, Session& second) {
  const StreamId id = pair.connect();
  EXPECT_EQ(write(first, id, 1000, 0), 1000U);
  first.streams().finish(id);
  pair.pump();
  EXPECT_EQ(read(second, id, 2000, 0, pair.now), 1000U);
  EXPECT_TRUE(second.streams().at_end(id));
  second.streams().consume_end(id);
  pair.pump();
  EXPECT_EQ(first.streams().open_count(), 1U);
  EXPECT_EQ(write(second, id, 5000, 0), 5000U) << "the other direction goes on";
  pair.pump();
  EXPECT_EQ(read(first, id, 9000, 0, pair.now), 5000U);
  EXPECT_FALSE(first.streams().at_end(id));
  second.streams().finish(id);
  pair.pump();
  EXPECT_TRUE(first.streams().at_end(id));
  first.streams().consume_end(id);
  pair.pump();
  EXPECT_EQ(count_of<ResetEvent>(pair.client_events), 0U);
  EXPECT_EQ(count_of<ResetEvent>(pair.exit_events), 0U);
  expect_nothing_left(pair);
}

TEST(SessionStreams, HalfCloseByTheClient) {
  SessionPair pair;
  half_close(pair, pair.client, pair.exit);
}

TEST(SessionStreams, HalfCloseByTheExit) {
  SessionPair pair;
  half_close(pair, pair.exit, pair.client);
}

TEST(SessionStreams, BothCloseAtOnce) {
  SessionPair pair;
  const StreamId id = pair.connect();
  write(pair.client, id, 10, 0);
  write(pair.exit, id, 20, 0);
  pair.client.streams().finish(id);
  pair.exit.streams().finish(id);
  const auto from_client = test::next_record(pair.client, pair.now);
  const auto from_exit = test::next_record(pair.exit, pair.now);
  EXPECT_TRUE(from_client.has<FinFrame>());
  EXPECT_TRUE(from_exit.has<FinFrame>());
  pair.deliver(pair.client, from_client);
  pair.deliver(pair.exit, from_exit);
  EXPECT_EQ(read(pair.exit, id, 99, 0, pair.now), 10U);
  EXPECT_EQ(read(pair.client, id, 99, 0, pair.now), 20U);
  pair.client.streams().consume_end(id);
  pair.exit.streams().consume_end(id);
  pair.pump();
  expect_nothing_left(pair);
}

TEST(SessionStreams, AnEndThatNobodyConsumedKeepsTheStream) {
  SessionPair pair;
  const StreamId id = pair.connect();
  write(pair.client, id, 10, 0);
  pair.client.streams().finish(id);
  pair.exit.streams().finish(id);
  pair.pump();
  pair.client.streams().consume_end(id);
  pair.pump();
  EXPECT_EQ(pair.client.streams().open_count(), 1U) << "the exit's application has not read the end";
  EXPECT_EQ(pair.exit.streams().open_count(), 1U);
}

void reset_with_data_under_way(SessionPair& pair, Session& from, std::vector<Event>& seen_by_other) {
  for (const ResetCode code :
       {ResetCode::kCancelled, ResetCode::kConnectionReset, ResetCode::kTimedOut, ResetCode{4'000'000'000}}) {
    const StreamId id = pair.connect();
    write(pair.client, id, 100'000, 0);
    write(pair.exit, id, 100'000, 0);
    pair.pump();
    write(pair.client, id, 100'000, 100'000);
    from.streams().reset(id, code);
    EXPECT_EQ(write(from, id, 10, 0), 0U);
    pair.pump();
    const auto* reset = find_event<ResetEvent>(seen_by_other);
    ASSERT_NE(reset, nullptr);
    EXPECT_EQ(reset->code, code);
    expect_nothing_left(pair);
    pair.take_events();
  }
}

TEST(SessionStreams, ResetByTheClient) {
  SessionPair pair;
  reset_with_data_under_way(pair, pair.client, pair.exit_events);
}

TEST(SessionStreams, ResetByTheExit) {
  SessionPair pair;
  reset_with_data_under_way(pair, pair.exit, pair.client_events);
}

TEST(SessionStreams, ResetsThatCross) {
  SessionPair pair;
  const StreamId id = pair.connect();
  write(pair.exit, id, 1000, 0);
  pair.client.streams().reset(id, ResetCode::kCancelled);
  pair.exit.streams().reset(id, ResetCode::kConnectionReset);
  pair.pump();
  EXPECT_EQ(count_of<ResetEvent>(pair.client_events), 0U) << "it knows";
  EXPECT_EQ(count_of<ResetEvent>(pair.exit_events), 0U);
  expect_nothing_left(pair);
}

TEST(SessionStreams, ResetCrossesTheLastAcknowledgement) {
  SessionPair pair;
  const StreamId id = pair.connect();
  pair.client.streams().finish(id);
  pair.exit.streams().finish(id);
  pair.pump();
  pair.client.streams().consume_end(id);
  pair.pump();
  pair.exit.streams().consume_end(id);  // for the exit all is said; the client resets before it hears that
  const auto last = test::next_record(pair.exit, pair.now);
  pair.client.streams().reset(id, ResetCode::kCancelled);
  pair.deliver(pair.exit, last);
  pair.pump();
  EXPECT_EQ(count_of<ResetEvent>(pair.exit_events), 0U);
  expect_nothing_left(pair);
}

TEST(SessionStreams, ResetWhileTheExitConnects) {
  SessionPair pair;
  const StreamId id = pair.client.streams().open(test::to_name("example.org", 443), pair.now).value();
  pair.pump();
  pair.client.streams().reset(id, ResetCode::kCancelled);
  pair.pump();
  EXPECT_EQ(count_of<ResetEvent>(pair.exit_events), 1U);
  pair.exit.streams().accept(id, test::to_ipv4({192, 0, 2, 1}, 1));  // too late
  pair.pump();
  expect_nothing_left(pair);
}

TEST(SessionStreams, ResetBeforeOpenWasSentLeavesNothing) {
  SessionPair pair;
  const StreamId id = pair.client.streams().open(test::to_name("example.org", 443), pair.now).value();
  pair.client.streams().reset(id, ResetCode::kCancelled);
  EXPECT_EQ(pair.client.streams().size(), 0U) << "the exit would never answer with DONE";
  pair.pump();
  EXPECT_EQ(count_of<OpenEvent>(pair.exit_events), 0U);
  expect_nothing_left(pair);
  EXPECT_NE(pair.connect(), id) << "ids are not reused";
}

TEST(SessionStreams, AcceptedAndResetBeforeItIsToldIsARefusal) {
  SessionPair pair;
  const StreamId id = pair.client.streams().open(test::to_name("example.org", 443), pair.now).value();
  pair.pump();
  pair.exit.streams().accept(id, test::to_ipv4({192, 0, 2, 1}, 1));
  pair.exit.streams().reset(id, ResetCode::kHostUnreachable);
  pair.pump();
  EXPECT_EQ(count_of<OpenedEvent>(pair.client_events), 0U);
  EXPECT_EQ(count_of<ResetEvent>(pair.client_events), 1U);
  expect_nothing_left(pair);
}

TEST(SessionStreams, ATombstoneStaysUntilDoneWentBothWays) {
  Peer exit(Role::kExit);
  const StreamId id = exit.open(100'000);
  ASSERT_TRUE(exit.send({ResetFrame{id, ResetCode::kConnectionReset}}));
  EXPECT_EQ(exit.session.streams().size(), 1U);
  EXPECT_EQ(exit.session.streams().open_count(), 0U);
  EXPECT_EQ(exit.session.streams().spare_credit(), kShared) << "a tombstone holds no credit";
  EXPECT_EQ(exit.take().all<DoneFrame>().size(), 1U);
  EXPECT_EQ(exit.session.streams().size(), 1U);
  ASSERT_TRUE(exit.send({DoneFrame{id}}));
  EXPECT_EQ(exit.session.streams().size(), 0U);
}

TEST(SessionStreams, DoneComesAfterTheCreditForFin) {
  Peer client(Role::kClient);
  const StreamId id = client.open(100'000);
  ASSERT_TRUE(client.send({FinFrame{id, 0}}));
  client.session.streams().finish(id);
  EXPECT_TRUE(client.take().has<FinFrame>());
  ASSERT_TRUE(client.send({CreditFrame{id, 1, 100'000}}));
  client.session.streams().consume_end(id);
  const auto record = client.take();
  ASSERT_EQ(record.frames.size(), 2U);
  EXPECT_EQ(std::get<CreditFrame>(record.frames[0]).consumed, 1U);
  EXPECT_EQ(std::get<DoneFrame>(record.frames[1]).stream, id);
  ASSERT_TRUE(client.send({DoneFrame{id}}));
  EXPECT_EQ(client.session.streams().size(), 0U);
}

TEST(SessionStreams, OpenOfAKnownIdRepeatsItsAnswer) {
  Peer client(Role::kClient);
  const Destination there = test::to_ipv4({192, 0, 2, 1}, 80);
  ASSERT_TRUE(client.send({OpenFrame{0, there, 1000}}));
  ASSERT_TRUE(client.send({OpenFrame{0, there, 1000}}));
  EXPECT_EQ(count_of<OpenEvent>(client.session.take_events()), 1U);
  EXPECT_TRUE(client.take_all().empty()) << "nothing while connecting";
  client.session.streams().accept(0, there);
  EXPECT_EQ(client.take().all<OpenedFrame>().size(), 1U);
  ASSERT_TRUE(client.send({OpenFrame{0, there, 1000}}));
  EXPECT_EQ(client.take().all<OpenedFrame>().size(), 1U);
  client.session.streams().reset(0, ResetCode::kConnectionReset);
  EXPECT_EQ(client.take().all<ResetFrame>().size(), 1U);
  ASSERT_TRUE(client.send({OpenFrame{0, there, 1000}}));
  const auto again = client.take().all<ResetFrame>();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].code, ResetCode::kConnectionReset);
}

TEST(SessionStreams, CallsForUnknownStreamsDoNothing) {
  SessionPair pair;
  pair.client.streams().accept(44, {});
  pair.client.streams().reset(44, ResetCode::kCancelled);
  pair.client.streams().commit(44, 10);
  pair.client.streams().finish(44);
  pair.client.streams().consume(44, 10, pair.now);
  pair.client.streams().consume_end(44);
  EXPECT_FALSE(pair.client.streams().at_end(44));
  EXPECT_EQ(write(pair.client, 44, 10, 0), 0U);
  EXPECT_EQ(read(pair.client, 44, 10, 0, pair.now), 0U);
  EXPECT_TRUE(test::next_record(pair.client, pair.now).empty());
  expect_nothing_left(pair);
}

TEST(SessionStreams, ADestinationThatCannotBeWrittenIsRefused) {
  SessionPair pair;
  for (const std::string& name :
       {std::string(), std::string(kMaxNameBytes + 1, 'n'), std::string("a\0b", 3)}) {
    const auto id = pair.client.streams().open(test::to_name(name, 80), pair.now);
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().kind, ErrorKind::kUsage);
  }
  expect_nothing_left(pair);
}

TEST(SessionStreams, TheEndOfTheSessionResetsEveryStream) {
  SessionPair pair;
  const StreamId open = pair.connect();
  const StreamId opening = pair.client.streams().open(test::to_name("example.org", 1), pair.now).value();
  write(pair.client, open, 1000, 0);
  pair.client.end();
  const auto events = pair.client.take_events();
  ASSERT_EQ(count_of<ResetEvent>(events), 2U);
  for (const Event& event : events) {
    const auto* reset = std::get_if<ResetEvent>(&event);
    if (reset == nullptr) continue;
    EXPECT_TRUE(reset->stream == open || reset->stream == opening);
    EXPECT_EQ(reset->code, ResetCode::kSessionLost);
  }
  EXPECT_EQ(pair.client.streams().size(), 0U);
  EXPECT_EQ(pair.client.streams().buffered_to_send(), 0U);
  EXPECT_EQ(pair.client.next_deadline(), TimePoint::max());
  EXPECT_FALSE(pair.client.streams().open(test::to_name("example.org", 1), pair.now));
}

}  // namespace
}  // namespace zks::session
