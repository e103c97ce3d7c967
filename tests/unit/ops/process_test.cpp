// SPDX-License-Identifier: MIT
//
// What a program does with its process: ready file, signals, systemd's notifications, limits. Signals that
// end a process are tried on a child.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops/notify.hpp"
#include "ops/ready_file.hpp"
#include "ops/run_main.hpp"
#include "ops/signals.hpp"

namespace zks::ops {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

class Process : public testing::Test {
 protected:
  Process() {
    std::string name = (fs::temp_directory_path() / "zks-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
  }
  ~Process() override { fs::remove_all(directory_); }
  static std::string read(const fs::path& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
  }
  // The wait status of a child that ran `work` and then exited with what it returned.
  static int in_child(int (*work)()) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(work());
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return status;
  }
  fs::path directory_;
};

TEST_F(Process, ReadyFileIsWrittenWholeAndRemoved) {
  const fs::path path = directory_ / "ready";
  std::ofstream(path) << "999\nfrom an earlier process\n";
  {
    ReadyFile file(path);
    EXPECT_FALSE(fs::exists(path));
    ASSERT_TRUE(file.write(42, {"127.0.0.1:1080", "[::1]:1080"}));
    EXPECT_EQ(read(path), "42\n127.0.0.1:1080\n[::1]:1080\n");
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0644U);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(Process, ReadyFileWithoutANameDoesNothing) {
  ReadyFile file("");
  EXPECT_TRUE(file.write(42, {"x"}));
}

TEST_F(Process, ReadyFileInAMissingDirectoryIsAnError) {
  ReadyFile file(directory_ / "no/ready");
  EXPECT_EQ(file.write(42, {}).error().kind, ErrorKind::kIo);
}

TEST_F(Process, TheFirstSignalStopsAndHangupReloads) {
  asio::io_context context;
  int stops = 0;
  int reloads = 0;
  {
    Signals signals(
        context.get_executor(), [&] { ++stops; }, [&] { ++reloads; });
    for (const int number : {SIGHUP, SIGHUP, SIGTERM}) {
      const int before = stops + reloads;
      ::raise(number);
      while (stops + reloads == before) context.run_one();
    }
  }
  EXPECT_EQ(reloads, 2);
  EXPECT_EQ(stops, 1);
  context.run();  // returns: nothing is left to wait for
}

TEST_F(Process, WithoutReloadHangupStops) {
  asio::io_context context;
  int stops = 0;
  Signals signals(context.get_executor(), [&] { ++stops; });
  ::raise(SIGHUP);
  while (stops == 0) context.run_one();
  EXPECT_EQ(stops, 1);
}

TEST_F(Process, NoHandlerRunsAfterDestruction) {
  asio::io_context context;
  int stops = 0;
  {
    Signals signals(context.get_executor(), [&] { ++stops; });
    ::raise(SIGTERM);
  }
  context.run();
  EXPECT_EQ(stops, 0);
}

TEST_F(Process, TheSecondSignalEndsTheProcessAtOnce) {
  const int status = in_child([] {
    asio::io_context context;
    bool stopped = false;
    Signals signals(context.get_executor(), [&] { stopped = true; });
    ::raise(SIGTERM);
    while (!stopped) context.run_one();
    ::raise(SIGTERM);
    context.run();
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

class Notify : public Process {
 protected:
  Notify() : socket_(context_, asio::local::datagram_protocol::endpoint((directory_ / "notify").string())) {
    ::setenv("NOTIFY_SOCKET", (directory_ / "notify").c_str(), 1);
  }
  ~Notify() override {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::unsetenv("WATCHDOG_PID");
  }
  std::string receive() {
    std::string text(256, '\0');
    text.resize(socket_.receive(asio::buffer(text)));
    return text;
  }
  asio::io_context context_;
  asio::local::datagram_protocol::socket socket_;
};

TEST_F(Notify, SystemdHearsOfStartAndEnd) {
  notify_ready("2 relays");
  EXPECT_EQ(receive(), "READY=1\nSTATUS=2 relays");
  notify_status("no relay");
  EXPECT_EQ(receive(), "STATUS=no relay");
  notify_stopping();
  EXPECT_EQ(receive(), "STOPPING=1");
}

TEST_F(Notify, TheWatchdogIsFedWhileTheExecutorRunsAndNoLonger) {
  ::setenv("WATCHDOG_USEC", "2000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  {
    Watchdog watchdog(context_.get_executor());
    EXPECT_EQ(receive(), "WATCHDOG=1");  // at once
    for (int i = 0; i < 3; ++i) {
      context_.run_one();
      EXPECT_EQ(receive(), "WATCHDOG=1");
    }
    EXPECT_EQ(socket_.available(), 0U);
  }
  context_.run();
  EXPECT_EQ(socket_.available(), 0U);
}

TEST_F(Notify, ALoopThatHangsStopsTheWatchdog) {
  ::setenv("WATCHDOG_USEC", "4000", 1);
  asio::io_context hanging;
  Watchdog watchdog(context_.get_executor(), {hanging.get_executor()});
  EXPECT_EQ(receive(), "WATCHDOG=1");
  for (int looks = 0; looks < 5; ++looks) context_.run_one();
  EXPECT_EQ(socket_.available(), 0U) << "the other loop did not run";
  hanging.poll();
  context_.run_one();
  EXPECT_EQ(receive(), "WATCHDOG=1");
  context_.run_one();
  EXPECT_EQ(socket_.available(), 0U);
}

TEST_F(Notify, WithoutAWatchdogNothingIsSent) {
  Watchdog watchdog(context_.get_executor());
  context_.run();
  EXPECT_EQ(socket_.available(), 0U);
}

TEST_F(Process, RunMainPreparesTheProcess) {
  const int status = in_child([] {
    char name[] = "program";
    char* argv[] = {name, nullptr};
    return run_main(
        [](int, char**) {
          rlimit core{};
          ::getrlimit(RLIMIT_CORE, &core);
          rlimit files{};
          ::getrlimit(RLIMIT_NOFILE, &files);
          ::raise(SIGPIPE);  // would end the child
          return core.rlim_cur == 1 && core.rlim_max == 1 && files.rlim_cur == files.rlim_max ? 17 : 1;
        },
        1, argv);
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 17);
}

TEST_F(Process, RunMainTurnsAnExceptionIntoStatus1) {
  char name[] = "program";
  char* argv[] = {name, nullptr};
  testing::internal::CaptureStderr();
  const int status = run_main([](int, char**) -> int { throw std::runtime_error("out of luck"); }, 1, argv);
  EXPECT_EQ(status, 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "program: out of luck\n");
}

}  // namespace
}  // namespace zks::ops
