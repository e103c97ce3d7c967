// SPDX-License-Identifier: MIT
//
// Deadline: aborts a carrier unless it is destroyed in time. For steps that a silent peer could make last for
// ever.
#pragma once

#include <chrono>
#include <memory>

#include <boost/asio/steady_timer.hpp>

#include "carrier/carrier.hpp"

namespace zks::tunnel {

class Deadline {
 public:
  // `carrier` outlives this object.
  Deadline(carrier::Carrier& carrier, std::chrono::milliseconds time)
      : timer_(carrier.executor(), time), armed_(std::make_shared<carrier::Carrier*>(&carrier)) {
    // The handler may already be queued when this object dies, so it looks at shared state first.
    timer_.async_wait([armed = armed_](const boost::system::error_code& ec) {
      if (!ec && *armed != nullptr) std::exchange(*armed, nullptr)->abort();
    });
  }
  ~Deadline() { *armed_ = nullptr; }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  // The carrier goes to another owner.
  void disarm() {
    *armed_ = nullptr;
    timer_.cancel();
  }
  bool expired() const { return *armed_ == nullptr; }

 private:
  boost::asio::steady_timer timer_;
  std::shared_ptr<carrier::Carrier*> armed_;
};

}  // namespace zks::tunnel
