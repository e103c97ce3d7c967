// SPDX-License-Identifier: MIT
//
// The listeners of one session: a client's LISTEN becomes a socket here, if the rules allow it
// (listen_rules.hpp), and each connection to it a stream that the exit opens; udp_listener.hpp is the one for
// datagrams. They live as long as the session, also while it has no lane: who connects then waits.
//
// Bounds: kMaxListeners a session, kMaxPending connections of a listener that the client has not answered;
// more wait in the kernel. Executor: the session's. Lifetime: shared; close() ends the sockets.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <type_traits>

#include "exit/allowance.hpp"
#include "exit/listen_rules.hpp"
#include "exit/udp_flow.hpp"
#include "exit/udp_listener.hpp"
#include "net/accept_loop.hpp"
#include "tunnel/tunnel.hpp"

namespace zks::exit {

namespace asio = boost::asio;

inline constexpr std::size_t kMaxListeners = 32;
inline constexpr std::size_t kMaxPending = 64;

class Listeners : public std::enable_shared_from_this<Listeners> {
 public:
  struct Endpoint {
    session::ListenKind kind{};
    asio::ip::address address;
    std::uint16_t port = 0;

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
  };
  // Called when that endpoint is taken: true when somebody could be made to let go of it.
  using Reclaim = std::function<bool(const Endpoint&)>;

  // `udp`: null for an exit that carries none.
  // `rules`: the exit's, beside those of the invite.
  Listeners(std::shared_ptr<const ListenRules> rules, std::shared_ptr<Allowance> allowance,
            std::weak_ptr<tunnel::Tunnel> tunnel, std::shared_ptr<UdpHost> udp, Reclaim reclaim,
            tunnel::Claim guest = {});

  void on(const session::ListenEvent& event);
  void on(const session::UnlistenEvent& event);
  // Ends the one at this endpoint. False when there is none.
  bool close_at(const Endpoint& endpoint);
  // Ends what the rules do not allow any more; connections that came go on.
  void recheck();
  void close();
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::shared_ptr<net::AcceptLoop> loop;  // one of these two
    std::shared_ptr<UdpListener> udp;
    std::size_t pending = 0;  // Pending's

    Endpoint endpoint() const;
    void stop() const;
  };
  using EntryPtr = std::shared_ptr<Entry>;
  class Pending;

  Result<EntryPtr> listen_tcp(tunnel::Tunnel& tunnel, const session::ListenEvent& event);
  Result<EntryPtr> listen_udp(tunnel::Tunnel& tunnel, const session::ListenEvent& event);
  template <class Bind>
  std::invoke_result_t<Bind, Endpoint> bind(Endpoint endpoint, const Bind& try_bind);
  bool allows(const Endpoint& endpoint) const;
  void on_connection(session::ListenerId id, const EntryPtr& entry, tunnel::Socket socket);
  static asio::awaitable<void> serve(std::shared_ptr<tunnel::Tunnel> tunnel, session::ListenerId id,
                                     Pending pending, tunnel::Socket socket,
                                     std::shared_ptr<Allowance> allowance, Allowance::Admission admission);

  std::shared_ptr<const ListenRules> rules_;
  std::shared_ptr<Allowance> allowance_;  // of the session's invite
  std::weak_ptr<tunnel::Tunnel> tunnel_;
  std::shared_ptr<UdpHost> udp_;
  Reclaim reclaim_;
  tunnel::Claim guest_;
  std::map<session::ListenerId, EntryPtr> entries_;
};

}  // namespace zks::exit
