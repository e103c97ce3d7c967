// SPDX-License-Identifier: MIT
#include "session/requests.hpp"

#include "session/checks.hpp"

namespace zks::session {
namespace {

// The fields of a frame beside its bytes: type, request, address, three bytes and a length below 2^30.
constexpr std::size_t kMostFields = 1 + 8 + (1 + 16 + 2) + 3 + 4;
static_assert(kMaxDnsAnswer + 1 + 8 + 4 <= kMostFrames && kMaxEchoData + kMostFields <= kMostFrames,
              "a record has room for the longest");

}  // namespace

Result<> Requests::may_ask(bool offered) const {
  if (context_->leaving || !context_->welcome || context_->lanes.empty()) {
    return make_error(ErrorKind::kClosed, "there is no session to ask in");
  }
  if (!offered) return make_error(ErrorKind::kRefused, "this exit does not do that");
  return {};
}

Result<RequestId> Requests::resolve(ByteView query, TimePoint now) {
  const auto asked = may_ask(context_->welcome.value_or(Parameters{}).capabilities.resolve);
  if (!asked) return asked.error();
  if (query.size() > kMaxDnsQuery) return make_error(ErrorKind::kUsage, "a DNS query that is too long");
  if (!enqueue(ResolveFrame{next_id_, query}, query.size(), now)) {
    return make_error(ErrorKind::kLimit, "too many requests wait for a lane");
  }
  return next_id_++;
}

Result<RequestId> Requests::echo(const Destination& address, std::uint8_t hop_limit, ByteView bytes,
                                 TimePoint now) {
  const ExitCapabilities exit = context_->welcome.value_or(Parameters{}).capabilities;
  if (address.kind == Destination::Kind::kName || bytes.size() > kMaxEchoData) {
    return make_error(ErrorKind::kUsage, "a ping to a name, or one that is too long");
  }
  const bool ipv4 = address.kind == Destination::Kind::kIpv4;
  const auto asked = may_ask(ipv4 ? exit.echo_ipv4 : exit.echo_ipv6);
  if (!asked) return asked.error();
  if (!enqueue(EchoFrame{next_id_, address, hop_limit, bytes}, bytes.size(), now)) {
    return make_error(ErrorKind::kLimit, "too many requests wait for a lane");
  }
  return next_id_++;
}

bool Requests::resolved(RequestId request, ByteView answer, TimePoint now) {
  if (answer.size() > kMaxDnsAnswer) return false;
  return enqueue(ResolvedFrame{request, answer}, answer.size(), now);
}

bool Requests::echo_reply(const EchoReplyFrame& reply, TimePoint now) {
  if (reply.address.kind == Destination::Kind::kName || reply.bytes.size() > kMaxEchoData) return false;
  return enqueue(reply, reply.bytes.size(), now);
}

bool Requests::enqueue(const Frame& frame, std::size_t payload_bytes, TimePoint now) {
  while (!queue_.empty() && now - queue_.front().queued_at > kRequestPatience) drop_first();
  Bytes bytes(payload_bytes + kMostFields);
  ByteWriter out(bytes);
  if (!encode_frame(out, frame)) return false;
  bytes.resize(out.written());
  const std::size_t cost = bytes.size() + kRequestCost;
  if (queued_bytes_ + cost > kMaxQueuedRequestBytes) return false;
  queued_bytes_ += cost;
  queue_.push_back({std::move(bytes), now});
  return true;
}

void Requests::drop_first() {
  queued_bytes_ -= queue_.front().frame.size() + kRequestCost;
  queue_.pop_front();
}

void Requests::clear() {
  while (!queue_.empty()) drop_first();
}

// They go before flows.
bool Requests::fill(ByteWriter& out, DatagramTurn& turn, TimePoint now) {
  const std::size_t start = out.written();
  while (!queue_.empty() && turn.may_go_on()) {
    const Request& next = queue_.front();
    if (now - next.queued_at <= kRequestPatience) {
      const bool large = next.frame.size() > kUsualFrames;
      if (!large && out.written() + next.frame.size() > turn.usual) break;
      if (!out.bytes(next.frame)) break;
      turn.sent(next.frame.size());
    }
    drop_first();
  }
  return out.written() > start;
}

Result<> Requests::on(const ResolveFrame& frame) {
  if (context_->client()) return violation("RESOLVE from an exit");
  context_->push(
      ResolveEvent{.request = frame.request, .bytes = Bytes(frame.message.begin(), frame.message.end())});
  return {};
}

Result<> Requests::on(const EchoFrame& frame) {
  if (context_->client()) return violation("ECHO from an exit");
  context_->push(EchoEvent{.request = frame.request,
                           .address = frame.address,
                           .hop_limit = frame.hop_limit,
                           .bytes = Bytes(frame.bytes.begin(), frame.bytes.end())});
  return {};
}

Result<> Requests::on(const ResolvedFrame& frame) {
  if (!context_->client()) return violation("RESOLVED from a client");
  if (frame.request >= next_id_) return violation("RESOLVED without a RESOLVE");
  context_->push(
      ResolvedEvent{.request = frame.request, .bytes = Bytes(frame.message.begin(), frame.message.end())});
  return {};
}

Result<> Requests::on(const EchoReplyFrame& frame) {
  if (!context_->client()) return violation("ECHO_REPLY from a client");
  if (frame.request >= next_id_) return violation("ECHO_REPLY without an ECHO");
  context_->push(EchoReplyEvent{.request = frame.request,
                                .address = frame.address,
                                .said = frame.said,
                                .hop_limit = frame.hop_limit,
                                .bytes = Bytes(frame.bytes.begin(), frame.bytes.end())});
  return {};
}

}  // namespace zks::session
