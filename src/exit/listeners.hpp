// SPDX-License-Identifier: MIT
//
// The listeners of one session: a client's LISTEN becomes a socket here, if the rules allow it
// (listen_rules.hpp), and each connection to it a stream that the exit opens. They live as long as the
// session, also while it has no lane: who connects then waits.
//
// Bounds: kMaxListeners a session, kMaxPending connections of a listener that the client has not answered;
// more wait in the kernel. Executor: the session's. Lifetime: shared; close() ends the sockets.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "exit/allowance.hpp"
#include "exit/listen_rules.hpp"
#include "tunnel/accept_loop.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::exit {

namespace asio = boost::asio;

inline constexpr std::size_t kMaxListeners = 32;
inline constexpr std::size_t kMaxPending = 64;

class Listeners : public std::enable_shared_from_this<Listeners> {
 public:
  // `make_way(address)` is called when that address is taken: true when somebody could be made to let go of
  // it.
  using MakeWay = std::function<bool(const asio::ip::tcp::endpoint&)>;

  Listeners(std::shared_ptr<const ListenRules> rules, std::shared_ptr<Allowance> allowance,
            std::weak_ptr<tunnel::Tunnel> tunnel, MakeWay make_way);

  // kListen and kUnlisten.
  void on_event(const session::Event& event);
  // Ends the one on this address. False when there is none.
  bool close_at(const asio::ip::tcp::endpoint& address);
  void close();

 private:
  struct Entry {
    std::shared_ptr<tunnel::AcceptLoop> loop;
    std::size_t pending = 0;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  void listen(const session::Event& event);
  Result<tunnel::Acceptor> bind(const asio::any_io_executor& executor, const session::Destination& address);
  void on_connection(session::ListenerId id, const EntryPtr& entry, tunnel::Socket socket);
  static asio::awaitable<void> serve(std::shared_ptr<tunnel::Tunnel> tunnel, session::ListenerId id,
                                     EntryPtr entry, tunnel::Socket socket,
                                     std::shared_ptr<Allowance> allowance, Allowance::Admission admission);

  std::shared_ptr<const ListenRules> rules_;
  std::shared_ptr<Allowance> allowance_;  // of the session's invite
  std::weak_ptr<tunnel::Tunnel> tunnel_;
  MakeWay make_way_;
  std::map<session::ListenerId, EntryPtr> entries_;
};

}  // namespace zks::exit
