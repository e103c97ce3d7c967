// SPDX-License-Identifier: MIT
//
// Listeners at the exit, for reverse forwards (PROTOCOL.md): the client asks the exit to listen, and the exit
// opens a stream for each connection that came; one of datagrams has a flow of its own. Listeners belong to
// the session and to no lane: whatever the client said on a lane that died it says again on the next one, and
// so does the exit. What they are to streams and flows is Session's to do: it asks here.
#pragma once

#include <map>

#include "session/context.hpp"

namespace zks::session {

// Exit: listeners that were refused or are over; the oldest whose UNLISTEN went out makes room.
inline constexpr std::size_t kMaxListenersEnding = 64;

class Listeners {
 public:
  explicit Listeners(SessionContext& context) : context_(&context) {}

  std::uint64_t max() const;  // exit: its own bound; client: what the exit told
  std::size_t size() const;   // not counting those that are over

  // --- for Session, which has the rules for the application (session.hpp)
  Result<ListenerId> listen(ListenKind kind, Destination bind);
  void listening(ListenerId id, Destination bound);
  void unlisten(ListenerId id, ResetCode code);

  // Exit: whether streams may be opened for it.
  bool takes_connections(ListenerId id) const { return is_there(id, ListenKind::kTcp); }
  // From kListening, or listening(), on.
  bool takes_datagrams(ListenerId id) const { return is_there(id, ListenKind::kUdp); }
  // Whether the application is to hear of an OPEN. An exit's has to name a listener that this client asked
  // for; what the client does for it, it knows by itself.
  Result<bool> accepts(const OpenFrame& frame) const;
  bool awaits_answer() const;  // client: the exit has something to say about one

  // A lane is lost: the peer may have heard of them, or not. What an exit says of a listener that the client
  // has given up makes the client say that again.
  void repeat();
  void clear() { listeners_.clear(); }
  void fill(ByteWriter& out);

  Result<> on(const ListenFrame& frame);
  Result<> on(const ListeningFrame& frame);
  Result<> on(const UnlistenFrame& frame);

 private:
  struct Listener {
    enum class Phase : std::uint8_t { kAsked, kListening, kEnded };
    Phase phase = Phase::kAsked;
    ListenKind kind{};
    Destination address;  // to bind; exit, once it listens: bound
    Destination bound;    // client: once the exit listens
    ResetCode code{};     // kEnded: why
    bool owed = false;    // client: LISTEN, or UNLISTEN; exit: LISTENING, or UNLISTEN

    bool over() const { return phase == Phase::kEnded; }
  };

  bool is_there(ListenerId id, ListenKind kind) const;
  bool has_place();
  void end(ListenerId id, ResetCode code);
  void owe(Listener& listener) { listener.owed = owed_ = true; }
  Result<> on_unlisten_of_exit(const UnlistenFrame& frame);
  Result<> on_unlisten_of_client(const UnlistenFrame& frame);

  SessionContext* context_;
  // Exit: at most max_listeners, and kMaxListenersEnding that are over.
  std::map<ListenerId, Listener> listeners_;
  ListenerId next_id_ = 0;
  bool owed_ = false;  // something, of some of them
};

}  // namespace zks::session
