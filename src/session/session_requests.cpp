// SPDX-License-Identifier: MIT
//
// Requests (PROTOCOL.md, "Requests"): DNS queries and pings that the exit answers for the client. A request
// belongs to no lane and has no state here: the client's application knows by its id what an answer is for,
// and asks again when there was none, as stub resolvers and ping do. So nothing is repeated on a resume.
#include "session/checks.hpp"
#include "session/session.hpp"

namespace zks::session {
namespace {

// The fields of a frame beside its bytes: type, request, address, three bytes and a length below 2^30.
constexpr std::size_t kMostFields = 1 + 8 + (1 + 16 + 2) + 3 + 4;
static_assert(kMaxDnsAnswer + 1 + 8 + 4 <= kMostFrames && kMaxEchoData + kMostFields <= kMostFrames,
              "a record has room for the longest");

}  // namespace

Result<> Session::may_ask(bool offered) const {
  if (leaving_ || !exit_capabilities_ || lanes_.empty()) {
    return make_error(ErrorKind::kClosed, "there is no session to ask in");
  }
  if (!offered) return make_error(ErrorKind::kRefused, "this exit does not do that");
  return {};
}

Result<RequestId> Session::resolve(ByteView query, TimePoint now) {
  const auto asked = may_ask(exit_capabilities_.value_or(ExitCapabilities{}).resolve);
  if (!asked) return asked.error();
  if (query.size() > kMaxDnsQuery) return make_error(ErrorKind::kUsage, "a DNS query that is too long");
  if (!queue_request(ResolveFrame{next_request_, query}, query.size(), now)) {
    return make_error(ErrorKind::kLimit, "too many requests wait for a lane");
  }
  return next_request_++;
}

Result<RequestId> Session::echo(const Destination& address, std::uint8_t hop_limit, ByteView bytes,
                                TimePoint now) {
  const ExitCapabilities exit = exit_capabilities_.value_or(ExitCapabilities{});
  if (address.kind == Destination::Kind::kName || bytes.size() > kMaxEchoData) {
    return make_error(ErrorKind::kUsage, "a ping to a name, or one that is too long");
  }
  const bool ipv4 = address.kind == Destination::Kind::kIpv4;
  const auto asked = may_ask(ipv4 ? exit.echo_ipv4 : exit.echo_ipv6);
  if (!asked) return asked.error();
  if (!queue_request(EchoFrame{next_request_, address, hop_limit, bytes}, bytes.size(), now)) {
    return make_error(ErrorKind::kLimit, "too many requests wait for a lane");
  }
  return next_request_++;
}

bool Session::resolved(RequestId request, ByteView answer, TimePoint now) {
  if (answer.size() > kMaxDnsAnswer) return false;
  return queue_request(ResolvedFrame{request, answer}, answer.size(), now);
}

bool Session::echo_reply(const EchoReplyFrame& reply, TimePoint now) {
  if (reply.address.kind == Destination::Kind::kName || reply.bytes.size() > kMaxEchoData) return false;
  return queue_request(reply, reply.bytes.size(), now);
}

bool Session::queue_request(const Frame& frame, std::size_t payload_bytes, TimePoint now) {
  while (!requests_.empty() && now - requests_.front().queued_at > kRequestPatience) drop_request();
  Bytes bytes(payload_bytes + kMostFields);
  ByteWriter out(bytes);
  if (!encode_frame(out, frame)) return false;
  bytes.resize(out.written());
  const std::size_t cost = bytes.size() + kRequestCost;
  if (queued_request_bytes_ + cost > kMaxQueuedRequestBytes) return false;
  queued_request_bytes_ += cost;
  requests_.push_back({std::move(bytes), now});
  return true;
}

void Session::drop_request() {
  queued_request_bytes_ -= requests_.front().frame.size() + kRequestCost;
  requests_.pop_front();
}

// `usual` as for flows, which these go before; they count as datagrams where streams wait, too.
void Session::fill_requests(ByteWriter& out, std::size_t usual, LaneState& lane, TimePoint now) {
  if (!lane.usable()) return;  // the exit may refuse it
  while (!requests_.empty() && may_lead(lane)) {
    const Request& next = requests_.front();
    if (now - next.queued_at <= kRequestPatience) {
      const bool large = next.frame.size() > kUsualFrames;
      if (!large && out.written() + next.frame.size() > usual) return;
      if (!out.bytes(next.frame)) return;
      lane.datagram_lead += static_cast<std::int64_t>(next.frame.size());
      // No state waits for the answer, so nothing else would find out that this lane is dead.
      if (options_.role == Role::kClient && !lane.ping) request_ping(lane, now);
    }
    drop_request();
  }
}

Result<> Session::on(const ResolveFrame& frame, LaneState&, TimePoint) {
  if (options_.role == Role::kClient) return violation("RESOLVE from an exit");
  push({.kind = Event::Kind::kResolve,
        .request = frame.request,
        .bytes = Bytes(frame.message.begin(), frame.message.end())});
  return {};
}

Result<> Session::on(const EchoFrame& frame, LaneState&, TimePoint) {
  if (options_.role == Role::kClient) return violation("ECHO from an exit");
  push({.kind = Event::Kind::kEcho,
        .request = frame.request,
        .hop_limit = frame.hop_limit,
        .address = frame.address,
        .bytes = Bytes(frame.bytes.begin(), frame.bytes.end())});
  return {};
}

Result<> Session::on(const ResolvedFrame& frame, LaneState&, TimePoint) {
  if (options_.role == Role::kExit) return violation("RESOLVED from a client");
  if (frame.request >= next_request_) return violation("RESOLVED without a RESOLVE");
  push({.kind = Event::Kind::kResolved,
        .request = frame.request,
        .bytes = Bytes(frame.message.begin(), frame.message.end())});
  return {};
}

Result<> Session::on(const EchoReplyFrame& frame, LaneState&, TimePoint) {
  if (options_.role == Role::kExit) return violation("ECHO_REPLY from a client");
  if (frame.request >= next_request_) return violation("ECHO_REPLY without an ECHO");
  push({.kind = Event::Kind::kEchoReply,
        .request = frame.request,
        .hop_limit = frame.hop_limit,
        .address = frame.address,
        .bytes = Bytes(frame.bytes.begin(), frame.bytes.end()),
        .icmp = frame.said});
  return {};
}

}  // namespace zks::session
