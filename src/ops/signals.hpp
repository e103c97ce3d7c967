// SPDX-License-Identifier: MIT
//
// The signals of an operator: SIGTERM and SIGINT end the program cleanly, a second one ends it at once,
// SIGHUP reads certificates and configuration again.
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

namespace zks::ops {

// Executor: handlers run on the one given. Lifetime: no handler runs after destruction, which also restores
// the default actions, so that a clean end that hangs can still be interrupted.
class Signals {
 public:
  using Handler = std::function<void()>;

  // Without `reload`, SIGHUP ends the program as SIGTERM does: a terminal that is closed sends it.
  Signals(boost::asio::any_io_executor executor, Handler stop, Handler reload = {});
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace zks::ops
