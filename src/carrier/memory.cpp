// SPDX-License-Identifier: MIT
#include "carrier/memory.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <optional>

#include "net/wakeup.hpp"

namespace zks::carrier {
namespace {

constexpr std::chrono::seconds kCloseTimeout{3};

struct Message {
  MessageType type;
  Bytes bytes;
};

// One direction: written at one end, read at the other.
struct Pipe {
  explicit Pipe(const asio::any_io_executor& executor) : readable(executor), writable(executor) {}
  std::deque<Message> messages;
  std::optional<std::uint16_t> close_code;  // set by close(); read after the messages before it
  net::Wakeup readable;
  net::Wakeup writable;
};

class PairLink final : public MemoryLink {
 public:
  PairLink(const asio::any_io_executor& executor, std::size_t queue_messages)
      : executor_(executor),
        limit_(std::max<std::size_t>(queue_messages, 1)),
        pipes_{Pipe(executor), Pipe(executor)} {}

  void stall(bool on) override {
    stalled_ = on;
    wake();
  }
  void cut() override {
    cut_ = true;
    for (Pipe& pipe : pipes_) pipe.messages.clear();
    wake();
  }
  std::size_t delivered_messages() const override { return delivered_; }

  const asio::any_io_executor& executor() const { return executor_; }

  Task<MessageType> read(std::size_t from, Buffer& buffer) {
    Pipe& pipe = pipes_[from];
    while (!cut_ && (stalled_ || (pipe.messages.empty() && !pipe.close_code))) co_await pipe.readable.wait();
    if (cut_) co_return closed(0);
    if (pipe.messages.empty()) {
      const std::uint16_t code = *pipe.close_code;
      cut();  // like the answer to a WebSocket close, after which nothing goes either way
      co_return closed(code);
    }
    const Message message = std::move(pipe.messages.front());
    pipe.messages.pop_front();
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
    while (!cut_ && !pipe.close_code && pipe.messages.size() >= limit_) co_await pipe.writable.wait();
    if (cut_ || pipe.close_code) co_return closed(0);
    pipe.messages.push_back({type, Bytes(bytes.begin(), bytes.end())});
    pipe.readable.notify();
    co_return Result<>();
  }

  // Like a WebSocket's: waits until the other end has read the close, at most 3 s, then everything is cut.
  Task<> close(std::size_t to, std::uint16_t code) {
    Pipe& pipe = pipes_[to];
    if (cut_ || pipe.close_code) co_return closed(0);
    pipe.close_code = code;
    pipe.readable.notify();
    const auto deadline = std::chrono::steady_clock::now() + kCloseTimeout;
    while (!cut_ && std::chrono::steady_clock::now() < deadline) co_await pipe.writable.wait_until(deadline);
    if (cut_) co_return Result<>();
    cut();
    co_return make_error(ErrorKind::kTimeout, "the other end did not read the close");
  }

 private:
  static Error closed(std::uint16_t code) {
    return make_error(ErrorKind::kClosed, "memory carrier closed", code);
  }
  void wake() {
    for (Pipe& pipe : pipes_) {
      pipe.readable.notify();
      pipe.writable.notify();
    }
  }

  asio::any_io_executor executor_;
  std::size_t limit_;
  std::array<Pipe, 2> pipes_;
  bool stalled_ = false;
  bool cut_ = false;
  std::size_t delivered_ = 0;
};

class MemoryCarrier final : public Carrier {
 public:
  MemoryCarrier(std::shared_ptr<PairLink> joint, std::size_t side) : joint_(std::move(joint)), side_(side) {}
  ~MemoryCarrier() override { abort(); }

  asio::any_io_executor executor() override { return joint_->executor(); }
  Task<MessageType> read(Buffer& buffer) override { return joint_->read(1 - side_, buffer); }
  Task<> write(MessageType type, ByteView message) override { return joint_->write(side_, type, message); }
  Task<> close(std::uint16_t code) override { return joint_->close(side_, code); }
  void abort() noexcept override { joint_->cut(); }
  std::size_t unsent_bytes() const noexcept override { return 0; }

 private:
  std::shared_ptr<PairLink> joint_;
  std::size_t side_;
};

}  // namespace

MemoryPair make_memory_pair(asio::any_io_executor executor, std::size_t queue_messages) {
  auto joint = std::make_shared<PairLink>(executor, queue_messages);
  return {std::make_unique<MemoryCarrier>(joint, 0), std::make_unique<MemoryCarrier>(joint, 1), joint};
}

}  // namespace zks::carrier
