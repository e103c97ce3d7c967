// SPDX-License-Identifier: MIT
#include "tunnel/client.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace zks::tunnel {
namespace {

std::shared_ptr<Client> make_client(asio::io_context& loop) {
  ClientOptions options;
  options.source.key = crypto::KeyPair::generate();
  return std::make_shared<Client>(loop.get_executor(), std::move(options), Client::Handlers{});
}

session::Destination somewhere() {
  session::Destination destination;
  destination.name = "example.test";
  destination.port = 80;
  return destination;
}

// A program that gives up before there is a session leaves nothing behind that a later session would wake.
TEST(Client, AnOpenThatIsCancelledWhileItWaitsForASessionIsForgotten) {
  asio::io_context loop;
  const auto client = make_client(loop);
  asio::cancellation_signal cancel;
  int ended = 0;
  asio::co_spawn(
      loop, client->open(somewhere()),
      asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr, const OpenOutcome& outcome) {
        EXPECT_EQ(outcome.stream, nullptr);
        ++ended;
      }));
  loop.poll();
  EXPECT_EQ(ended, 0);
  cancel.emit(asio::cancellation_type::terminal);
  loop.restart();
  loop.poll();
  EXPECT_EQ(ended, 1);
  client->stop();  // wakes whoever still waits
  loop.restart();
  loop.poll();
}

TEST(Client, OpensThatWaitAreToldWhenItStops) {
  asio::io_context loop;
  const auto client = make_client(loop);
  std::vector<session::ResetCode> codes;
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(loop, client->open(somewhere()),
                   [&](std::exception_ptr failure, const OpenOutcome& outcome) {
                     EXPECT_EQ(failure, nullptr);
                     codes.push_back(outcome.code);
                   });
  }
  loop.poll();
  client->stop();
  loop.restart();
  loop.poll();
  EXPECT_EQ(codes, std::vector(3, session::ResetCode::kSessionLost));
}

// What another attempt may mend, an exit that starts late among it, is waited for; what a person has to mend
// is not.
TEST(Client, EndsOnlyForWhatIsFinal) {
  for (const int detail : {static_cast<int>(carrier::close_code::kNoExit), 429, 500, 503}) {
    EXPECT_FALSE(is_final(make_error(ErrorKind::kRefused, "", detail))) << detail;
  }
  for (const auto kind :
       {ErrorKind::kNetwork, ErrorKind::kTimeout, ErrorKind::kClosed, ErrorKind::kProtocol}) {
    EXPECT_FALSE(is_final(make_error(kind, "")));
  }
  for (const int detail : {0, 403, 404, 407, static_cast<int>(carrier::close_code::kForbidden)}) {
    EXPECT_TRUE(is_final(make_error(ErrorKind::kRefused, "", detail))) << detail;
  }
  EXPECT_TRUE(is_final(make_error(ErrorKind::kUntrusted, "")));
  EXPECT_TRUE(is_final(make_error(ErrorKind::kUsage, "")));
}

}  // namespace
}  // namespace zks::tunnel
