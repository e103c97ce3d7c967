// SPDX-License-Identifier: MIT
//
// The frames inside a record: type (1) || fields, one after another until the record ends. Bytes to structs
// and back, every length bounded; what reads a frame and what writes it stand together in frames_*.cpp. What
// the frames mean is in session.hpp. Decoded views point into the record; a failed decode or encode leaves
// the cursor where it was.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/names.hpp"
#include "base/result.hpp"
#include "session/destination.hpp"

namespace zks::session {

using StreamId = std::uint64_t;    // even: opened by the client; odd: by the exit
using FlowId = std::uint64_t;      // even: opened by the client; odd: a listener's
using ListenerId = std::uint64_t;  // the client's; counts up within a session

constexpr bool is_of_exit(StreamId id) {
  return id % 2 == 1;
}

// The flow of a listener of datagrams. It is there as long as the listener is, and nobody opens or closes it.
constexpr FlowId flow_of(ListenerId id) {
  return 2 * id + 1;
}
constexpr bool is_of_listener(FlowId id) {
  return id % 2 == 1;
}
inline constexpr ListenerId kMaxDatagramListener = (kVarintMax - 1) / 2;  // so that its flow has an id

using RequestId = std::uint64_t;   // of RESOLVE and ECHO: the client's, not used twice in a session
using LaneNumber = std::uint64_t;  // counts up within a session
using Token = std::array<std::uint8_t, 8>;

enum class FrameType : std::uint8_t {
  kPadding = 0x00,
  kHello = 0x01,
  kWelcome = 0x02,
  kTable = 0x03,
  kLaneDown = 0x04,
  kLaneAck = 0x05,
  kPing = 0x06,
  kPong = 0x07,
  kOpen = 0x08,
  kOpened = 0x09,
  kData = 0x0a,
  kFin = 0x0b,
  kCredit = 0x0c,
  kReset = 0x0d,
  kDone = 0x0e,
  kFlowOpen = 0x10,
  kDatagram = 0x11,
  kFlowError = 0x12,
  kFlowClose = 0x13,
  kListen = 0x14,
  kListening = 0x15,
  kUnlisten = 0x16,
  kResolve = 0x17,
  kResolved = 0x18,
  kEcho = 0x19,
  kEchoReply = 0x1a,
  kGoaway = 0x1f,
};

inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::size_t kMaxGoawayText = 256;
inline constexpr std::size_t kMaxDatagram = 65'507;  // what UDP over IPv4 can carry
inline constexpr std::size_t kMaxDnsQuery = 4096;
inline constexpr std::size_t kMaxDnsAnswer = 65'535;
inline constexpr std::size_t kMaxEchoData = 65'507;  // as of a datagram
inline constexpr std::size_t kMaxParameters = 16;
inline constexpr std::size_t kMaxTableEntries = 4096;  // of one frame
// Lanes of a session at an exit: live ones, and dead ones whose streams the client has not yet moved.
inline constexpr std::size_t kMaxLanes = 16;

enum class HelloMode : std::uint8_t { kNew = 0, kJoin = 1, kResume = 2 };
// What a LISTEN is for: TCP connections, which come back as streams, or datagrams, which come back as a flow.
enum class ListenKind : std::uint8_t { kTcp = 0, kUdp = 1 };
enum class GoawayScope : std::uint8_t { kLane = 0, kSession = 1 };
enum class GoawayCode : std::uint64_t { kShutdown = 0, kRevoked = 1, kProtocolError = 2 };

// What an exit says of itself, as bits of one number from 1 on in this order. An exit that says nothing
// reaches both families, as far as anybody knows, and can do none of the rest.
struct ExitCapabilities {
  bool ipv4 = true;  // it has a route to the internet's addresses of this family
  bool ipv6 = true;
  bool echo_ipv4 = false;  // ECHO to such an address is sent
  bool echo_ipv6 = false;
  bool resolve = false;  // RESOLVE is answered

  friend bool operator==(const ExitCapabilities&, const ExitCapabilities&) = default;
};

// Each as (id varint, value varint); ids that are not known are ignored. All but the first are of WELCOME.
enum class ParameterId : std::uint64_t {
  kStreams = 1,
  kOrphanSeconds = 2,
  kLanes = 3,
  kFlows = 4,
  kListeners = 5,
  kCapabilities = 6,
};
struct Parameters {
  std::uint64_t max_streams = 2048;    // how many streams the sender of this keeps in its table at once
  std::uint64_t orphan_seconds = 120;  // how long the exit keeps a session without a lane
  std::uint64_t max_lanes = 1;         // how many lanes the exit takes for a session
  std::uint64_t max_flows = 0;         // how many flows it keeps for one at once; 0: no UDP
  ExitCapabilities capabilities;       // as of the session's beginning
  std::uint64_t max_listeners = 0;     // how many listeners the exit keeps for this client
};

// PADDING: type, then zero or more bytes to the end of the record, ignored.
struct PaddingFrame {
  static constexpr FrameType kType = FrameType::kPadding;
};

// HELLO (client) and WELCOME (exit): session id (16) || lane varint || mode (1) || instance (8) ||
// count varint || count parameters. First frame of each side on a lane.
struct Greeting {
  SessionId session{};
  LaneNumber lane = 0;
  HelloMode mode = HelloMode::kNew;
  InstanceId instance{};  // HELLO: the exit the session lives at, zero when new; WELCOME: this exit
  Parameters parameters;
};
struct HelloFrame : Greeting {
  static constexpr FrameType kType = FrameType::kHello;
};
struct WelcomeFrame : Greeting {
  static constexpr FrameType kType = FrameType::kWelcome;
};

// TABLE: more (1) || count varint || count entries of stream varint || state (1) || received varint ||
// limit varint. After HELLO and WELCOME of a resume: all streams of the sender; after LANE_DOWN of a client:
// those of the dead lanes. In as many frames as it takes, `more` in all but the last.
struct TableEntry {
  enum class State : std::uint8_t { kOpening = 0, kOpen = 1, kReset = 2 };
  StreamId stream = 0;
  State state = State::kOpening;
  std::uint64_t received = 0;  // bytes without a gap; one more once the FIN came as well
  std::uint64_t limit = 0;     // of what may be sent to the sender of this
};
struct TableFrame {
  static constexpr FrameType kType = FrameType::kTable;
  bool more = false;
  std::vector<TableEntry> entries;
};

// LANE_DOWN: count varint (1 to kMaxLanes) || count lane varints. Those lanes are dead to the sender. From a
// client: their streams move to the lane that this comes on.
struct LaneDownFrame {
  static constexpr FrameType kType = FrameType::kLaneDown;
  std::vector<LaneNumber> lanes;
};

// LANE_ACK: record bytes received on this lane so far, varint.
struct LaneAckFrame {
  static constexpr FrameType kType = FrameType::kLaneAck;
  std::uint64_t received_bytes = 0;
};

// PING, PONG: token (8).
struct PingFrame {
  static constexpr FrameType kType = FrameType::kPing;
  Token token{};
};
struct PongFrame {
  static constexpr FrameType kType = FrameType::kPong;
  Token token{};
};

// OPEN of a client (even stream): stream varint || address || limit varint; the address is the destination.
// OPEN of an exit (odd stream): stream varint || listener varint || address || limit varint; somebody at that
// address connected to the listener. It names no destination: that is the client's business alone.
// OPENED: stream varint || limit varint || address.
// address = kind (1: 1 IPv4, 3 name, 4 IPv6) || 4 bytes, length varint and name, or 16 bytes || port (2)
struct OpenFrame {
  static constexpr FrameType kType = FrameType::kOpen;
  StreamId stream = 0;
  Destination destination;  // odd streams: where the one who connected is
  std::uint64_t limit = 0;
  ListenerId listener = 0;  // odd streams only
};
struct OpenedFrame {
  static constexpr FrameType kType = FrameType::kOpened;
  StreamId stream = 0;
  std::uint64_t limit = 0;
  Destination bound;
};

// DATA: stream varint || offset varint || length varint || bytes. Never empty.
struct DataFrame {
  static constexpr FrameType kType = FrameType::kData;
  StreamId stream = 0;
  std::uint64_t offset = 0;
  ByteView bytes;
};

// FIN: stream varint || final offset varint.
struct FinFrame {
  static constexpr FrameType kType = FrameType::kFin;
  StreamId stream = 0;
  std::uint64_t final_offset = 0;
};

// CREDIT: stream varint || consumed varint || limit varint.
struct CreditFrame {
  static constexpr FrameType kType = FrameType::kCredit;
  StreamId stream = 0;
  std::uint64_t consumed = 0;
  std::uint64_t limit = 0;
};

// RESET: stream varint || code varint.
struct ResetFrame {
  static constexpr FrameType kType = FrameType::kReset;
  StreamId stream = 0;
  ResetCode code = ResetCode::kCancelled;
};

// DONE: stream varint.
struct DoneFrame {
  static constexpr FrameType kType = FrameType::kDone;
  StreamId stream = 0;
};

// FLOW_OPEN, FLOW_CLOSE: flow varint, even.
struct FlowOpenFrame {
  static constexpr FrameType kType = FrameType::kFlowOpen;
  FlowId flow = 0;
};
struct FlowCloseFrame {
  static constexpr FrameType kType = FrameType::kFlowClose;
  FlowId flow = 0;
};

// DATAGRAM: flow varint || address || length varint (at most kMaxDatagram) || bytes. From a client the
// address is where it goes, a name perhaps unless the flow is a listener's; from an exit it is where it came
// from.
struct DatagramFrame {
  static constexpr FrameType kType = FrameType::kDatagram;
  FlowId flow = 0;
  Destination address;
  ByteView bytes;
};

// FLOW_ERROR: flow varint || address || type (1) || code (1). What ICMP, or ICMPv6 for an IPv6 address, said
// about datagrams to that address, or what the exit itself would have said.
struct IcmpError {
  std::uint8_t type = 0;
  std::uint8_t code = 0;

  friend bool operator==(const IcmpError&, const IcmpError&) = default;
};
struct FlowErrorFrame {
  static constexpr FrameType kType = FrameType::kFlowError;
  FlowId flow = 0;
  Destination address;
  IcmpError error;
};

// LISTEN (client): listener varint || kind (1) || address to bind, which is not a name.
struct ListenFrame {
  static constexpr FrameType kType = FrameType::kListen;
  ListenerId listener = 0;
  ListenKind kind = ListenKind::kTcp;
  Destination bind;
};

// LISTENING (exit): listener varint || address that it is bound to.
struct ListeningFrame {
  static constexpr FrameType kType = FrameType::kListening;
  ListenerId listener = 0;
  Destination bound;
};

// UNLISTEN: listener varint || code varint. Client: it is not wanted any more. Exit: it is refused, or over.
struct UnlistenFrame {
  static constexpr FrameType kType = FrameType::kUnlisten;
  ListenerId listener = 0;
  ResetCode code = ResetCode::kCancelled;
};

// RESOLVE (client): request varint || length varint (at most kMaxDnsQuery) || DNS message.
// RESOLVED (exit): request varint || length varint (at most kMaxDnsAnswer) || DNS message.
struct ResolveFrame {
  static constexpr FrameType kType = FrameType::kResolve;
  RequestId request = 0;
  ByteView message;
};
struct ResolvedFrame {
  static constexpr FrameType kType = FrameType::kResolved;
  RequestId request = 0;
  ByteView message;
};

// ECHO (client): request varint || address, not a name, its port unused || hop limit (1) || length varint (at
// most kMaxEchoData) || bytes. What the exit shall send as an echo request of ICMP or ICMPv6.
struct EchoFrame {
  static constexpr FrameType kType = FrameType::kEcho;
  RequestId request = 0;
  Destination address;
  std::uint8_t hop_limit = 64;
  ByteView bytes;
};
// ECHO_REPLY (exit): request varint || address of who said it, not a name || type (1) || code (1) || hop
// limit that it came with, 0 where unknown (1) || length varint || bytes of an echo reply, none of an error.
struct EchoReplyFrame {
  static constexpr FrameType kType = FrameType::kEchoReply;
  RequestId request = 0;
  Destination address;
  IcmpError said;
  std::uint8_t hop_limit = 0;
  ByteView bytes;
};

// GOAWAY: scope (1) || code varint || length varint || text.
struct GoawayFrame {
  static constexpr FrameType kType = FrameType::kGoaway;
  GoawayScope scope = GoawayScope::kSession;
  GoawayCode code = GoawayCode::kShutdown;
  std::string text;
};

using Frame =
    std::variant<PaddingFrame, HelloFrame, WelcomeFrame, TableFrame, LaneDownFrame, LaneAckFrame, PingFrame,
                 PongFrame, OpenFrame, OpenedFrame, DataFrame, FinFrame, CreditFrame, ResetFrame, DoneFrame,
                 FlowOpenFrame, DatagramFrame, FlowErrorFrame, FlowCloseFrame, GoawayFrame, ListenFrame,
                 ListeningFrame, UnlistenFrame, ResolveFrame, ResolvedFrame, EchoFrame, EchoReplyFrame>;

// The next frame of a record. kProtocol when it is unknown, cut short or out of range.
Result<Frame> decode_frame(ByteReader& in);

// Appends a frame; false when it does not fit, and nothing is written then.
bool encode_frame(ByteWriter& out, const Frame& frame);

// Appends a DATA frame and returns the place for its `size` bytes, which the caller fills: they are copied
// once. Empty when it does not fit, and nothing is written then.
MutableBytes encode_data(ByteWriter& out, StreamId stream, std::uint64_t offset, std::size_t size);

// The most that a DATA frame's own fields take: type, stream, offset and a length below 2^30.
inline constexpr std::size_t kMaxDataHeader = 1 + 8 + 8 + 4;

// The most that a DATAGRAM frame's own fields take; the address is a name then.
inline constexpr std::size_t kMaxDatagramHeader = 1 + 8 + 1 + 2 + kMaxNameBytes + 2 + 4;

// The most that a TABLE frame's own fields take, and one entry.
inline constexpr std::size_t kMaxTableHeader = 1 + 1 + 2;
inline constexpr std::size_t kMaxTableEntry = 8 + 1 + 8 + 8;

}  // namespace zks::session
