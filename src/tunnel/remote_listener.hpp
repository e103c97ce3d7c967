// SPDX-License-Identifier: MIT
//
// What a reverse forward is to the client's session (client.hpp): it says what the exit should listen on, and
// is told what becomes of that. The client asks in each new session, and again after a while where it was
// refused.
#pragma once

#include "tunnel/stream.hpp"

namespace zks::tunnel {

class RemoteListener {
 public:
  virtual ~RemoteListener() = default;

  virtual session::ListenKind kind() const = 0;
  virtual session::Destination bind() const = 0;
  // The exit listens there, maybe again.
  virtual void on_listening(session::Destination bound) = 0;
  // kNotAllowed, kAddressInUse and so on; kLimit when the exit takes no more listeners of this client.
  virtual void on_refused(session::ResetCode code) = 0;
  // TCP: somebody connected; accept() or reset() the stream.
  virtual void on_connection(StreamPtr stream, session::Destination from) = 0;
  // UDP: after on_listening(), for as long as the exit listens: datagrams come with their source, and go only
  // to somebody who wrote before.
  virtual void on_flow(SessionFlowPtr flow) = 0;
};

}  // namespace zks::tunnel
