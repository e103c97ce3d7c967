// SPDX-License-Identifier: MIT
#include "carrier/tls_stream.hpp"

#include <algorithm>
#include <cstring>

#include <boost/asio/ssl/error.hpp>
#include <sys/socket.h>

#include "net/as_tuple.hpp"

namespace zks::carrier {
namespace {

constexpr std::size_t kRecord = 16 * 1024 + 512;  // of TLS, with what is around it

// A thread's connections receive into the same memory, one after the other: with each its own, a hundred busy
// ones would go through more than a cache holds.
MutableBytes received_memory() {
  thread_local std::array<std::uint8_t, 5 * kRecord> memory;
  return memory;
}

}  // namespace

asio::awaitable<ErrorCode> TlsStream::handshake() {
  using net::kTuple;
  for (;;) {
    ErrorCode ec;
    const bool over = engine_->handshake(ec);
    engine_->keep_input();
    if (engine_->has_output()) {
      const auto [sent_ec, sent] = co_await asio::async_write(next_, engine_->take_output(), kTuple);
      engine_->output_sent();
      if (!ec) ec = sent_ec;
    }
    if (over || ec) co_return ec;
    const auto [read_ec, received] = co_await next_.async_read_some(asio::buffer(*first_input_), kTuple);
    engine_->add_input(ByteView(*first_input_).first(received));
    if (read_ec == asio::error::eof) {
      engine_->end_input();
    } else if (read_ec) {
      co_return read_ec;
    }
  }
}

void TlsStream::receive(std::size_t first, std::size_t wanted) {
  const MutableBytes memory = received_memory();
  const std::size_t most = std::clamp(wanted + wanted / kRecord * 64 + 512, kRecord, memory.size());
  std::size_t size = first;
  std::memcpy(memory.data(), first_input_->data(), first);
  if (first == 0 || first == first_input_->size()) {
    const ssize_t count =
        ::recv(next_.socket().native_handle(), memory.data() + first, most - first, MSG_DONTWAIT);
    if (count > 0) size += static_cast<std::size_t>(count);  // an end or an error waits for the next read
  }
  more_ = size == most;
  engine_->add_input(memory.first(size));
}

asio::const_buffer TlsStream::send_now(asio::const_buffer output) noexcept {
  const ssize_t count =
      ::send(next_.socket().native_handle(), output.data(), output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count > 0) output += static_cast<std::size_t>(count);  // an error waits for the next write
  if (output.size() == 0) engine_->output_sent();
  return output;
}

void TlsStream::send_last_output() noexcept {
  if (!engine_->has_output() || engine_->is_sending()) return;
  send_now(engine_->take_output());
  engine_->output_sent();
}

void TlsStream::shut_down() noexcept {
  engine_->shut_down();
  send_last_output();
}

}  // namespace zks::carrier
