// SPDX-License-Identifier: MIT
#include "pump.hpp"

#include <array>
#include <cerrno>

#include <sys/epoll.h>
#include <sys/socket.h>

namespace zks::bench {
namespace {

constexpr std::size_t kBlock = 128 * 1024;
constexpr int kTurns = 4;        // calls for a socket before the next one's
constexpr int kLookAround = 50;  // ms, for the end

}  // namespace

Pump::Pump(std::atomic<std::uint64_t>& received)
    : received_(received), epoll_(::epoll_create1(EPOLL_CLOEXEC)), in_(kBlock), out_(kBlock, 'z') {
  thread_ = std::thread([this] { run(); });
}

Pump::~Pump() {
  over_ = true;
  thread_.join();
}

void Pump::add(Socket socket, bool sends) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_.emplace_back(std::move(socket), sends);
  epoll_event event{};
  event.events = sends ? EPOLLOUT : EPOLLIN;
  event.data.ptr = &entry;
  ::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, entry.socket.fd(), &event);
}

void Pump::run() {
  std::array<epoll_event, 256> events{};
  while (!over_) {
    const int count = ::epoll_wait(epoll_.fd(), events.data(), static_cast<int>(events.size()), kLookAround);
    for (int i = 0; i < count && !over_; ++i) {
      const Entry& entry = *static_cast<const Entry*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (serve(entry)) continue;
      // It keeps its place in entries_, closed with the others.
      ::epoll_ctl(epoll_.fd(), EPOLL_CTL_DEL, entry.socket.fd(), nullptr);
      entry.socket.shut_down();
    }
  }
}

// False at the socket's end.
bool Pump::serve(const Entry& entry) {
  for (int turn = 0; turn < kTurns; ++turn) {
    const ssize_t moved =
        entry.sends ? ::send(entry.socket.fd(), out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                    : ::recv(entry.socket.fd(), in_.data(), in_.size(), MSG_DONTWAIT);
    if (moved < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (moved <= 0) return false;
    if (!entry.sends) received_.fetch_add(static_cast<std::uint64_t>(moved), std::memory_order_relaxed);
    if (static_cast<std::size_t>(moved) < kBlock) return true;
  }
  return true;
}

}  // namespace zks::bench
