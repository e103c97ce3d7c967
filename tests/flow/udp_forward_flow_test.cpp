// SPDX-License-Identifier: MIT
//
// -L and -R with /udp over a whole tunnel: the front doors of one end, the exit's flows and listeners of the
// other, sockets on loopback, and a carrier in memory between them.
#include <gtest/gtest.h>

#include "../unit/support/join_tunnels.hpp"
#include "exit/listeners.hpp"
#include "frontdoor/local_udp_forward.hpp"
#include "frontdoor/remote_forward.hpp"
#include "lane_pair.hpp"
#include "tunnel/client_flow.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::test {
namespace {

using namespace std::chrono_literals;
using asio::ip::udp;
using frontdoor::LocalUdpForward;
using session::Destination;
using session::ResetCode;

// A socket of the test's.
struct Program {
  explicit Program(asio::io_context& loop, const char* address = "127.0.0.1")
      : socket(loop, udp::endpoint(asio::ip::make_address(address), 0)) {
    socket.non_blocking(true);
  }
  udp::endpoint endpoint() { return socket.local_endpoint(); }
  void send(const udp::endpoint& to, std::string_view text) { socket.send_to(asio::buffer(text), to); }

  udp::socket socket;
};

struct Came {
  std::string text;
  udp::endpoint from;
};

class UdpForwardFlow : public testing::Test, public tunnel::StreamOpener {
 public:
  asio::any_io_executor executor() override { return loop_.get_executor(); }
  asio::awaitable<tunnel::OpenOutcome> open(Destination) override { co_return tunnel::OpenOutcome{}; }
  Result<tunnel::FlowPtr> open_flow(tunnel::FlowHandlers handlers) override {
    auto flow =
        std::make_unique<tunnel::ClientFlow>([this] { return near_->open_flow(); }, std::move(handlers));
    if (const auto begun = flow->begin(); !begun) return begun.error();
    return flow;
  }

 protected:
  UdpForwardFlow() {
    const auto executor = loop_.get_executor();
    const auto policy =
        std::make_shared<exit::Policy>(exit::Rules{{exit::parse_rule("127.0.0.0/8").value()}, {}});
    allowance_ = std::make_shared<exit::Allowance>(executor, policy);
    const auto resolver = std::make_shared<exit::GuestResolver>(net::Resolver::create(executor, {}).value());
    host_ = std::make_shared<exit::UdpHost>(executor, resolver, exit::UdpOptions());
    connect(host_);
  }
  ~UdpForwardFlow() override {
    end();
    EXPECT_TRUE(run_until([this] { return host_->flows() == 0; }));
  }

  void connect(const std::shared_ptr<exit::UdpHost>& udp) {
    session::Options options;
    tunnel::Tunnel::Handlers at_client;
    at_client.on_up = [this](session::LaneNumber, session::HelloMode) { up_ = true; };
    at_client.on_listening = [this](const session::ListeningEvent& event) {
      remote_->on_listening(event.address);
      remote_->on_flow(near_->flow_of(event.listener));
    };
    at_client.on_unlisten = [this](const session::UnlistenEvent& event) { remote_->on_refused(event.code); };
    near_ = std::make_shared<tunnel::Tunnel>(loop_.get_executor(), options, std::move(at_client));
    options.role = session::Role::kExit;
    options.max_listeners = 4;
    tunnel::Tunnel::Handlers at_exit;
    at_exit.on_flow = [this](tunnel::SessionFlowPtr flow) { host_->serve(std::move(flow), allowance_); };
    const auto to_listeners = [this](const auto& event) { listeners_->on(event); };
    at_exit.on_listen = to_listeners;
    at_exit.on_unlisten = to_listeners;
    far_ = std::make_shared<tunnel::Tunnel>(loop_.get_executor(), options, std::move(at_exit));
    const auto rules = std::make_shared<const exit::ListenRules>(
        std::vector<exit::ListenRule>{exit::parse_listen_rule("1024-65535").value()});
    listeners_ = std::make_shared<exit::Listeners>(rules, allowance_, far_, udp,
                                                   [](const exit::Listeners::Endpoint&) { return false; });
    test::join_tunnels(loop_.get_executor(), *near_, *far_);
    ASSERT_TRUE(run_until([this] { return up_; }));
  }
  void end() {
    if (local_) local_->close();
    listeners_->close();
    near_->end(make_error(ErrorKind::kClosed, "the test is over"));
    far_->end(make_error(ErrorKind::kClosed, "the test is over"));
  }
  // Where programs of this machine write to.
  udp::endpoint forward_local(const std::string& target, LocalUdpForward::Options options = {}) {
    const std::shared_ptr<tunnel::StreamOpener> self(this, [](auto*) {});
    local_ =
        LocalUdpForward::listen(self, frontdoor::parse_local_forward("0:" + target + "/udp").value(), options)
            .value();
    local_->start();
    return parse(local_->address());
  }
  // Where programs at the exit write to.
  udp::endpoint forward_remote(const std::string& target) {
    answer_.reset();
    remote_ = std::make_shared<frontdoor::RemoteForward>(
        loop_.get_executor(), frontdoor::parse_remote_forward("0:" + target + "/udp").value(),
        [this](const Result<>& answer) { answer_ = answer; });
    listener_ = near_->listen(remote_->kind(), remote_->bind()).value();
    EXPECT_TRUE(run_until([this] { return answer_.has_value(); }));
    return answer_ && *answer_ ? parse(remote_->address()) : udp::endpoint();
  }
  static udp::endpoint parse(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    return {asio::ip::make_address(text.substr(0, colon)),
            static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1)))};
  }
  static std::string text(const udp::endpoint& endpoint) {
    return endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
  }

  bool run_until(const std::function<bool()>& done) {
    loop_.restart();
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      loop_.run_one_for(20ms);
    }
    return true;
  }
  Came take(Program& program) {
    Came out;
    std::array<char, 70'000> buffer;
    EXPECT_TRUE(run_until([&] {
      boost::system::error_code ec;
      const std::size_t size = program.socket.receive_from(asio::buffer(buffer), out.from, 0, ec);
      out.text.assign(buffer.data(), ec ? 0 : size);
      return !ec;
    }));
    return out;
  }

  asio::io_context loop_;
  std::shared_ptr<exit::Allowance> allowance_;
  std::shared_ptr<exit::UdpHost> host_;
  std::shared_ptr<exit::Listeners> listeners_;
  std::shared_ptr<tunnel::Tunnel> near_;
  std::shared_ptr<tunnel::Tunnel> far_;
  std::shared_ptr<LocalUdpForward> local_;
  std::shared_ptr<frontdoor::RemoteForward> remote_;
  session::ListenerId listener_ = 0;
  std::optional<Result<>> answer_;
  bool up_ = false;
};

TEST_F(UdpForwardFlow, LocalProgramsHaveAFlowEachAndGetTheirOwnAnswers) {
  Program server(loop_);
  Program first(loop_);
  Program second(loop_);
  const auto door = forward_local(text(server.endpoint()));
  first.send(door, "one");
  const Came one = take(server);
  second.send(door, "two");
  const Came two = take(server);
  EXPECT_EQ(one.text, "one");
  EXPECT_NE(one.from, two.from);
  server.send(two.from, "to two");
  server.send(one.from, "to one");
  const Came answer = take(first);
  EXPECT_EQ(answer.text, "to one");
  EXPECT_EQ(answer.from, door);
  EXPECT_EQ(take(second).text, "to two");
  first.send(door, "again");
  EXPECT_EQ(take(server).from, one.from);
  EXPECT_EQ(local_->sources(), 2U);
}

TEST_F(UdpForwardFlow, OnlyTheTargetOfALocalForwardIsHeard) {
  Program server(loop_);
  Program stranger(loop_);
  Program elsewhere(loop_, "127.0.0.2");
  Program program(loop_);
  program.send(forward_local(text(server.endpoint())), "hello");
  const auto flow = take(server).from;
  stranger.send(flow, "another port");
  elsewhere.send(flow, "another address");
  server.send(flow, "answer");
  EXPECT_EQ(take(program).text, "answer") << "what came before it was dropped";
}

TEST_F(UdpForwardFlow, LocalSourcesAreBoundedAndTheirFlowsEnd) {
  Program server(loop_);
  Program first(loop_);
  Program second(loop_);
  Program third(loop_);
  LocalUdpForward::Options options;
  options.max_sources = 2;
  const auto door = forward_local(text(server.endpoint()), options);
  for (Program* program : {&first, &second, &third}) {
    program->send(door, "x");
    take(server);
  }
  EXPECT_EQ(local_->sources(), 2U);
  EXPECT_TRUE(run_until([this] { return host_->flows() == 2; })) << "the exit closes the socket, too";
}

TEST_F(UdpForwardFlow, ASilentLocalSourceIsForgotten) {
  Program server(loop_);
  Program program(loop_);
  LocalUdpForward::Options options;
  options.idle_timeout = 50ms;
  program.send(forward_local(text(server.endpoint()), options), "x");
  take(server);
  EXPECT_TRUE(run_until([this] { return host_->flows() == 0; }));
  EXPECT_EQ(local_->sources(), 0U);
}

TEST_F(UdpForwardFlow, RemoteProgramsHaveASocketEachAndGetTheirOwnAnswers) {
  Program target(loop_);
  Program first(loop_);
  Program second(loop_);
  const auto door = forward_remote(text(target.endpoint()));
  first.send(door, "one");
  const Came one = take(target);
  second.send(door, "");
  const Came two = take(target);
  EXPECT_EQ(one.text, "one");
  EXPECT_EQ(two.text, "");
  EXPECT_NE(one.from, two.from);
  target.send(two.from, std::string(65'507, 'x'));
  target.send(one.from, "to one");
  const Came answer = take(first);
  EXPECT_EQ(answer.text, "to one");
  EXPECT_EQ(answer.from, door);
  EXPECT_EQ(take(second).text.size(), 65'507U);
  EXPECT_EQ(remote_->connections(), 2U);
}

TEST_F(UdpForwardFlow, AListenerAnswersOnlyThoseWhoWrote) {
  Program target(loop_);
  Program program(loop_);
  Program victim(loop_);
  const auto door = forward_remote(text(target.endpoint()));
  program.send(door, "x");
  take(target);
  const auto flow = near_->flow_of(listener_);  // a client that sends where it likes
  flow->send(tunnel::make_destination(victim.endpoint()), as_bytes("not asked for"));
  flow->send(tunnel::make_destination(program.endpoint()), as_bytes("asked for"));
  EXPECT_EQ(take(program).text, "asked for");
  boost::system::error_code ec;
  std::array<char, 10> nothing;
  victim.socket.receive(asio::buffer(nothing), 0, ec);
  EXPECT_EQ(ec, asio::error::would_block);
}

TEST_F(UdpForwardFlow, ATargetThatIsNotThereYetIsReachedOnceItIs) {
  udp::endpoint free;
  {
    Program gone(loop_);
    free = gone.endpoint();
  }
  Program program(loop_);
  const auto door = forward_remote(text(free));
  program.send(door, "lost");
  ASSERT_TRUE(run_until([this] { return remote_->connections() == 1; }));
  ASSERT_TRUE(run_until([this] { return remote_->connections() == 0; })) << "nobody there: given up at once";
  Program late(loop_);
  late.socket.close();
  late.socket.open(udp::v4());
  late.socket.bind(free);
  late.socket.non_blocking(true);
  program.send(door, "there");
  EXPECT_EQ(take(late).text, "there");
}

TEST_F(UdpForwardFlow, AListenerThatIsGivenUpIsClosed) {
  Program target(loop_);
  Program program(loop_);
  const auto door = forward_remote(text(target.endpoint()));
  program.send(door, "x");
  take(target);
  near_->unlisten(listener_, ResetCode::kCancelled);
  EXPECT_TRUE(run_until([this] { return listeners_->size() == 0; }));
  EXPECT_EQ(remote_->connections(), 0U) << "and so are the sockets here";
  program.socket.connect(door);
  program.socket.send(asio::buffer("x", 1));
  boost::system::error_code ec;
  std::array<char, 10> nothing;
  program.socket.receive(asio::buffer(nothing), 0, ec);
  EXPECT_EQ(ec, asio::error::connection_refused);
}

TEST_F(UdpForwardFlow, WhatTheRulesDoNotOpenIsRefused) {
  remote_ = std::make_shared<frontdoor::RemoteForward>(
      loop_.get_executor(), frontdoor::parse_remote_forward("0.0.0.0:5353:127.0.0.1:1/udp").value(),
      [this](const Result<>& answer) { answer_ = answer; });
  (void)near_->listen(remote_->kind(), remote_->bind());
  ASSERT_TRUE(run_until([this] { return answer_.has_value(); }));
  ASSERT_FALSE(*answer_);
  EXPECT_NE(answer_->error().text.find("--allow-listen 0.0.0.0:5353"), std::string::npos);
  EXPECT_EQ(listeners_->size(), 0U);
}

TEST_F(UdpForwardFlow, AnAddressThatIsTakenIsRefused) {
  Program other(loop_);
  remote_ = std::make_shared<frontdoor::RemoteForward>(
      loop_.get_executor(),
      frontdoor::parse_remote_forward(std::to_string(other.endpoint().port()) + ":127.0.0.1:1/udp").value(),
      [this](const Result<>& answer) { answer_ = answer; });
  (void)near_->listen(remote_->kind(), remote_->bind());
  ASSERT_TRUE(run_until([this] { return answer_.has_value(); }));
  ASSERT_FALSE(*answer_);
  EXPECT_NE(answer_->error().text.find("something else has that address"), std::string::npos);
}

TEST_F(UdpForwardFlow, AnExitWithoutUdpTakesNoListenersOfDatagrams) {
  end();
  up_ = false;
  connect(nullptr);
  Program target(loop_);
  forward_remote(text(target.endpoint()));
  ASSERT_FALSE(*answer_);
  EXPECT_NE(answer_->error().text.find("does not listen for UDP"), std::string::npos);
}

}  // namespace
}  // namespace zks::test
