// SPDX-License-Identifier: MIT
#include "vpn/parent_link.hpp"

#include <array>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/spawn.hpp"

namespace zks::vpn {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;

class ParentLinkTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    parent = Fd(ends[0]);
    link = std::make_shared<ParentLink>(loop.get_executor(), Fd(ends[1]), [this] { ++gone; });
    link->start();
  }
  void TearDown() override {
    link->stop();
    run();
  }
  void run() {
    loop.restart();
    loop.poll();
  }
  // What the worker asked last; null: nothing.
  nlohmann::json asked() {
    run();
    const auto message = receive_message(parent.get());
    return message && *message ? (*message)->body : nlohmann::json();
  }
  void tell(const nlohmann::json& body, int fd = -1) {
    ASSERT_TRUE(send_message(parent.get(), body, fd));
    run();
  }

  // What came of a question, as text: "5 kind: text", or the addresses.
  template <class T, class Show>
  static asio::awaitable<void> note(net::Task<T> task, std::vector<std::string>* out, Show show) {
    auto result = co_await std::move(task);
    out->push_back(result ? show(*result) : "error: " + result.error().text);
  }
  void open(tcp protocol) {
    const auto show = [](tcp::socket& socket) {
      return std::string(socket.is_open() ? "a socket" : "no socket");
    };
    asio::co_spawn(loop, note(link->open(protocol), &outcomes, show), net::RethrowFailure{});
  }
  void look_up(const char* host, std::chrono::milliseconds patience = 5s) {
    const auto show = [](std::vector<tcp::endpoint>& found) {
      std::string out;
      for (const auto& endpoint : found) out += endpoint.address().to_string() + " ";
      return out;
    };
    const auto deadline = std::chrono::steady_clock::now() + patience;
    asio::co_spawn(loop, note(link->look_up(host, 443, deadline), &outcomes, show), net::RethrowFailure{});
  }

  asio::io_context loop;
  Fd parent;
  int gone = 0;
  std::shared_ptr<ParentLink> link;
  std::vector<std::string> outcomes;
};

TEST_F(ParentLinkTest, GetsASocketOfTheFamilyThatItAsksFor) {
  open(tcp::v6());
  const auto question = asked();
  EXPECT_EQ(question["do"], "socket");
  EXPECT_EQ(question["family"], 6);
  const Fd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  tell({{"id", question["id"]}}, socket.get());
  EXPECT_EQ(outcomes, std::vector<std::string>{"a socket"});
  open(tcp::v4());
  EXPECT_EQ(asked()["family"], 4);
}

TEST_F(ParentLinkTest, AnAnswerWithoutASocketIsAnError) {
  open(tcp::v4());
  tell({{"id", asked()["id"]}});
  ASSERT_EQ(outcomes.size(), 1U);
  EXPECT_TRUE(outcomes[0].starts_with("error: ")) << outcomes[0];
}

TEST_F(ParentLinkTest, GetsTheAddressesInTheirOrder) {
  look_up("relay.example");
  const auto question = asked();
  EXPECT_EQ(question["do"], "look_up");
  EXPECT_EQ(question["host"], "relay.example");
  EXPECT_EQ(question["port"], 443);
  tell({{"id", question["id"]}, {"addresses", {"2001:db8::1", "nonsense", "192.0.2.1"}}});
  EXPECT_EQ(outcomes, std::vector<std::string>{"2001:db8::1 192.0.2.1 "});
}

TEST_F(ParentLinkTest, PassesOnWhyThereAreNone) {
  look_up("relay.example");
  tell({{"id", asked()["id"]}, {"error", "no relay of this link"}});
  look_up("relay.example");
  tell({{"id", asked()["id"]}, {"addresses", nlohmann::json::array()}});
  EXPECT_EQ(outcomes, (std::vector<std::string>{"error: no relay of this link",
                                                "error: relay.example has no address"}));
}

TEST_F(ParentLinkTest, AnswersMayComeInAnyOrderAndForNobody) {
  look_up("one.example");
  look_up("two.example");
  const auto one = asked();
  const auto two = asked();
  tell({{"id", 4711}, {"addresses", {"192.0.2.99"}}});
  tell({{"id", two["id"]}, {"addresses", {"192.0.2.2"}}});
  tell({{"id", one["id"]}, {"addresses", {"192.0.2.1"}}});
  EXPECT_EQ(outcomes, (std::vector<std::string>{"192.0.2.2 ", "192.0.2.1 "}));
}

TEST_F(ParentLinkTest, DoesNotWaitForEver) {
  look_up("relay.example", 20ms);
  loop.restart();
  while (outcomes.empty() && loop.run_one_for(5s) > 0) {
  }
  EXPECT_EQ(outcomes, std::vector<std::string>{"error: the parent process does not answer"});
}

TEST_F(ParentLinkTest, NoticesThatTheParentIsGone) {
  look_up("relay.example");
  run();
  parent = Fd();
  run();
  run();
  EXPECT_EQ(gone, 1);
  open(tcp::v4());
  run();
  ASSERT_EQ(outcomes.size(), 2U);
  EXPECT_TRUE(outcomes[0].starts_with("error: ") && outcomes[1].starts_with("error: "));
}

TEST_F(ParentLinkTest, TellsWhatIsForTheReadyFile) {
  link->tell_up({"127.0.0.1:1080", "zks0"});
  EXPECT_EQ(asked(), nlohmann::json::parse(R"({"do":"up","lines":["127.0.0.1:1080","zks0"]})"));
  link->stop();
  link->tell_up({"again"});
  EXPECT_EQ(gone, 0);
}

}  // namespace
}  // namespace zks::vpn
