// SPDX-License-Identifier: MIT
#include "base/log_output.hpp"

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>
#include <system_error>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/background_thread.hpp"

namespace zks::log {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

// What a line takes when somebody reads.
constexpr std::chrono::milliseconds kUsually{50};
constexpr std::chrono::milliseconds kAtOnce{1};

// False when it could not be written as a whole.
bool write_all(std::string_view line) {
  while (!line.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, line.data(), line.size());
    if (count >= 0) {
      line.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {  // somebody who shares the pipe made it so
      pollfd room{STDERR_FILENO, POLLOUT, 0};
      (void)::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

class Output {
 public:
  // Never destroyed: the thread may hang in a write when the program ends.
  static Output& instance() {
    static Output& output = *new Output();
    return output;
  }

  // What was logged is written when this returns, unless that takes long: then nobody waits until it goes on.
  void push(std::string line) {
    std::unique_lock lock(*mutex_);
    const std::size_t size = line.size();
    if (bytes_ + size > kMaxQueuedBytes) {
      ++dropped_;
      return;
    }
    say_dropped();
    bytes_ += size;
    lines_.push_back(std::move(line));
    if (held_) return;
    begin();
    wait_a_moment(lock);
  }

  void set_notice(std::function<std::string(std::uint64_t)> notice) {
    const std::lock_guard lock(*mutex_);
    notice_ = std::move(notice);
  }

  void flush(std::chrono::milliseconds patience) {
    std::unique_lock lock(*mutex_);
    held_ = false;
    begin();
    idle_->wait_for(lock, patience, [this] { return lines_.empty() && !writing_; });
  }

  void go_on() {
    const std::lock_guard lock(*mutex_);
    held_ = false;
    begin();
  }

 private:
  Output() {
    ::pthread_atfork([] { instance().mutex_->lock(); }, [] { instance().mutex_->unlock(); },
                     [] { instance().in_child(); });
  }

  // The parent writes what is queued. Locks and conditions of threads that are not here are left behind.
  void in_child() {
    (void)mutex_.release();
    (void)wake_.release();
    (void)idle_.release();
    mutex_ = std::make_unique<std::mutex>();
    wake_ = std::make_unique<std::condition_variable>();
    idle_ = std::make_unique<std::condition_variable>();
    lines_.clear();
    bytes_ = dropped_ = 0;
    running_ = writing_ = stuck_ = false;
    held_ = true;
  }

  // Never more than a part of the time, where a reader is slow.
  void wait_a_moment(std::unique_lock<std::mutex>& lock) {
    const TimePoint asked = std::chrono::steady_clock::now();
    if (stuck_ || asked < wait_again_) return;
    const std::uint64_t last = written_ + lines_.size() + (writing_ ? 1 : 0);
    stuck_ = !idle_->wait_for(lock, kUsually, [this, last] { return written_ >= last; });
    const auto took = std::chrono::steady_clock::now() - asked;
    if (took > kAtOnce) wait_again_ = asked + 20 * took;
  }

  // Where the lines were that are missing.
  void say_dropped() {
    if (dropped_ == 0) return;
    if (notice_) {
      lines_.push_back(notice_(dropped_));
      bytes_ += lines_.back().size();
    }
    dropped_ = 0;
  }

  void begin() {
    if (lines_.empty()) return;
    wake_->notify_one();
    if (running_) return;
    try {
      run_in_background([this] { run(); });
      running_ = true;
    } catch (const std::system_error&) {  // no room for a thread; the next line tries again
    }
  }

  void run() {
    std::unique_lock lock(*mutex_);
    for (;;) {
      wake_->wait(lock, [this] { return !lines_.empty(); });
      const std::string line = std::move(lines_.front());
      lines_.pop_front();
      writing_ = true;
      lock.unlock();
      const bool written = write_all(line);
      lock.lock();
      writing_ = false;
      ++written_;
      bytes_ -= line.size();
      if (!written) ++dropped_;
      if (written && lines_.empty()) say_dropped();
      stuck_ = stuck_ && !lines_.empty();
      idle_->notify_all();
    }
  }

  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
  std::unique_ptr<std::condition_variable> wake_ = std::make_unique<std::condition_variable>();
  std::unique_ptr<std::condition_variable> idle_ = std::make_unique<std::condition_variable>();
  std::deque<std::string> lines_;
  std::size_t bytes_ = 0;  // of lines_ and of the one that is being written
  std::uint64_t dropped_ = 0;
  std::uint64_t written_ = 0;
  bool stuck_ = false;    // a line took longer than kUsually, and not all are written yet
  TimePoint wait_again_;  // not before
  std::function<std::string(std::uint64_t)> notice_;
  bool running_ = false;
  bool writing_ = false;
  bool held_ = false;
};

}  // namespace

void write_line(std::string line) {
  Output::instance().push(std::move(line));
}

void set_notice(std::function<std::string(std::uint64_t dropped)> notice) {
  Output::instance().set_notice(std::move(notice));
}

void flush(std::chrono::milliseconds patience) {
  Output::instance().flush(patience);
}

void go_on() {
  Output::instance().go_on();
}

}  // namespace zks::log
