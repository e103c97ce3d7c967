// SPDX-License-Identifier: MIT
//
// Codecs of the frames of what may be lost: flows of datagrams, and requests with their answers.
#include "session/frame_codec.hpp"

namespace zks::session {
namespace {

bool decode_error(ByteReader& in, IcmpError& error) {
  return assign(in.u8(), error.type) && assign(in.u8(), error.code);
}

bool encode_error(ByteWriter& out, const IcmpError& error) {
  return out.u8(error.type) && out.u8(error.code);
}

}  // namespace

bool decode(ByteReader& in, FlowOpenFrame& frame) {
  return assign(in.varint(), frame.flow);
}

bool encode(ByteWriter& out, const FlowOpenFrame& frame) {
  return out.varint(frame.flow);
}

// One without bytes is a datagram, too.
bool decode(ByteReader& in, DatagramFrame& frame) {
  return assign(in.varint(), frame.flow) && decode_address(in, frame.address) &&
         assign(in.sized(kMaxDatagram), frame.bytes);
}

bool encode(ByteWriter& out, const DatagramFrame& frame) {
  return out.varint(frame.flow) && encode_address(out, frame.address) && out.sized(frame.bytes);
}

bool decode(ByteReader& in, FlowErrorFrame& frame) {
  return assign(in.varint(), frame.flow) && decode_address(in, frame.address) &&
         decode_error(in, frame.error);
}

bool encode(ByteWriter& out, const FlowErrorFrame& frame) {
  return out.varint(frame.flow) && encode_address(out, frame.address) && encode_error(out, frame.error);
}

bool decode(ByteReader& in, FlowCloseFrame& frame) {
  return assign(in.varint(), frame.flow);
}

bool encode(ByteWriter& out, const FlowCloseFrame& frame) {
  return out.varint(frame.flow);
}

bool decode(ByteReader& in, ResolveFrame& frame) {
  return assign(in.varint(), frame.request) && assign(in.sized(kMaxDnsQuery), frame.message);
}

bool encode(ByteWriter& out, const ResolveFrame& frame) {
  return out.varint(frame.request) && out.sized(frame.message);
}

bool decode(ByteReader& in, ResolvedFrame& frame) {
  return assign(in.varint(), frame.request) && assign(in.sized(kMaxDnsAnswer), frame.message);
}

bool encode(ByteWriter& out, const ResolvedFrame& frame) {
  return out.varint(frame.request) && out.sized(frame.message);
}

bool decode(ByteReader& in, EchoFrame& frame) {
  return assign(in.varint(), frame.request) && decode_address(in, frame.address) && !is_name(frame.address) &&
         assign(in.u8(), frame.hop_limit) && assign(in.sized(kMaxEchoData), frame.bytes);
}

bool encode(ByteWriter& out, const EchoFrame& frame) {
  return out.varint(frame.request) && encode_address(out, frame.address) && out.u8(frame.hop_limit) &&
         out.sized(frame.bytes);
}

bool decode(ByteReader& in, EchoReplyFrame& frame) {
  return assign(in.varint(), frame.request) && decode_address(in, frame.address) && !is_name(frame.address) &&
         decode_error(in, frame.said) && assign(in.u8(), frame.hop_limit) &&
         assign(in.sized(kMaxEchoData), frame.bytes);
}

bool encode(ByteWriter& out, const EchoReplyFrame& frame) {
  return out.varint(frame.request) && encode_address(out, frame.address) && encode_error(out, frame.said) &&
         out.u8(frame.hop_limit) && out.sized(frame.bytes);
}

}  // namespace zks::session
