// SPDX-License-Identifier: MIT
//
// Codecs of the frames of lanes and of the session itself: HELLO and WELCOME, the tables of a resume,
// acknowledgements, signs of life, GOAWAY.
#include "session/frame_codec.hpp"

namespace zks::session {
namespace {

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

void set_parameter(Parameters& parameters, ParameterId id, std::uint64_t value) {
  switch (id) {
    case ParameterId::kStreams:
      parameters.max_streams = value;
      return;
    case ParameterId::kOrphanSeconds:
      parameters.orphan_seconds = value;
      return;
    case ParameterId::kLanes:
      parameters.max_lanes = value;
      return;
    case ParameterId::kFlows:
      parameters.max_flows = value;
      return;
    case ParameterId::kListeners:
      parameters.max_listeners = value;
      return;
    case ParameterId::kCapabilities:
      parameters.capabilities = capabilities_of(value);
      return;
  }
}

bool decode_parameters(ByteReader& in, Parameters& parameters) {
  const auto count = in.varint();
  if (!count || *count > kMaxParameters) return false;
  for (std::uint64_t i = 0; i < *count; ++i) {
    const auto id = in.varint();
    const auto value = in.varint();
    if (!id || !value) return false;
    set_parameter(parameters, static_cast<ParameterId>(*id), *value);
  }
  return true;
}

bool encode_parameter(ByteWriter& out, ParameterId id, std::uint64_t value) {
  return out.varint(static_cast<std::uint64_t>(id)) && out.varint(value);
}

// What stands before the parameters.
bool decode_opening(ByteReader& in, Greeting& greeting) {
  return assign(in.array<16>(), greeting.session) && assign(in.varint(), greeting.lane) &&
         assign_up_to(HelloMode::kResume, in.u8(), greeting.mode) && assign(in.array<8>(), greeting.instance);
}

bool encode_opening(ByteWriter& out, const Greeting& greeting) {
  return out.bytes(greeting.session) && out.varint(greeting.lane) &&
         out.u8(static_cast<std::uint8_t>(greeting.mode)) && out.bytes(greeting.instance);
}

bool decode_entry(ByteReader& in, TableEntry& entry) {
  return assign(in.varint(), entry.stream) && assign_up_to(TableEntry::State::kReset, in.u8(), entry.state) &&
         assign(in.varint(), entry.received) && assign(in.varint(), entry.limit);
}

bool encode_entry(ByteWriter& out, const TableEntry& entry) {
  return out.varint(entry.stream) && out.u8(static_cast<std::uint8_t>(entry.state)) &&
         out.varint(entry.received) && out.varint(entry.limit);
}

}  // namespace

bool decode(ByteReader& in, HelloFrame& frame) {
  return decode_opening(in, frame) && decode_parameters(in, frame.parameters);
}

bool encode(ByteWriter& out, const HelloFrame& frame) {
  return encode_opening(out, frame) && out.varint(1) &&
         encode_parameter(out, ParameterId::kStreams, frame.parameters.max_streams);
}

bool decode(ByteReader& in, WelcomeFrame& frame) {
  return decode_opening(in, frame) && decode_parameters(in, frame.parameters);
}

// Only what the client needs: an exit that lets nobody listen says nothing about it.
bool encode(ByteWriter& out, const WelcomeFrame& frame) {
  const Parameters& p = frame.parameters;
  const bool listeners = p.max_listeners > 0;
  const bool capabilities = p.capabilities != ExitCapabilities{};
  return encode_opening(out, frame) && out.varint(4 + (listeners ? 1 : 0) + (capabilities ? 1 : 0)) &&
         encode_parameter(out, ParameterId::kStreams, p.max_streams) &&
         encode_parameter(out, ParameterId::kOrphanSeconds, p.orphan_seconds) &&
         encode_parameter(out, ParameterId::kLanes, p.max_lanes) &&
         encode_parameter(out, ParameterId::kFlows, p.max_flows) &&
         (!listeners || encode_parameter(out, ParameterId::kListeners, p.max_listeners)) &&
         (!capabilities || encode_parameter(out, ParameterId::kCapabilities, bits_of(p.capabilities)));
}

bool decode(ByteReader& in, TableFrame& frame) {
  const auto more = in.u8();
  const auto count = in.varint();
  if (!more || *more > 1 || !count || *count > kMaxTableEntries) return false;
  frame.more = *more == 1;
  for (std::uint64_t i = 0; i < *count; ++i) {
    if (!decode_entry(in, frame.entries.emplace_back())) return false;
  }
  return true;
}

bool encode(ByteWriter& out, const TableFrame& frame) {
  bool fits = out.u8(frame.more ? 1 : 0) && out.varint(frame.entries.size());
  for (const TableEntry& entry : frame.entries) fits = fits && encode_entry(out, entry);
  return fits;
}

bool decode(ByteReader& in, LaneDownFrame& frame) {
  const auto count = in.varint();
  if (!count || *count == 0 || *count > kMaxLanes) return false;
  for (std::uint64_t i = 0; i < *count; ++i) {
    if (!assign(in.varint(), frame.lanes.emplace_back())) return false;
  }
  return true;
}

bool encode(ByteWriter& out, const LaneDownFrame& frame) {
  bool fits = out.varint(frame.lanes.size());
  for (const LaneNumber lane : frame.lanes) fits = fits && out.varint(lane);
  return fits;
}

bool decode(ByteReader& in, LaneAckFrame& frame) {
  return assign(in.varint(), frame.received_bytes);
}

bool encode(ByteWriter& out, const LaneAckFrame& frame) {
  return out.varint(frame.received_bytes);
}

bool decode(ByteReader& in, PingFrame& frame) {
  return assign(in.array<8>(), frame.token);
}

bool encode(ByteWriter& out, const PingFrame& frame) {
  return out.bytes(frame.token);
}

bool decode(ByteReader& in, PongFrame& frame) {
  return assign(in.array<8>(), frame.token);
}

bool encode(ByteWriter& out, const PongFrame& frame) {
  return out.bytes(frame.token);
}

bool decode(ByteReader& in, GoawayFrame& frame) {
  if (!assign_up_to(GoawayScope::kSession, in.u8(), frame.scope)) return false;
  if (!assign_up_to(GoawayCode::kProtocolError, in.varint(), frame.code)) return false;
  const auto text = in.sized(kMaxGoawayText);
  if (text) frame.text = std::string(as_text(*text));
  return text.has_value();
}

bool encode(ByteWriter& out, const GoawayFrame& frame) {
  return out.u8(static_cast<std::uint8_t>(frame.scope)) &&
         out.varint(static_cast<std::uint64_t>(frame.code)) && out.sized(as_bytes(frame.text));
}

}  // namespace zks::session
