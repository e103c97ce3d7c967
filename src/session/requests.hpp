// SPDX-License-Identifier: MIT
//
// Requests (PROTOCOL.md, "Requests"): DNS queries and pings that the exit answers for the client. A request
// belongs to no lane and has no state here: the client's application knows by its id what an answer is for,
// and asks again when there was none, as stub resolvers and ping do. So nothing is repeated on a resume. What
// is here is the queue of those, or of their answers, that wait for a record.
#pragma once

#include <deque>

#include "session/context.hpp"
#include "session/datagram_turn.hpp"

namespace zks::session {

// Requests and answers that wait for a lane, each counted with kRequestCost; what waits longer than this is
// dropped, as what does not fit: whoever asks for a name or pings asks again.
inline constexpr std::size_t kMaxQueuedRequestBytes = 512 * 1024;
inline constexpr std::size_t kRequestCost = 64;
inline constexpr auto kRequestPatience = std::chrono::seconds(2);

class Requests {
 public:
  explicit Requests(SessionContext& context) : context_(&context) {}

  // Client: kRefused: the exit does not do this; kClosed: no session, no lane, or it is leaving; kLimit: too
  // much waits for a lane already; kUsage: the message is too long, or the address a name.
  Result<RequestId> resolve(ByteView query, TimePoint now);
  Result<RequestId> echo(const Destination& address, std::uint8_t hop_limit, ByteView bytes, TimePoint now);
  // Exit: the answer. False when it is dropped: too long, or too much waits.
  bool resolved(RequestId request, ByteView answer, TimePoint now);
  bool echo_reply(const EchoReplyFrame& reply, TimePoint now);
  std::size_t queued_bytes() const { return queued_bytes_; }

  // For Session: writes what waits, as far as `turn` and the record allow; whether there was anything.
  bool fill(ByteWriter& out, DatagramTurn& turn, TimePoint now);
  void clear();

  Result<> on(const ResolveFrame& frame);
  Result<> on(const EchoFrame& frame);
  Result<> on(const ResolvedFrame& frame);
  Result<> on(const EchoReplyFrame& frame);

 private:
  struct Request {
    Bytes frame;  // encoded
    TimePoint queued_at{};
  };

  Result<> may_ask(bool offered) const;
  bool enqueue(const Frame& frame, std::size_t payload_bytes, TimePoint now);
  void drop_first();

  SessionContext* context_;
  std::deque<Request> queue_;  // of any lane that can take one
  std::size_t queued_bytes_ = 0;
  RequestId next_id_ = 0;
};

}  // namespace zks::session
