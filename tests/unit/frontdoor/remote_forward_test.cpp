// SPDX-License-Identifier: MIT
//
// -R for TCP and unix sockets: connections that an exit says have come, over a carrier in memory. For
// datagrams: tests/flow/udp_forward_flow_test.cpp.
#include "frontdoor/remote_forward.hpp"

#include <filesystem>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <gtest/gtest.h>

#include "../support/join_tunnels.hpp"
#include "net/spawn.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::frontdoor {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using boost::system::error_code;
using session::Destination;
using session::ResetCode;

Destination somebody() {
  Destination out;
  out.kind = Destination::Kind::kIpv4;
  out.address[0] = 192;
  out.port = 4321;
  return out;
}

class RemoteForwardTest : public testing::Test {
 protected:
  RemoteForwardTest() {
    session::Options options;
    tunnel::Tunnel::Handlers at_client;
    at_client.on_up = [this](session::LaneNumber, session::HelloMode) { up_ = true; };
    at_client.on_connection = [this](session::ListenerId, tunnel::StreamPtr stream, Destination from) {
      forward_->on_connection(std::move(stream), std::move(from));
    };
    near_ = std::make_shared<tunnel::Tunnel>(context_.get_executor(), options, std::move(at_client));
    options.role = session::Role::kExit;
    options.max_listeners = 1;
    tunnel::Tunnel::Handlers at_exit;
    at_exit.on_listen = [this](const session::ListenEvent& event) {
      far_->listening(event.listener, event.address);
    };
    far_ = std::make_shared<tunnel::Tunnel>(context_.get_executor(), options, std::move(at_exit));
    test::join_tunnels(context_.get_executor(), *near_, *far_);
    EXPECT_TRUE(run_until([this] { return up_; }));
  }
  ~RemoteForwardTest() override {
    outcomes_.clear();
    near_->end(make_error(ErrorKind::kClosed, "the test is over"));
    far_->end(make_error(ErrorKind::kClosed, "the test is over"));
    context_.restart();
    context_.run_for(20ms);
  }

  void forward(const std::string& spec) {
    forward_ =
        std::make_shared<RemoteForward>(context_.get_executor(), parse_remote_forward(spec).value(),
                                        [this](const Result<>& answer) { answers_.push_back(answer); });
    listener_ = near_->listen(forward_->kind(), forward_->bind()).value();
  }
  // Somebody connects at the exit; what becomes of that.
  static asio::awaitable<void> connect(RemoteForwardTest* self) {
    auto outcome = co_await self->far_->open(self->listener_, somebody());
    self->outcomes_.push_back(std::move(outcome));
  }
  tunnel::OpenOutcome& connect() {
    const std::size_t before = outcomes_.size();
    context_.restart();
    context_.run_for(10ms);  // LISTEN and LISTENING
    asio::co_spawn(context_, connect(this), net::RethrowFailure{});
    EXPECT_TRUE(run_until([&] { return outcomes_.size() > before; }));
    return outcomes_.back();
  }
  bool run_until(const std::function<bool()>& done) {
    context_.restart();
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      context_.run_one_for(10ms);
    }
    return true;
  }
  static std::string text(const tcp::endpoint& endpoint) {
    return endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
  }

  asio::io_context context_;
  std::shared_ptr<tunnel::Tunnel> near_;
  std::shared_ptr<tunnel::Tunnel> far_;
  std::shared_ptr<RemoteForward> forward_;
  session::ListenerId listener_ = 0;
  std::vector<Result<>> answers_;
  std::list<tunnel::OpenOutcome> outcomes_;
  bool up_ = false;
};

TEST_F(RemoteForwardTest, AConnectionGoesToTheTargetWhoeverItIsFrom) {
  tcp::acceptor target(context_, {asio::ip::make_address("127.0.0.1"), 0});
  forward("8080:" + text(target.local_endpoint()));
  tunnel::OpenOutcome& outcome = connect();
  ASSERT_TRUE(outcome.stream);
  EXPECT_EQ(outcome.bound.kind, Destination::Kind::kIpv4);
  EXPECT_EQ(forward_->connections(), 1U);
  tcp::socket here = target.accept();
  std::array<MutableBytes, 4> pieces;
  ASSERT_GT(outcome.stream->prepare(1, pieces), 0U);
  pieces[0][0] = 'x';
  outcome.stream->commit(1);
  here.non_blocking(true);
  char byte = 0;
  error_code ec;
  ASSERT_TRUE(run_until([&] {
    here.receive(asio::buffer(&byte, 1), 0, ec);
    return ec != asio::error::would_block;
  }));
  EXPECT_EQ(byte, 'x');
  outcome.stream->reset(ResetCode::kCancelled);
  EXPECT_TRUE(run_until([this] { return forward_->connections() == 0; }));
}

TEST_F(RemoteForwardTest, ANameIsTriedAtEachOfItsAddresses) {
  tcp::acceptor target(context_, {asio::ip::make_address("127.0.0.1"), 0});
  forward("8080:localhost:" + std::to_string(target.local_endpoint().port()));
  EXPECT_TRUE(connect().stream);
}

TEST_F(RemoteForwardTest, ATargetThatRefusesIsTold) {
  tcp::endpoint nobody;
  {
    tcp::acceptor gone(context_, {asio::ip::make_address("127.0.0.1"), 0});
    nobody = gone.local_endpoint();
  }
  forward("8080:" + text(nobody));
  const tunnel::OpenOutcome& outcome = connect();
  EXPECT_FALSE(outcome.stream);
  EXPECT_EQ(outcome.code, ResetCode::kConnectionRefused);
  EXPECT_TRUE(run_until([this] { return forward_->connections() == 0; }));
}

TEST_F(RemoteForwardTest, AUnixSocketOfThisMachineMayBeTheTarget) {
  std::string pattern = testing::TempDir() + "reverse-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(pattern.data());
  const std::string path = (directory / "x.sock").string();
  forward("8080:" + path);
  EXPECT_EQ(connect().code, ResetCode::kConnectionRefused) << "nobody there yet";
  {
    asio::local::stream_protocol::acceptor target(context_, asio::local::stream_protocol::endpoint(path));
    const tunnel::OpenOutcome& outcome = connect();
    EXPECT_TRUE(outcome.stream);
    EXPECT_EQ(outcome.bound.port, 0);
  }
  std::filesystem::remove_all(directory);
}

TEST_F(RemoteForwardTest, SaysWhereTheExitListensAndWhyItDoesNot) {
  forward("8080:127.0.0.1:1");
  EXPECT_EQ(forward_->address(), "");
  forward_->on_listening(somebody());
  EXPECT_EQ(forward_->address(), "192.0.0.0:4321");
  ASSERT_EQ(answers_.size(), 1U);
  EXPECT_TRUE(answers_[0]);
  for (const auto& [code, words] : {std::pair(ResetCode::kNotAllowed, "--allow-listen 8080"),
                                    std::pair(ResetCode::kAddressInUse, "another port"),
                                    std::pair(ResetCode::kLimit, "no more listeners"),
                                    std::pair(ResetCode::kNetworkUnreachable, "no such address"),
                                    std::pair(ResetCode::kCommandNotSupported, "for UDP"),
                                    std::pair(ResetCode::kGeneralFailure, "can't listen")}) {
    forward_->on_refused(code);
    EXPECT_EQ(forward_->address(), "");
    ASSERT_FALSE(answers_.back());
    EXPECT_NE(answers_.back().error().text.find(words), std::string::npos) << answers_.back().error().text;
  }
}

}  // namespace
}  // namespace zks::frontdoor
