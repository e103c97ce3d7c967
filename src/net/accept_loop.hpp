// SPDX-License-Identifier: MIT
//
// Accepting connections on TCP addresses or a unix socket: the proxy's, those of forwards, and the exit's for
// its clients. Whoever is given a socket counts it.
//
// Executor: the acceptors'. Lifetime: shared; its coroutine holds it until stop().
#pragma once

#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "base/result.hpp"
#include "net/listen.hpp"
#include "net/socket.hpp"
#include "net/wakeup.hpp"

namespace zks::net {

// listen_on_all(), for TCP.
Result<std::vector<Acceptor>> listen_on(const asio::any_io_executor& executor, const Endpoints& addresses,
                                        const Endpoints& beside);
// A unix socket (0600). What a dead process left under this name is replaced; a socket that somebody listens
// on, or anything else there, is an error.
Result<Acceptor> listen_on(const asio::any_io_executor& executor, const std::filesystem::path& path);

class AcceptLoop : public std::enable_shared_from_this<AcceptLoop> {
 public:
  using Handler = std::function<void(Socket)>;

  // `what` is for the log: "the proxy". All of `acceptors` have one executor; there is at least one.
  AcceptLoop(std::vector<Acceptor> acceptors, std::string what, Handler handler);
  AcceptLoop(Acceptor acceptor, std::string what, Handler handler);

  void start();
  // No connection is handed over after this.
  void stop();
  // While there is no place for more, connections wait in the kernel.
  void pause() { paused_ = true; }
  void resume();
  // Of the first; as the kernel chose it when port 0 was asked for.
  asio::ip::tcp::endpoint local_endpoint() const { return local_; }

 private:
  struct Door {
    Acceptor acceptor;
    Wakeup wake;
  };

  void start(Door& door, std::chrono::milliseconds after = {});
  static asio::awaitable<void> run(std::shared_ptr<AcceptLoop> self, Door* door,
                                   std::chrono::milliseconds after);
  void wake();

  std::list<Door> doors_;
  asio::ip::tcp::endpoint local_;
  std::string what_;
  Handler handler_;
  bool paused_ = false;
  bool stopped_ = false;
};

}  // namespace zks::net
