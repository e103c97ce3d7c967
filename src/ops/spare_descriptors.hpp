// SPDX-License-Identifier: MIT
//
// Descriptors in reserve: `status` and metrics, by which an operator finds out what has taken all the others,
// get theirs from these.
#pragma once

#include <vector>

#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <fcntl.h>

#include "base/fd.hpp"

namespace zks::ops {

class SpareDescriptors {
 public:
  explicit SpareDescriptors(std::size_t count) : count_(count) { fill(); }

  // As many as there is room for; to be called when what was given is over.
  void fill() {
    while (held_.size() < count_) {
      Fd spare(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!spare) return;
      held_.push_back(std::move(spare));
    }
  }
  // One is free now, for whoever opens something next.
  void give() {
    if (!held_.empty()) held_.pop_back();
  }

  // Once more what an asio acceptor could not do for lack of a descriptor. It is non-blocking from then on,
  // which its asynchronous use does not notice.
  template <class Acceptor, class Socket>
  void accept(Acceptor& acceptor, Socket& socket, boost::system::error_code& ec) {
    if (ec != boost::asio::error::no_descriptors) return;
    boost::system::error_code ignored;
    acceptor.non_blocking(true, ignored);
    give();
    acceptor.accept(socket, ec);
    if (ec) fill();
  }

 private:
  std::size_t count_;
  std::vector<Fd> held_;
};

}  // namespace zks::ops
