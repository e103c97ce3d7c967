// SPDX-License-Identifier: MIT
//
// Lines on their way to a pipe that nobody reads.
#include "base/log_output.hpp"

#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace zks::log {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 20s;

// Standard error as a pipe of one page.
class Pipe {
 public:
  Pipe() {
    flush(kPatience);  // what was for the old one
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
    before_ = ::dup(STDERR_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[1]);
    read_end_ = ends[0];
  }
  ~Pipe() {
    restore();
    ::close(read_end_);
  }
  // Everything until nobody can write any more: what this process has queued, too.
  std::string read_all() {
    std::string out;
    std::thread reader([&] {
      char buffer[4096];
      for (ssize_t got = 0; (got = ::read(read_end_, buffer, sizeof buffer)) > 0;) {
        out.append(buffer, static_cast<std::size_t>(got));
      }
    });
    flush(kPatience);
    restore();
    reader.join();
    return out;
  }

 private:
  void restore() {
    if (before_ < 0) return;
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    before_ = -1;
  }
  int before_ = -1;
  int read_end_ = -1;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

class LogOutputTest : public testing::Test {
 protected:
  void SetUp() override {
    set_notice([](std::uint64_t dropped) { return "dropped " + std::to_string(dropped) + "\n"; });
  }
  void TearDown() override { set_notice(nullptr); }
};

TEST_F(LogOutputTest, LinesComeInTheirOrder) {
  Pipe pipe;
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    expected += line;
    write_line(line);
  }
  EXPECT_EQ(pipe.read_all(), expected);
}

TEST_F(LogOutputTest, APipeThatNobodyReadsStopsNobodyAndWhatIsDroppedIsTold) {
  constexpr std::size_t kLines = 20'000;
  const std::string filling(100, '.');
  Pipe pipe;
  for (std::size_t i = 0; i < kLines; ++i) write_line(std::to_string(i) + filling + "\n");
  flush(10ms);  // does not wait for ever
  const auto lines = lines_of(pipe.read_all());
  EXPECT_LT(lines.size(), kLines);
  // Each line comes, or is counted where it is missing.
  constexpr std::string_view kDropped = "dropped ";
  std::size_t next = 0;
  for (const std::string& line : lines) {
    if (line.starts_with(kDropped)) {
      next += std::stoul(line.substr(kDropped.size()));
    } else {
      ASSERT_EQ(line, std::to_string(next++) + filling);
    }
  }
  EXPECT_EQ(next, kLines);
}

TEST_F(LogOutputTest, TheNoticeStandsWhereTheLinesAreMissing) {
  const std::string filling(1000, '.');
  Pipe pipe;
  for (int i = 0; i < 1000; ++i) write_line(filling + "\n");
  std::string text;
  std::thread later([&] { text = pipe.read_all(); });
  later.join();
  Pipe again;
  write_line("the next\n");
  EXPECT_EQ(again.read_all(), "the next\n") << "it was told before";
  EXPECT_NE(text.find("dropped "), std::string::npos);
}

TEST_F(LogOutputTest, AChildOfForkWritesItsOwnLinesOnceItGoesOn) {
  Pipe pipe;
  write_line("of the parent\n");
  const pid_t child = ::fork();
  if (child == 0) {
    write_line("of the child\n");
    const bool held = ::access("/proc/self/task", F_OK) == 0 &&
                      std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                                    std::filesystem::directory_iterator()) == 1;
    go_on();
    flush(kPatience);
    ::_exit(held ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "no thread before it goes on";
  const std::string text = pipe.read_all();
  EXPECT_EQ(lines_of(text).size(), 2U) << text;
  EXPECT_NE(text.find("of the parent\n"), std::string::npos);
  EXPECT_NE(text.find("of the child\n"), std::string::npos);
}

}  // namespace
}  // namespace zks::log
