// SPDX-License-Identifier: MIT
//
// A tunnel that is none: it notes what it is asked to open, and answers what the test says, when the test
// says.
#pragma once

#include <vector>

#include "net/wakeup.hpp"
#include "tunnel/stream.hpp"

namespace zks::frontdoor {

class FakeOpener final : public tunnel::StreamOpener {
 public:
  explicit FakeOpener(boost::asio::any_io_executor executor) : executor_(executor), changed_(executor) {}

  boost::asio::any_io_executor executor() override { return executor_; }

  boost::asio::awaitable<tunnel::OpenOutcome> open(session::Destination destination) override {
    asked.push_back(std::move(destination));
    ++pending;
    const Pending guard{*this};
    while (held) co_await changed_.wait();
    tunnel::OpenOutcome out;
    out.code = code;
    co_return out;
  }

  void release() {
    held = false;
    changed_.notify();
  }

  std::vector<session::Destination> asked;
  session::ResetCode code = session::ResetCode::kGeneralFailure;
  bool held = false;  // open() waits for release(); one at a time
  int pending = 0;

 private:
  struct Pending {
    FakeOpener& opener;
    ~Pending() { --opener.pending; }
  };

  boost::asio::any_io_executor executor_;
  net::Wakeup changed_;
};

}  // namespace zks::frontdoor
