// SPDX-License-Identifier: MIT
#include "link.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "net/wakeup.hpp"

namespace zks::sim {
namespace {

using carrier::Buffer;
using carrier::MessageType;
using carrier::Task;
using std::chrono::steady_clock;
using TimePoint = steady_clock::time_point;

constexpr std::chrono::seconds kCloseTimeout{3};

// One way: written at one end, read at the other.
struct Way {
  explicit Way(const asio::any_io_executor& executor) : readable(executor), writable(executor) {}

  struct Message {
    MessageType type;
    Bytes bytes;
    TimePoint begins;  // its first byte arrives
    TimePoint due;     // its last
  };
  std::deque<Message> messages;
  std::size_t bytes = 0;  // of all of them
  TimePoint sent_at;      // the last of them has passed the narrowest place
  std::optional<std::uint16_t> close_code;
  TimePoint close_due;
  net::Wakeup readable;
  net::Wakeup writable;
};

class PathLink final : public Link {
 public:
  PathLink(const asio::any_io_executor& executor, const Path& path)
      : executor_(executor),
        path_(path),
        buffer_bytes_(
            std::clamp<std::size_t>(path.bytes_per_second / 4, kLeastBufferBytes, kMostBufferBytes)),
        ways_{Way(executor), Way(executor)} {}

  void stall(bool on) override {
    stalled_ = on;
    wake();
  }
  void cut() override {
    cut_ = true;
    for (Way& way : ways_) {
      way.messages.clear();
      way.bytes = 0;
    }
    wake();
  }
  bool is_cut() const override { return cut_; }

  const asio::any_io_executor& executor() const { return executor_; }

  Task<MessageType> read(std::size_t from, Buffer& buffer) {
    Way& way = ways_[from];
    while (!cut_ && !is_ready(way)) {
      if (const auto due = next_due(way)) {
        co_await way.readable.wait_until(*due);
      } else {
        co_await way.readable.wait();
      }
    }
    if (cut_) co_return closed(0);
    if (way.messages.empty()) {
      const std::uint16_t code = *way.close_code;
      cut();  // like the answer to a WebSocket close, after which nothing goes either way
      co_return closed(code);
    }
    const Way::Message message = std::move(way.messages.front());
    way.messages.pop_front();
    way.bytes -= message.bytes.size();
    way.writable.notify();
    buffer.clear();
    const asio::mutable_buffer space = buffer.prepare(message.bytes.size());
    std::copy(message.bytes.begin(), message.bytes.end(), static_cast<std::uint8_t*>(space.data()));
    buffer.commit(message.bytes.size());
    co_return message.type;
  }

  Task<> write(std::size_t to, MessageType type, ByteView bytes) {
    Way& way = ways_[to];
    while (!cut_ && !way.close_code && way.bytes >= buffer_bytes_) co_await way.writable.wait();
    if (cut_ || way.close_code) co_return closed(0);
    const TimePoint begins = arrival(way, 0);
    way.messages.push_back({type, Bytes(bytes.begin(), bytes.end()), begins, arrival(way, bytes.size())});
    way.bytes += bytes.size();
    way.readable.notify();
    co_return Result<>();
  }

  // Like a WebSocket's: waits until the other end has read the close, at most 3 s, then everything is cut.
  Task<> close(std::size_t to, std::uint16_t code) {
    Way& way = ways_[to];
    if (cut_ || way.close_code) co_return closed(0);
    way.close_code = code;
    way.close_due = arrival(way, 0);
    way.readable.notify();
    const auto deadline = steady_clock::now() + kCloseTimeout;
    while (!cut_ && steady_clock::now() < deadline) co_await way.writable.wait_until(deadline);
    if (cut_) co_return Result<>();
    cut();
    co_return make_error(ErrorKind::kTimeout, "the other end did not read the close");
  }

  bool arriving(std::size_t from) const {
    const Way& way = ways_[from];
    return !cut_ && !stalled_ && !way.messages.empty() && way.messages.front().begins <= steady_clock::now();
  }

  // A kernel hears of a message piece by piece, one way later than the other end has it.
  std::size_t unsent_bytes(std::size_t to) const {
    const auto now = steady_clock::now() - path_.delay;
    std::size_t bytes = 0;
    for (const Way::Message& message : ways_[to].messages) {
      if (stalled_ || now <= message.begins) {
        bytes += message.bytes.size();
      } else if (now < message.due) {
        bytes += message.bytes.size() * static_cast<std::size_t>((message.due - now).count()) /
                 static_cast<std::size_t>((message.due - message.begins).count());
      }
    }
    return bytes;
  }

 private:
  static Error closed(std::uint16_t code) { return make_error(ErrorKind::kClosed, "the link closed", code); }

  TimePoint arrival(Way& way, std::size_t bytes) const {
    const auto takes = std::chrono::nanoseconds(1'000'000'000 * bytes / path_.bytes_per_second);
    way.sent_at = std::max(way.sent_at, steady_clock::now()) + takes;
    return way.sent_at + path_.delay;
  }
  std::optional<TimePoint> next_due(const Way& way) const {
    if (stalled_) return std::nullopt;
    if (!way.messages.empty()) return way.messages.front().due;
    if (way.close_code) return way.close_due;
    return std::nullopt;
  }
  bool is_ready(const Way& way) const {
    const auto due = next_due(way);
    return due && *due <= steady_clock::now();
  }
  void wake() {
    for (Way& way : ways_) {
      way.readable.notify();
      way.writable.notify();
    }
  }

  asio::any_io_executor executor_;
  const Path path_;
  const std::size_t buffer_bytes_;
  std::array<Way, 2> ways_;
  bool stalled_ = false;
  bool cut_ = false;
};

class LinkEnd final : public carrier::Carrier {
 public:
  LinkEnd(std::shared_ptr<PathLink> link, std::size_t side) : link_(std::move(link)), side_(side) {}
  ~LinkEnd() override { abort(); }

  asio::any_io_executor executor() override { return link_->executor(); }
  Task<MessageType> read(Buffer& buffer) override { return link_->read(1 - side_, buffer); }
  Task<> write(MessageType type, ByteView message) override { return link_->write(side_, type, message); }
  Task<> close(std::uint16_t code) override { return link_->close(side_, code); }
  void abort() noexcept override { link_->cut(); }
  bool arriving() const noexcept override { return link_->arriving(1 - side_); }
  std::size_t unsent_bytes() const noexcept override { return link_->unsent_bytes(side_); }

 private:
  std::shared_ptr<PathLink> link_;
  std::size_t side_;
};

}  // namespace

LinkEnds make_link(asio::any_io_executor executor, const Path& path) {
  auto link = std::make_shared<PathLink>(executor, path);
  return {std::make_unique<LinkEnd>(link, 0), std::make_unique<LinkEnd>(link, 1), link};
}

}  // namespace zks::sim
