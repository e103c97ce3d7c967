// SPDX-License-Identifier: MIT
//
// The codecs of single frames, for frames.cpp, which knows which one a type byte means: decode() and encode()
// of each frame's fields, without the type. False from decode(): cut short or out of range; from encode(): no
// room. The cursor may then be anywhere.
#pragma once

#include "session/frames.hpp"

namespace zks::session {

// frames_lane.cpp
bool decode(ByteReader& in, HelloFrame& frame);
bool encode(ByteWriter& out, const HelloFrame& frame);
bool decode(ByteReader& in, WelcomeFrame& frame);
bool encode(ByteWriter& out, const WelcomeFrame& frame);
bool decode(ByteReader& in, TableFrame& frame);
bool encode(ByteWriter& out, const TableFrame& frame);
bool decode(ByteReader& in, LaneDownFrame& frame);
bool encode(ByteWriter& out, const LaneDownFrame& frame);
bool decode(ByteReader& in, LaneAckFrame& frame);
bool encode(ByteWriter& out, const LaneAckFrame& frame);
bool decode(ByteReader& in, PingFrame& frame);
bool encode(ByteWriter& out, const PingFrame& frame);
bool decode(ByteReader& in, PongFrame& frame);
bool encode(ByteWriter& out, const PongFrame& frame);
bool decode(ByteReader& in, GoawayFrame& frame);
bool encode(ByteWriter& out, const GoawayFrame& frame);

// frames_stream.cpp
bool decode(ByteReader& in, OpenFrame& frame);
bool encode(ByteWriter& out, const OpenFrame& frame);
bool decode(ByteReader& in, OpenedFrame& frame);
bool encode(ByteWriter& out, const OpenedFrame& frame);
bool decode(ByteReader& in, DataFrame& frame);
bool encode(ByteWriter& out, const DataFrame& frame);
bool decode(ByteReader& in, FinFrame& frame);
bool encode(ByteWriter& out, const FinFrame& frame);
bool decode(ByteReader& in, CreditFrame& frame);
bool encode(ByteWriter& out, const CreditFrame& frame);
bool decode(ByteReader& in, ResetFrame& frame);
bool encode(ByteWriter& out, const ResetFrame& frame);
bool decode(ByteReader& in, DoneFrame& frame);
bool encode(ByteWriter& out, const DoneFrame& frame);
bool decode(ByteReader& in, ListenFrame& frame);
bool encode(ByteWriter& out, const ListenFrame& frame);
bool decode(ByteReader& in, ListeningFrame& frame);
bool encode(ByteWriter& out, const ListeningFrame& frame);
bool decode(ByteReader& in, UnlistenFrame& frame);
bool encode(ByteWriter& out, const UnlistenFrame& frame);

// frames_datagram.cpp
bool decode(ByteReader& in, FlowOpenFrame& frame);
bool encode(ByteWriter& out, const FlowOpenFrame& frame);
bool decode(ByteReader& in, DatagramFrame& frame);
bool encode(ByteWriter& out, const DatagramFrame& frame);
bool decode(ByteReader& in, FlowErrorFrame& frame);
bool encode(ByteWriter& out, const FlowErrorFrame& frame);
bool decode(ByteReader& in, FlowCloseFrame& frame);
bool encode(ByteWriter& out, const FlowCloseFrame& frame);
bool decode(ByteReader& in, ResolveFrame& frame);
bool encode(ByteWriter& out, const ResolveFrame& frame);
bool decode(ByteReader& in, ResolvedFrame& frame);
bool encode(ByteWriter& out, const ResolvedFrame& frame);
bool decode(ByteReader& in, EchoFrame& frame);
bool encode(ByteWriter& out, const EchoFrame& frame);
bool decode(ByteReader& in, EchoReplyFrame& frame);
bool encode(ByteWriter& out, const EchoReplyFrame& frame);

// --- what several frames have (frames.cpp)
bool decode_address(ByteReader& in, Destination& address);
bool encode_address(ByteWriter& out, const Destination& address);

inline bool is_name(const Destination& address) {
  return address.kind == Destination::Kind::kName;
}

// What was read, if it was, into a field.
template <class T, class U>
bool assign(const std::optional<U>& read, T& field) {
  if (read) field = static_cast<T>(*read);
  return read.has_value();
}
// A field whose values go from 0 to `last`.
template <class T, class U>
bool assign_up_to(T last, const std::optional<U>& read, T& field) {
  return read && *read <= static_cast<U>(last) && assign(read, field);
}

}  // namespace zks::session
