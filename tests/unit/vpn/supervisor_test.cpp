// SPDX-License-Identifier: MIT
//
// vpn's parent, in a network namespace of its own, with a worker that asks for more than it should get.
#include "vpn/supervisor.hpp"

#include <algorithm>
#include <csignal>

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/temporary_directory.hpp"
#include "vpn/supervisor_wire.hpp"

namespace zks::vpn {
namespace {

using Json = nlohmann::json;

constexpr int kAnswerMilliseconds = 10'000;
constexpr int kNotSetUp = 99;

// What became of both processes: the parent's status, and whether something was left to undo.
struct Ended {
  int status = 0;
  bool left = false;
  friend bool operator==(const Ended&, const Ended&) = default;
};
std::ostream& operator<<(std::ostream& out, const Ended& ended) {
  return out << "status " << ended.status << (ended.left ? ", something left" : ", nothing left");
}

// The worker's questions. It can't use EXPECT, as it is another process: what fails ends it with kWrong.
constexpr int kWrong = 98;
void require(bool right, const char* what) {
  if (right) return;
  (void)std::fprintf(stderr, "the worker: not %s\n", what);
  ::_exit(kWrong);
}
Message ask(const Worker& worker, const Json& question) {
  require(send_message(worker.parent.get(), question).has_value(), "sent");
  pollfd waiting{worker.parent.get(), POLLIN, 0};
  require(::poll(&waiting, 1, kAnswerMilliseconds) == 1, "answered");
  auto message = receive_message(worker.parent.get(), Descriptors::kOne);
  require(message && *message && (*message)->body["id"] == question["id"], "an answer to this");
  return std::move(**message);
}
template <class T>
T option(const Fd& socket, int name) {
  T value{};
  socklen_t size = sizeof value;
  require(::getsockopt(socket.get(), SOL_SOCKET, name, &value, &size) == 0, "a socket");
  return value;
}

class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::access("/dev/net/tun", R_OK | W_OK) != 0) {
      GTEST_SKIP() << "takes root and /dev/net/tun, for a network namespace with a device";
    }
    options.plan.tun = "zks0";
    options.plan.dns = false;  // resolv.conf is not in the namespace
    options.journal_directory = directory.path() / "vpn";
    options.state_dir = "/some/where";
    options.targets = {{"192.0.2.1", 443}, {"2001:db8::1", 8443}};
  }

  // Runs vpn's two processes. `worker` returns its status, and `afterwards` runs in the parent at the end.
  Ended run(const std::function<int(const Worker&)>& worker, const std::function<void()>& afterwards = {}) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (::unshare(CLONE_NEWNET) != 0) ::_exit(kNotSetUp);
      const auto part = supervise(options);
      if (!part) {
        (void)std::fprintf(stderr, "%s\n", part.error().text.c_str());
        ::_exit(kNotSetUp);
      }
      if (part->worker) {
        if (prepares) prepared(*part->worker);
        ::_exit(worker(*part->worker));
      }
      if (afterwards) afterwards();
      ::_exit(part->status);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status));
    return {WEXITSTATUS(status), has_journal()};
  }

  bool has_journal() const {
    return std::ranges::any_of(std::filesystem::directory_iterator(options.journal_directory),
                               [](const auto& entry) { return entry.path().extension() == ".journal"; });
  }
  // What run() does in a namespace without returning from it.
  static void prepared(const Worker& worker) {
    require(send_message(worker.parent.get(), {{"do", "prepared"}}).has_value(), "sent");
    pollfd waiting{worker.parent.get(), POLLIN, 0};
    require(::poll(&waiting, 1, kAnswerMilliseconds) == 1, "answered");
    const auto message = receive_message(worker.parent.get(), Descriptors::kOne);
    require(message && *message && (*message)->body["do"] == "begin", "told to begin");
    const auto text = read_file((*message)->fd);
    require(text && Json::parse(*text)["tun"] == "zks0", "told what was set up");
  }
  static void up(const Worker& worker) {
    require(send_message(worker.parent.get(), {{"do", "up"}, {"lines", {"zks0"}}}).has_value(), "sent");
  }

  test::TemporaryDirectory directory;
  SupervisorOptions options;
  bool prepares = true;  // the worker
};

TEST_F(SupervisorTest, GivesSocketsThatMayLeave) {
  const auto worker = [](const Worker& it) {
    up(it);
    const Message ipv4 = ask(it, {{"id", 1}, {"do", "socket"}, {"family", 4}});
    require(option<std::uint32_t>(ipv4.fd, SO_MARK) == host::kMark, "marked");
    require(option<int>(ipv4.fd, SO_DOMAIN) == AF_INET && option<int>(ipv4.fd, SO_TYPE) == SOCK_STREAM,
            "TCP");
    const Message ipv6 = ask(it, {{"id", 2}, {"do", "socket"}, {"family", 6}});
    require(option<int>(ipv6.fd, SO_DOMAIN) == AF_INET6, "IPv6");
    return 3;
  };
  EXPECT_EQ(run(worker), (Ended{3, true}));  // whatever a worker says at its end: it stays closed
}

// Or a worker that was taken over would take root's own down at its limit.
TEST_F(SupervisorTest, KeepsNoDescriptorOfTheWorkers) {
  const auto worker = [](const Worker& it) {
    up(it);
    const std::filesystem::path parents("/proc/" + std::to_string(::getppid()) + "/fd");
    const auto count = [&] { return std::distance(std::filesystem::directory_iterator(parents), {}); };
    (void)ask(it, {{"id", 1}, {"do", "socket"}, {"family", 4}});
    const auto before = count();
    for (int i = 0; i < 20; ++i) {
      require(send_message(it.parent.get(), {{"do", "nothing"}}, it.parent.get()).has_value(), "sent");
    }
    (void)ask(it, {{"id", 2}, {"do", "socket"}, {"family", 4}});
    // The answer is here before its own descriptor is closed there.
    for (int i = 0; i < 500 && count() > before; ++i) ::usleep(10'000);
    require(count() <= before, "no more descriptors than before");
    return 3;
  };
  EXPECT_EQ(run(worker), (Ended{3, true}));
}

TEST_F(SupervisorTest, SaysWhereTheNamedRelaysAreAndNobodyElse) {
  const auto worker = [](const Worker& it) {
    up(it);
    const auto look_up = [&](const char* host, int port) {
      return ask(it, {{"id", 7}, {"do", "look_up"}, {"host", host}, {"port", port}}).body;
    };
    require(look_up("192.0.2.1", 443)["addresses"] == Json({"192.0.2.1"}), "its address");
    require(look_up("2001:db8::1", 8443)["addresses"] == Json({"2001:db8::1"}), "its address");
    require(look_up("192.0.2.1", 8443).contains("error"), "refused: another port");
    require(look_up("192.0.2.2", 443).contains("error"), "refused: another host");
    require(look_up("relay.example", 443).contains("error"), "refused: a name");
    require(look_up("", 0).contains("error"), "refused: nothing");
    return 0;
  };
  EXPECT_EQ(run(worker), (Ended{1, true}));  // a worker that ends by itself is a failure
}

TEST_F(SupervisorTest, IsNotUpsetByWhatIsNoQuestion) {
  const auto worker = [](const Worker& it) {
    up(it);
    for (const char* text : {R"({"do":7})", R"({"do":"undo","id":1})", R"({"id":"x"})",
                             R"({"do":["socket"]})", R"({"do":"up","lines":[7,null,{}]})"}) {
      require(send_message(it.parent.get(), Json::parse(text)).has_value(), "sent");
    }
    for (const std::string& bytes : {std::string("nonsense"), std::string("[1]"), std::string(20'000, 'x')}) {
      require(::send(it.parent.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0, "sent");
    }
    const Message answer = ask(it, {{"id", 2}, {"do", "socket"}, {"family", 4}});
    require(static_cast<bool>(answer.fd), "answered as before");
    return 4;
  };
  EXPECT_EQ(run(worker), (Ended{4, true}));
}

TEST_F(SupervisorTest, UndoesWhenTheOperatorEndsIt) {
  options.on_up = [](const std::vector<std::string>& lines) -> Result<> {
    if (lines == std::vector<std::string>{"zks0"}) ::kill(::getpid(), SIGTERM);
    return {};
  };
  bool told = false;
  options.on_stopping = [&] { told = true; };
  const auto worker = [](const Worker& it) {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, nullptr);
    up(it);
    int signal = 0;
    sigwait(&ends, &signal);
    return 0;
  };
  EXPECT_EQ(run(worker, [&] { require(told, "told that it stops"); }), (Ended{0, false}));
}

TEST_F(SupervisorTest, AWorkerThatWasKilledLeavesItClosedUntilItIsTakenDown) {
  const auto worker = [](const Worker& it) {
    up(it);
    return ::raise(SIGKILL);
  };
  const auto afterwards = [this] {
    const auto first = take_down(options.journal_directory, "");
    require(first && *first, "something to take down");
    const auto second = take_down(options.journal_directory, "");
    require(second && !*second, "nothing left");
  };
  EXPECT_EQ(run(worker, afterwards), (Ended{1, false}));
}

TEST_F(SupervisorTest, WithoutAKillSwitchADeadWorkerLeavesNothing) {
  options.plan.kill_switch = false;
  EXPECT_EQ(run([](const Worker&) { return ::raise(SIGKILL); }), (Ended{1, false}));
}

TEST_F(SupervisorTest, AnErrorBeforeTheFirstSessionLeavesItAsItWas) {
  EXPECT_EQ(run([](const Worker&) { return 3; }), (Ended{3, false}));
  EXPECT_EQ(run([](const Worker&) { return ::raise(SIGKILL); }), (Ended{1, false}));
  options.stay_closed = true;
  EXPECT_EQ(run([](const Worker&) { return 3; }), (Ended{3, true}));
}

TEST_F(SupervisorTest, NothingIsChangedBeforeTheWorkerIsPrepared) {
  prepares = false;
  EXPECT_EQ(run([this](const Worker&) { return has_journal() || host::is_set_up() ? 99 : 2; }),
            (Ended{2, false}));
  EXPECT_EQ(run([](const Worker&) { return 0; }), (Ended{1, false}));
  EXPECT_EQ(run([](const Worker&) { return ::raise(SIGSEGV); }), (Ended{1, false}));
  EXPECT_EQ(run([](const Worker&) {
              ::kill(::getppid(), SIGTERM);
              ::pause();
              return 0;
            }),
            (Ended{0, false}));
}

// One that hangs says nothing; one that says it without end is heard once a second.
TEST_F(SupervisorTest, HearsThatTheWorkerIsAlive) {
  int heard = 0;
  options.on_alive = [&heard] { ++heard; };
  const auto began = std::chrono::steady_clock::now();
  const auto alive = [](const Worker& it) {
    for (int i = 0; i < 50; ++i) (void)send_message(it.parent.get(), {{"do", "alive"}});
    up(it);
    return 0;
  };
  EXPECT_EQ(run(alive,
                [&] {
                  const auto took = std::chrono::steady_clock::now() - began;
                  require(heard >= 1 && heard <= 1 + took / std::chrono::seconds(1), "once a second");
                }),
            (Ended{1, true}));
}

// What a first vpn left closed is not opened by an error of the second.
TEST_F(SupervisorTest, WhatWasClosedStaysClosed) {
  const auto closed = [](const Worker& it) {
    up(it);
    return 1;
  };
  const auto again = [this] {
    const auto part = supervise(options);
    if (part && part->worker) {
      prepared(*part->worker);
      ::_exit(3);
    }
    require(part && part->status == 3 && host::is_set_up(), "closed as before");
  };
  EXPECT_EQ(run(closed, again), (Ended{1, true}));
}

TEST_F(SupervisorTest, IsOneAtATimeInANetworkNamespace) {
  const auto instance = host::Instance::take(options.journal_directory, "/some/where");
  ASSERT_TRUE(instance);
  for (const char* name : {"vpn", "of a container"}) {
    options.journal_directory = directory.path() / name;
    const auto part = supervise(options);
    ASSERT_FALSE(part);
    EXPECT_EQ(part.error().kind, ErrorKind::kUsage);
    EXPECT_NE(part.error().text.find("process " + std::to_string(::getpid())), std::string::npos)
        << part.error().text;
    EXPECT_EQ(part.error().text.find("/some/where") != std::string::npos, name == std::string("vpn"));
    const auto down = take_down(options.journal_directory, "");
    ASSERT_FALSE(down);
    EXPECT_EQ(down.error().kind, ErrorKind::kUsage);
  }
  // In another namespace the same directory hinders nobody.
  options.journal_directory = directory.path() / "vpn";
  EXPECT_EQ(run([](const Worker&) { return 3; }), (Ended{3, false}));
}

}  // namespace
}  // namespace zks::vpn
