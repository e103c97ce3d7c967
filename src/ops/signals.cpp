// SPDX-License-Identifier: MIT
#include "ops/signals.hpp"

#include <csignal>

#include <boost/asio/signal_set.hpp>

namespace zks::ops {

struct Signals::State {
  State(boost::asio::any_io_executor executor, Handler on_stop, Handler on_reload)
      : set(executor, SIGTERM, SIGINT, SIGHUP), stop(std::move(on_stop)), reload(std::move(on_reload)) {}

  static void wait(const std::shared_ptr<State>& state) {
    state->set.async_wait([weak = std::weak_ptr(state)](boost::system::error_code ec, int number) {
      const auto alive = weak.lock();
      if (ec || !alive) return;
      wait(alive);
      alive->take(number);
    });
  }

  void take(int number) {
    if (number == SIGHUP && reload) {
      reload();
    } else if (!stopping) {
      stopping = true;
      stop();
    } else {
      set.clear();  // back to the default action, so that whoever waits for us sees which signal it was
      ::raise(number);
    }
  }

  boost::asio::signal_set set;
  Handler stop;
  Handler reload;
  bool stopping = false;
};

Signals::Signals(boost::asio::any_io_executor executor, Handler stop, Handler reload)
    : state_(std::make_shared<State>(std::move(executor), std::move(stop), std::move(reload))) {
  State::wait(state_);
}

Signals::~Signals() = default;

}  // namespace zks::ops
