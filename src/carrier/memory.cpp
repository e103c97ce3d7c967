// SPDX-License-Identifier: MIT
#include "carrier/memory.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "net/wakeup.hpp"

namespace zks::carrier {
namespace {

using std::chrono::steady_clock;
using TimePoint = steady_clock::time_point;

constexpr std::chrono::seconds kCloseTimeout{3};

struct Message {
  MessageType type;
  Bytes bytes;
  TimePoint begins;  // its first byte arrives
  TimePoint due;     // its last
};

// One direction: written at one end, read at the other.
struct Pipe {
  explicit Pipe(const asio::any_io_executor& executor) : readable(executor), writable(executor) {}
  std::deque<Message> messages;
  std::size_t bytes = 0;                    // of all of them
  TimePoint sent_at;                        // the last of them has passed the narrowest point
  std::optional<std::uint16_t> close_code;  // set by close(); read after the messages before it
  TimePoint close_due;
  net::Wakeup readable;
  net::Wakeup writable;
};

class PairLink final : public MemoryLink {
 public:
  PairLink(const asio::any_io_executor& executor, const MemoryPath& path)
      : executor_(executor), path_(path), pipes_{Pipe(executor), Pipe(executor)} {}

  void stall(bool on) override {
    stalled_ = on;
    wake();
  }
  void cut() override {
    cut_ = true;
    for (Pipe& pipe : pipes_) {
      pipe.messages.clear();
      pipe.bytes = 0;
    }
    wake();
  }
  bool is_cut() const override { return cut_; }
  std::size_t delivered_messages() const override { return delivered_; }

  const asio::any_io_executor& executor() const { return executor_; }

  Task<MessageType> read(std::size_t from, Buffer& buffer) {
    Pipe& pipe = pipes_[from];
    while (!cut_ && next_due(pipe) > steady_clock::now()) co_await pipe.readable.wait_until(next_due(pipe));
    if (cut_) co_return closed(0);
    if (pipe.messages.empty()) {
      const std::uint16_t code = *pipe.close_code;
      cut();  // like the answer to a WebSocket close, after which nothing goes either way
      co_return closed(code);
    }
    const Message message = std::move(pipe.messages.front());
    pipe.messages.pop_front();
    pipe.bytes -= message.bytes.size();
    ++delivered_;
    pipe.writable.notify();
    buffer.clear();
    const asio::mutable_buffer space = buffer.prepare(message.bytes.size());
    std::copy(message.bytes.begin(), message.bytes.end(), static_cast<std::uint8_t*>(space.data()));
    buffer.commit(message.bytes.size());
    co_return message.type;
  }

  Task<> write(std::size_t to, MessageType type, ByteView bytes) {
    Pipe& pipe = pipes_[to];
    while (!cut_ && !pipe.close_code && is_full(pipe)) co_await pipe.writable.wait();
    if (cut_ || pipe.close_code) co_return closed(0);
    const TimePoint begins = arrival(pipe, 0);
    pipe.messages.push_back({type, Bytes(bytes.begin(), bytes.end()), begins, arrival(pipe, bytes.size())});
    pipe.bytes += bytes.size();
    pipe.readable.notify();
    co_return Result<>();
  }

  // Like a WebSocket's: waits until the other end has read the close, at most 3 s, then everything is cut.
  Task<> close(std::size_t to, std::uint16_t code) {
    Pipe& pipe = pipes_[to];
    if (cut_ || pipe.close_code) co_return closed(0);
    pipe.close_code = code;
    pipe.close_due = arrival(pipe, 0);
    pipe.readable.notify();
    const auto deadline = steady_clock::now() + kCloseTimeout;
    while (!cut_ && steady_clock::now() < deadline) co_await pipe.writable.wait_until(deadline);
    if (cut_) co_return Result<>();
    cut();
    co_return make_error(ErrorKind::kTimeout, "the other end did not read the close");
  }

  // A part of a message is there.
  bool arriving(std::size_t from) const {
    const Pipe& pipe = pipes_[from];
    const auto now = steady_clock::now();
    return !stalled_ && !pipe.messages.empty() && pipe.messages.front().begins <= now &&
           now < pipe.messages.front().due;
  }

  // The writer's kernel hears of a message piece by piece, one way later than the other end has it.
  std::size_t unsent_bytes(std::size_t to) const {
    if (stalled_) return pipes_[to].bytes;
    const auto now = steady_clock::now() - path_.delay;
    std::size_t bytes = 0;
    for (const Message& message : pipes_[to].messages) {
      if (now <= message.begins) {
        bytes += message.bytes.size();
      } else if (now < message.due) {
        bytes += message.bytes.size() * static_cast<std::size_t>((message.due - now).count()) /
                 static_cast<std::size_t>((message.due - message.begins).count());
      }
    }
    return bytes;
  }

 private:
  static Error closed(std::uint16_t code) {
    return make_error(ErrorKind::kClosed, "memory carrier closed", code);
  }

  bool is_full(const Pipe& pipe) const {
    return pipe.messages.size() >= path_.queue_messages || pipe.bytes >= path_.queue_bytes;
  }
  TimePoint arrival(Pipe& pipe, std::size_t bytes) const {
    const std::uint64_t rate = path_.bytes_per_second;
    const auto takes = std::chrono::nanoseconds(rate == 0 ? 0 : 1'000'000'000 * bytes / rate);
    pipe.sent_at = std::max(pipe.sent_at, steady_clock::now()) + takes;
    return pipe.sent_at + path_.delay;
  }
  // When there is something to read: never, as it looks now (max).
  TimePoint next_due(const Pipe& pipe) const {
    if (stalled_) return TimePoint::max();
    if (!pipe.messages.empty()) return pipe.messages.front().due;
    return pipe.close_code ? pipe.close_due : TimePoint::max();
  }
  void wake() {
    for (Pipe& pipe : pipes_) {
      pipe.readable.notify();
      pipe.writable.notify();
    }
  }

  asio::any_io_executor executor_;
  const MemoryPath path_;
  std::array<Pipe, 2> pipes_;
  bool stalled_ = false;
  bool cut_ = false;
  std::size_t delivered_ = 0;
};

class MemoryCarrier final : public Carrier {
 public:
  MemoryCarrier(std::shared_ptr<PairLink> link, std::size_t side) : link_(std::move(link)), side_(side) {}
  ~MemoryCarrier() override { abort(); }

  asio::any_io_executor executor() override { return link_->executor(); }
  Task<MessageType> read(Buffer& buffer) override { return link_->read(1 - side_, buffer); }
  Task<> write(MessageType type, ByteView message) override { return link_->write(side_, type, message); }
  Task<> close(std::uint16_t code) override { return link_->close(side_, code); }
  void abort() noexcept override { link_->cut(); }
  bool arriving() const noexcept override { return link_->arriving(1 - side_); }
  std::size_t unsent_bytes() const noexcept override { return link_->unsent_bytes(side_); }

 private:
  std::shared_ptr<PairLink> link_;
  std::size_t side_;
};

}  // namespace

MemoryPair make_memory_pair(asio::any_io_executor executor, const MemoryPath& path) {
  auto link = std::make_shared<PairLink>(executor, path);
  return {std::make_unique<MemoryCarrier>(link, 0), std::make_unique<MemoryCarrier>(link, 1), link};
}

}  // namespace zks::carrier
