// SPDX-License-Identifier: MIT
//
// One thread that keeps any number of sockets busy: sends without end on some, and counts what arrives on the
// others. A thread for each socket would be simpler, and starve everything else of a small machine at a
// thousand.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "socket.hpp"

namespace zks::bench {

class Pump {
 public:
  // Adds what arrives to `received`, which outlives it.
  explicit Pump(std::atomic<std::uint64_t>& received);
  // Closes all sockets.
  ~Pump();

  // From now on busy, until its end; any thread.
  void add(Socket socket, bool sends);

 private:
  struct Entry {
    Entry(Socket s, bool out) : socket(std::move(s)), sends(out) {}
    Socket socket;
    bool sends;
  };

  void run();
  bool serve(const Entry& entry);

  std::atomic<std::uint64_t>& received_;
  Socket epoll_;
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::vector<char> in_, out_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace zks::bench
