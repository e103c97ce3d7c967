// SPDX-License-Identifier: MIT
#include "session/frames.hpp"

namespace zks::session {
namespace {

template <class T>
using Maybe = std::optional<T>;

Maybe<Destination> read_address(ByteReader& in) {
  const auto kind = in.u8();
  if (!kind) return std::nullopt;
  Destination out;
  switch (*kind) {
    case 1:
    case 4: {
      out.kind = static_cast<Destination::Kind>(*kind);
      const auto bytes = in.take(*kind == 1 ? 4 : 16);
      if (!bytes) return std::nullopt;
      std::copy(bytes->begin(), bytes->end(), out.address.begin());
      break;
    }
    case 3: {
      out.kind = Destination::Kind::kName;
      const auto name = in.sized(kMaxNameBytes);
      if (!name || name->empty()) return std::nullopt;
      out.name = std::string(as_text(*name));
      if (out.name.find('\0') != std::string::npos) return std::nullopt;
      break;
    }
    default:
      return std::nullopt;
  }
  const auto port = in.u16();
  if (!port) return std::nullopt;
  out.port = *port;
  return out;
}

bool write_address(ByteWriter& out, const Destination& address) {
  if (!out.u8(static_cast<std::uint8_t>(address.kind))) return false;
  switch (address.kind) {
    case Destination::Kind::kIpv4:
      return out.bytes(ByteView(address.address).first(4)) && out.u16(address.port);
    case Destination::Kind::kIpv6:
      return out.bytes(address.address) && out.u16(address.port);
    case Destination::Kind::kName:
      return out.sized(as_bytes(address.name)) && out.u16(address.port);
  }
  return false;
}

constexpr std::array kCapabilities{&ExitCapabilities::ipv4, &ExitCapabilities::ipv6,
                                   &ExitCapabilities::echo_ipv4, &ExitCapabilities::echo_ipv6,
                                   &ExitCapabilities::resolve};

ExitCapabilities capabilities_of(std::uint64_t bits) {
  ExitCapabilities out;
  for (std::size_t i = 0; i < kCapabilities.size(); ++i) out.*kCapabilities[i] = (bits >> i & 1) != 0;
  return out;
}

std::uint64_t bits_of(const ExitCapabilities& capabilities) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < kCapabilities.size(); ++i) {
    if (capabilities.*kCapabilities[i]) out |= std::uint64_t{1} << i;
  }
  return out;
}

Maybe<Frame> read_hello(ByteReader& in, bool welcome) {
  HelloFrame frame;
  frame.welcome = welcome;
  const auto session = in.array<16>();
  const auto lane = in.varint();
  const auto mode = in.u8();
  const auto instance = in.array<8>();
  const auto count = in.varint();
  if (!session || !lane || !mode || *mode > 2 || !instance || !count || *count > kMaxParameters) {
    return std::nullopt;
  }
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto id = in.varint();
    const auto value = in.varint();
    if (!id || !value) return std::nullopt;
    if (*id == 1) frame.parameters.max_streams = *value;
    if (*id == 2) frame.parameters.orphan_seconds = *value;
    if (*id == 3) frame.parameters.max_lanes = *value;
    if (*id == 4) frame.parameters.max_flows = *value;
    if (*id == 5) frame.parameters.max_listeners = *value;
    if (*id == 6) frame.parameters.capabilities = capabilities_of(*value);
  }
  frame.session = *session;
  frame.lane = *lane;
  frame.mode = static_cast<HelloMode>(*mode);
  frame.instance = *instance;
  return frame;
}

Maybe<TableEntry> read_table_entry(ByteReader& in) {
  const auto stream = in.varint();
  const auto state = in.u8();
  const auto received = in.varint();
  const auto limit = in.varint();
  if (!stream || !state || *state > 2 || !received || !limit) return std::nullopt;
  return TableEntry{*stream, static_cast<TableEntry::State>(*state), *received, *limit};
}

Maybe<Frame> read_table(ByteReader& in) {
  const auto more = in.u8();
  const auto count = in.varint();
  if (!more || *more > 1 || !count || *count > kMaxTableEntries) return std::nullopt;
  TableFrame frame;
  frame.more = *more == 1;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto entry = read_table_entry(in);
    if (!entry) return std::nullopt;
    frame.entries.push_back(*entry);
  }
  return frame;
}

Maybe<Frame> read_lane_down(ByteReader& in) {
  const auto count = in.varint();
  if (!count || *count == 0 || *count > kMaxLanes) return std::nullopt;
  LaneDownFrame frame;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto lane = in.varint();
    if (!lane) return std::nullopt;
    frame.lanes.push_back(*lane);
  }
  return frame;
}

Maybe<Frame> read_open(ByteReader& in) {
  const auto stream = in.varint();
  if (!stream) return std::nullopt;
  const auto listener = is_of_exit(*stream) ? in.varint() : 0;
  if (!listener) return std::nullopt;
  const auto address = read_address(in);
  if (!address) return std::nullopt;
  const auto limit = in.varint();
  if (!limit) return std::nullopt;
  return OpenFrame{*stream, *address, *limit, *listener};
}

Maybe<Frame> read_opened(ByteReader& in) {
  const auto stream = in.varint();
  const auto limit = in.varint();
  if (!stream || !limit) return std::nullopt;
  const auto bound = read_address(in);
  if (!bound) return std::nullopt;
  return OpenedFrame{*stream, *limit, *bound};
}

Maybe<Frame> read_data(ByteReader& in) {
  const auto stream = in.varint();
  const auto offset = in.varint();
  if (!stream || !offset) return std::nullopt;
  const auto bytes = in.sized(in.remaining());
  if (!bytes || bytes->empty() || *offset > kVarintMax - bytes->size()) return std::nullopt;
  return DataFrame{*stream, *offset, *bytes};
}

Maybe<Frame> read_listen(ByteReader& in) {
  const auto listener = in.varint();
  const auto kind = in.u8();
  if (!listener || !kind || *kind > 1) return std::nullopt;
  const auto bind = read_address(in);
  if (!bind || bind->kind == Destination::Kind::kName) return std::nullopt;
  return ListenFrame{*listener, static_cast<ListenKind>(*kind), *bind};
}

Maybe<Frame> read_listening(ByteReader& in) {
  const auto listener = in.varint();
  if (!listener) return std::nullopt;
  const auto bound = read_address(in);
  if (!bound || bound->kind == Destination::Kind::kName) return std::nullopt;
  return ListeningFrame{*listener, *bound};
}

Maybe<Frame> read_goaway(ByteReader& in) {
  const auto scope = in.u8();
  const auto code = in.varint();
  const auto text = in.sized(kMaxGoawayText);
  if (!scope || *scope > 1 || !code || *code > 2 || !text) return std::nullopt;
  return GoawayFrame{static_cast<GoawayScope>(*scope), static_cast<GoawayCode>(*code),
                     std::string(as_text(*text))};
}

// Frames of varints only, one to three of them.
template <std::size_t N>
Maybe<std::array<std::uint64_t, N>> read_varints(ByteReader& in) {
  std::array<std::uint64_t, N> out;
  for (auto& value : out) {
    const auto read = in.varint();
    if (!read) return std::nullopt;
    value = *read;
  }
  return out;
}

Maybe<Frame> read_stream_frame(ByteReader& in, FrameType type) {
  if (type == FrameType::kDone) {
    const auto v = read_varints<1>(in);
    return v ? Maybe<Frame>(DoneFrame{(*v)[0]}) : std::nullopt;
  }
  if (type == FrameType::kCredit) {
    const auto v = read_varints<3>(in);
    return v ? Maybe<Frame>(CreditFrame{(*v)[0], (*v)[1], (*v)[2]}) : std::nullopt;
  }
  const auto v = read_varints<2>(in);
  if (!v) return std::nullopt;
  if (type == FrameType::kReset) return ResetFrame{(*v)[0], static_cast<ResetCode>((*v)[1])};
  if (type == FrameType::kUnlisten) return UnlistenFrame{(*v)[0], static_cast<ResetCode>((*v)[1])};
  if ((*v)[1] == kVarintMax) return std::nullopt;  // final offset + 1 must stay a varint
  return FinFrame{(*v)[0], (*v)[1]};
}

Maybe<Frame> read_datagram(ByteReader& in) {
  const auto flow = in.varint();
  if (!flow) return std::nullopt;
  const auto address = read_address(in);
  if (!address) return std::nullopt;
  const auto bytes = in.sized(kMaxDatagram);  // none is a datagram, too
  return bytes ? Maybe<Frame>(DatagramFrame{*flow, *address, *bytes}) : std::nullopt;
}

Maybe<Frame> read_flow_error(ByteReader& in) {
  const auto flow = in.varint();
  if (!flow) return std::nullopt;
  const auto address = read_address(in);
  const auto said = in.array<2>();
  if (!address || !said) return std::nullopt;
  return FlowErrorFrame{*flow, *address, {(*said)[0], (*said)[1]}};
}

template <class F>
Maybe<Frame> read_dns(ByteReader& in, std::size_t most) {
  const auto request = in.varint();
  if (!request) return std::nullopt;
  const auto message = in.sized(most);
  return message ? Maybe<Frame>(F{*request, *message}) : std::nullopt;
}

Maybe<Frame> read_echo(ByteReader& in) {
  const auto request = in.varint();
  if (!request) return std::nullopt;
  const auto address = read_address(in);
  if (!address || address->kind == Destination::Kind::kName) return std::nullopt;
  const auto hop_limit = in.u8();
  if (!hop_limit) return std::nullopt;
  const auto bytes = in.sized(kMaxEchoData);
  return bytes ? Maybe<Frame>(EchoFrame{*request, *address, *hop_limit, *bytes}) : std::nullopt;
}

Maybe<Frame> read_echo_reply(ByteReader& in) {
  const auto request = in.varint();
  if (!request) return std::nullopt;
  const auto address = read_address(in);
  const auto said = in.array<3>();
  if (!address || address->kind == Destination::Kind::kName || !said) return std::nullopt;
  const auto bytes = in.sized(kMaxEchoData);
  if (!bytes) return std::nullopt;
  return EchoReplyFrame{*request, *address, {(*said)[0], (*said)[1]}, (*said)[2], *bytes};
}

Maybe<Frame> read_frame(ByteReader& in) {
  const auto type = in.u8();
  if (!type) return std::nullopt;
  switch (static_cast<FrameType>(*type)) {
    case FrameType::kPadding:
      in.take(in.remaining());
      return PaddingFrame{};
    case FrameType::kHello:
    case FrameType::kWelcome:
      return read_hello(in, *type == static_cast<std::uint8_t>(FrameType::kWelcome));
    case FrameType::kTable:
      return read_table(in);
    case FrameType::kLaneDown:
      return read_lane_down(in);
    case FrameType::kLaneAck: {
      const auto bytes = in.varint();
      return bytes ? Maybe<Frame>(LaneAckFrame{*bytes}) : std::nullopt;
    }
    case FrameType::kPing:
    case FrameType::kPong: {
      const auto token = in.array<8>();
      const bool pong = *type == static_cast<std::uint8_t>(FrameType::kPong);
      return token ? Maybe<Frame>(PingFrame{pong, *token}) : std::nullopt;
    }
    case FrameType::kOpen:
      return read_open(in);
    case FrameType::kOpened:
      return read_opened(in);
    case FrameType::kData:
      return read_data(in);
    case FrameType::kFin:
    case FrameType::kCredit:
    case FrameType::kReset:
    case FrameType::kDone:
    case FrameType::kUnlisten:
      return read_stream_frame(in, static_cast<FrameType>(*type));
    case FrameType::kFlowOpen: {
      const auto flow = in.varint();
      return flow ? Maybe<Frame>(FlowOpenFrame{*flow}) : std::nullopt;
    }
    case FrameType::kDatagram:
      return read_datagram(in);
    case FrameType::kFlowError:
      return read_flow_error(in);
    case FrameType::kFlowClose: {
      const auto flow = in.varint();
      return flow ? Maybe<Frame>(FlowCloseFrame{*flow}) : std::nullopt;
    }
    case FrameType::kListen:
      return read_listen(in);
    case FrameType::kListening:
      return read_listening(in);
    case FrameType::kResolve:
      return read_dns<ResolveFrame>(in, kMaxDnsQuery);
    case FrameType::kResolved:
      return read_dns<ResolvedFrame>(in, kMaxDnsAnswer);
    case FrameType::kEcho:
      return read_echo(in);
    case FrameType::kEchoReply:
      return read_echo_reply(in);
    case FrameType::kGoaway:
      return read_goaway(in);
  }
  return std::nullopt;
}

// Only what the receiver needs: an exit that lets nobody listen says nothing about it.
bool write_parameters(ByteWriter& out, const HelloFrame& f) {
  const Parameters& p = f.parameters;
  if (!f.welcome) return out.varint(1) && out.varint(1) && out.varint(p.max_streams);
  const bool listeners = p.max_listeners > 0;
  const bool capabilities = p.capabilities != ExitCapabilities{};
  return out.varint(4 + (listeners ? 1 : 0) + (capabilities ? 1 : 0)) && out.varint(1) &&
         out.varint(p.max_streams) && out.varint(2) && out.varint(p.orphan_seconds) && out.varint(3) &&
         out.varint(p.max_lanes) && out.varint(4) && out.varint(p.max_flows) &&
         (!listeners || (out.varint(5) && out.varint(p.max_listeners))) &&
         (!capabilities || (out.varint(6) && out.varint(bits_of(p.capabilities))));
}

bool put(ByteWriter& out, FrameType type) {
  return out.u8(static_cast<std::uint8_t>(type));
}

struct Encoder {
  ByteWriter& out;

  bool operator()(const PaddingFrame&) const { return put(out, FrameType::kPadding); }
  bool operator()(const HelloFrame& f) const {
    return put(out, f.welcome ? FrameType::kWelcome : FrameType::kHello) && out.bytes(f.session) &&
           out.varint(f.lane) && out.u8(static_cast<std::uint8_t>(f.mode)) && out.bytes(f.instance) &&
           write_parameters(out, f);
  }
  bool operator()(const TableFrame& f) const {
    bool fits = put(out, FrameType::kTable) && out.u8(f.more ? 1 : 0) && out.varint(f.entries.size());
    for (const TableEntry& entry : f.entries) {
      fits = fits && out.varint(entry.stream) && out.u8(static_cast<std::uint8_t>(entry.state)) &&
             out.varint(entry.received) && out.varint(entry.limit);
    }
    return fits;
  }
  bool operator()(const LaneDownFrame& f) const {
    bool fits = put(out, FrameType::kLaneDown) && out.varint(f.lanes.size());
    for (const LaneNumber lane : f.lanes) fits = fits && out.varint(lane);
    return fits;
  }
  bool operator()(const LaneAckFrame& f) const {
    return put(out, FrameType::kLaneAck) && out.varint(f.received_bytes);
  }
  bool operator()(const PingFrame& f) const {
    return put(out, f.pong ? FrameType::kPong : FrameType::kPing) && out.bytes(f.token);
  }
  bool operator()(const OpenFrame& f) const {
    return put(out, FrameType::kOpen) && out.varint(f.stream) &&
           (!is_of_exit(f.stream) || out.varint(f.listener)) && write_address(out, f.destination) &&
           out.varint(f.limit);
  }
  bool operator()(const OpenedFrame& f) const {
    return put(out, FrameType::kOpened) && out.varint(f.stream) && out.varint(f.limit) &&
           write_address(out, f.bound);
  }
  bool operator()(const DataFrame& f) const {
    return put(out, FrameType::kData) && out.varint(f.stream) && out.varint(f.offset) && out.sized(f.bytes);
  }
  bool operator()(const FinFrame& f) const {
    return put(out, FrameType::kFin) && out.varint(f.stream) && out.varint(f.final_offset);
  }
  bool operator()(const CreditFrame& f) const {
    return put(out, FrameType::kCredit) && out.varint(f.stream) && out.varint(f.consumed) &&
           out.varint(f.limit);
  }
  bool operator()(const ResetFrame& f) const {
    return put(out, FrameType::kReset) && out.varint(f.stream) &&
           out.varint(static_cast<std::uint64_t>(f.code));
  }
  bool operator()(const DoneFrame& f) const { return put(out, FrameType::kDone) && out.varint(f.stream); }
  bool operator()(const FlowOpenFrame& f) const {
    return put(out, FrameType::kFlowOpen) && out.varint(f.flow);
  }
  bool operator()(const DatagramFrame& f) const {
    return put(out, FrameType::kDatagram) && out.varint(f.flow) && write_address(out, f.address) &&
           out.sized(f.bytes);
  }
  bool operator()(const FlowErrorFrame& f) const {
    return put(out, FrameType::kFlowError) && out.varint(f.flow) && write_address(out, f.address) &&
           out.u8(f.error.type) && out.u8(f.error.code);
  }
  bool operator()(const FlowCloseFrame& f) const {
    return put(out, FrameType::kFlowClose) && out.varint(f.flow);
  }
  bool operator()(const ListenFrame& f) const {
    return put(out, FrameType::kListen) && out.varint(f.listener) &&
           out.u8(static_cast<std::uint8_t>(f.kind)) && write_address(out, f.bind);
  }
  bool operator()(const ListeningFrame& f) const {
    return put(out, FrameType::kListening) && out.varint(f.listener) && write_address(out, f.bound);
  }
  bool operator()(const UnlistenFrame& f) const {
    return put(out, FrameType::kUnlisten) && out.varint(f.listener) &&
           out.varint(static_cast<std::uint64_t>(f.code));
  }
  bool operator()(const ResolveFrame& f) const {
    return put(out, FrameType::kResolve) && out.varint(f.request) && out.sized(f.message);
  }
  bool operator()(const ResolvedFrame& f) const {
    return put(out, FrameType::kResolved) && out.varint(f.request) && out.sized(f.message);
  }
  bool operator()(const EchoFrame& f) const {
    return put(out, FrameType::kEcho) && out.varint(f.request) && write_address(out, f.address) &&
           out.u8(f.hop_limit) && out.sized(f.bytes);
  }
  bool operator()(const EchoReplyFrame& f) const {
    return put(out, FrameType::kEchoReply) && out.varint(f.request) && write_address(out, f.address) &&
           out.u8(f.said.type) && out.u8(f.said.code) && out.u8(f.hop_limit) && out.sized(f.bytes);
  }
  bool operator()(const GoawayFrame& f) const {
    return put(out, FrameType::kGoaway) && out.u8(static_cast<std::uint8_t>(f.scope)) &&
           out.varint(static_cast<std::uint64_t>(f.code)) && out.sized(as_bytes(f.text));
  }
};

}  // namespace

Result<Frame> decode_frame(ByteReader& in) {
  ByteReader attempt = in;
  auto frame = read_frame(attempt);
  if (!frame) return make_error(ErrorKind::kProtocol, "malformed frame");
  in = attempt;
  return std::move(*frame);
}

bool encode_frame(ByteWriter& out, const Frame& frame) {
  ByteWriter attempt = out;
  if (!std::visit(Encoder{attempt}, frame)) return false;
  out = attempt;
  return true;
}

}  // namespace zks::session
