// SPDX-License-Identifier: MIT
//
// The control socket: what may be asked, who gets the socket's file, and a server with real connections.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops/control_request.hpp"
#include "ops/control_server.hpp"

namespace zks::ops {
namespace {

namespace fs = std::filesystem;

TEST(ControlRequestTest, StatusAndNothingElse) {
  EXPECT_TRUE(parse_control_request(R"({"request":"status"})"));
  EXPECT_TRUE(parse_control_request(R"( {"later":[1,2],"request":"status"} )"));
  const std::string deep(2000, '[');
  for (const std::string& bad :
       {std::string(), std::string("status"), std::string("[]"), std::string("{}"),
        std::string("{\"request\":1}"), std::string("{\"request\":\"stop\"}"),
        std::string("{\"request\":\"status\"} x"), deep, std::string("{\"request\":\"\xff\"}"),
        std::string("{\"request\":\"status\"")}) {
    const auto parsed = parse_control_request(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kProtocol);
  }
}

TEST(ControlRequestTest, IsBounded) {
  std::string long_one = R"({"request":"status"})";
  long_one.append(kMaxControlRequestBytes - long_one.size(), ' ');
  EXPECT_TRUE(parse_control_request(long_one));
  EXPECT_FALSE(parse_control_request(long_one + " "));
}

TEST(ControlRequestTest, AnErrorIsJson) {
  EXPECT_EQ(control_error("a \"b\" \n\xff"), R"({"error":"a \"b\" ??"})");
}

class SocketFileTest : public testing::Test {
 protected:
  SocketFileTest() {
    std::string name = (fs::temp_directory_path() / "zks-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
  }
  ~SocketFileTest() override { fs::remove_all(directory_); }

  // A process that made the socket and was killed.
  void leave_stale(const fs::path& path) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const auto file = SocketFile::create(path);
      if (!file) ::_exit(1);
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_TRUE(fs::is_socket(path));
  }

  fs::path directory_;
};

TEST_F(SocketFileTest, IsClosedToOthersAndGoneAtTheEnd) {
  const fs::path path = directory_ / "control";
  {
    const auto file = SocketFile::create(path);
    ASSERT_TRUE(file) << file.error().text;
    struct stat found {};
    ASSERT_EQ(::stat(path.c_str(), &found), 0);
    EXPECT_TRUE(S_ISSOCK(found.st_mode));
    EXPECT_EQ(found.st_mode & 0777, 0600U);
    EXPECT_TRUE(connect_socket(path));
  }
  EXPECT_TRUE(fs::is_empty(directory_));
  const auto nobody = connect_socket(path);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().kind, ErrorKind::kClosed);
}

TEST_F(SocketFileTest, ALiveOneIsNotStolen) {
  const fs::path path = directory_ / "control";
  const auto first = SocketFile::create(path);
  ASSERT_TRUE(first);
  const auto second = SocketFile::create(path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(second.error().text, testing::HasSubstr("a running program has it"));
  EXPECT_TRUE(connect_socket(path));
}

TEST_F(SocketFileTest, AStaleOneIsReplaced) {
  const fs::path path = directory_ / "control";
  leave_stale(path);
  const auto nobody = connect_socket(path);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().kind, ErrorKind::kClosed);
  const auto file = SocketFile::create(path);
  ASSERT_TRUE(file) << file.error().text;
  EXPECT_TRUE(connect_socket(path));
}

TEST_F(SocketFileTest, OtherFilesAreLeftAlone) {
  const fs::path path = directory_ / "control";
  std::ofstream(path) << "mine";
  const auto file = SocketFile::create(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind, ErrorKind::kUsage);
  EXPECT_EQ(fs::file_size(path), 4U);
  fs::create_symlink(directory_ / "target", directory_ / "link");
  EXPECT_FALSE(SocketFile::create(directory_ / "link"));
  EXPECT_FALSE(SocketFile::create(directory_ / "nowhere" / "control"));
}

TEST_F(SocketFileTest, WhatTheDeadLeftInADirectoryIsSweptAndTheLivingStay) {
  const fs::path own = directory_ / "control";
  const auto living = SocketFile::create_in(own, "living");
  ASSERT_TRUE(living) << living.error().text;
  leave_stale(own / "dead-1.sock");
  const auto next = SocketFile::create_in(own, "next");
  ASSERT_TRUE(next);
  EXPECT_THAT(list_sockets(own), testing::ElementsAre(living->path(), next->path()));
  EXPECT_FALSE(fs::exists(own / "dead-1.sock.lock"));
  EXPECT_EQ(fs::status(own).permissions(), fs::perms::owner_all);
}

TEST_F(SocketFileTest, DirectoriesMayBeDeep) {
  fs::path deep = directory_;
  for (int i = 0; i < 6; ++i) deep /= std::string(40, 'd');
  fs::create_directories(deep);
  const auto file = SocketFile::create(deep / "control");
  ASSERT_TRUE(file) << file.error().text;
  EXPECT_TRUE(connect_socket(deep / "control"));
  EXPECT_FALSE(SocketFile::create(deep / std::string(200, 'n')));
}

TEST(ControlServerTest, OnlyThisUserAndRootMayAsk) {
  EXPECT_TRUE(may_ask(1000, 1000));
  EXPECT_TRUE(may_ask(0, 1000));
  EXPECT_FALSE(may_ask(1001, 1000));
  EXPECT_FALSE(may_ask(1000, 0));
}

class ControlServerRunning : public SocketFileTest {
 protected:
  ControlServerRunning() : path_(directory_ / "control") {
    auto file = SocketFile::create(path_);
    server_ = ControlServer::start(io_.get_executor(), std::move(*file), [this] {
      ++asked_;
      return answer_;
    });
    thread_ = std::thread([this] { io_.run(); });
  }
  ~ControlServerRunning() override {
    boost::asio::post(io_, [this] { server_->stop(); });
    io_.stop();
    thread_.join();
  }
  // What comes back for `request`, until the end.
  std::string ask(std::string_view request, bool finish = true) {
    const auto fd = connect_socket(path_);
    if (!fd) return "no connection";
    ::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL);
    if (finish) ::shutdown(fd->get(), SHUT_WR);
    std::string out;
    char piece[4096];
    for (ssize_t count = 0; (count = ::recv(fd->get(), piece, sizeof piece, 0)) > 0;)
      out.append(piece, static_cast<std::size_t>(count));
    return out;
  }

  const fs::path path_;
  boost::asio::io_context io_;
  std::string answer_ = R"({"state":"up"})";
  std::atomic<int> asked_{0};
  std::shared_ptr<ControlServer> server_;
  std::thread thread_;
};

TEST_F(ControlServerRunning, AnswersALineWithALine) {
  EXPECT_EQ(ask("{\"request\":\"status\"}\n", false), answer_ + "\n");
  const auto asked = ask_status(path_);
  ASSERT_TRUE(asked) << asked.error().text;
  EXPECT_EQ(*asked, answer_);
}

TEST_F(ControlServerRunning, LongAnswersArriveWhole) {
  answer_ = std::string(2 * 1024 * 1024, 'a');
  const auto asked = ask_status(path_);
  ASSERT_TRUE(asked) << asked.error().text;
  EXPECT_EQ(*asked, answer_);
}

TEST_F(ControlServerRunning, OtherRequestsAreErrorsAndAskNobody) {
  EXPECT_THAT(ask("{\"request\":\"stop\"}\n"), testing::HasSubstr("no such request"));
  EXPECT_THAT(ask("\n"), testing::HasSubstr("not a JSON object"));
  EXPECT_THAT(ask(std::string(kMaxControlRequestBytes, 'x')), testing::HasSubstr("too long"));
  EXPECT_EQ(ask("{\"request\":\"status\"}"), "") << "no line";
  EXPECT_EQ(ask(""), "");
  EXPECT_EQ(asked_, 0);
}

TEST_F(ControlServerRunning, ManyConnectionsLeaveItWell) {
  std::vector<Fd> silent;
  for (int i = 0; i < 100; ++i) {
    auto fd = connect_socket(path_);
    if (fd) silent.push_back(std::move(*fd));
  }
  // Beyond the limit they are closed at once: the last one reads its end.
  char byte = 0;
  EXPECT_EQ(::recv(silent.back().get(), &byte, 1, 0), 0);
  silent.clear();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!ask_status(path_) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(ask_status(path_));
}

}  // namespace
}  // namespace zks::ops
