// SPDX-License-Identifier: MIT
//
// Codecs of the frames of streams, and of the listeners that bring them.
#include "session/frame_codec.hpp"

namespace zks::session {

bool decode(ByteReader& in, OpenFrame& frame) {
  return assign(in.varint(), frame.stream) &&
         (!is_of_exit(frame.stream) || assign(in.varint(), frame.listener)) &&
         decode_address(in, frame.destination) && assign(in.varint(), frame.limit);
}

bool encode(ByteWriter& out, const OpenFrame& frame) {
  return out.varint(frame.stream) && (!is_of_exit(frame.stream) || out.varint(frame.listener)) &&
         encode_address(out, frame.destination) && out.varint(frame.limit);
}

bool decode(ByteReader& in, OpenedFrame& frame) {
  return assign(in.varint(), frame.stream) && assign(in.varint(), frame.limit) &&
         decode_address(in, frame.bound);
}

bool encode(ByteWriter& out, const OpenedFrame& frame) {
  return out.varint(frame.stream) && out.varint(frame.limit) && encode_address(out, frame.bound);
}

bool decode(ByteReader& in, DataFrame& frame) {
  return assign(in.varint(), frame.stream) && assign(in.varint(), frame.offset) &&
         assign(in.sized(in.remaining()), frame.bytes) && !frame.bytes.empty() &&
         frame.offset <= kVarintMax - frame.bytes.size();
}

namespace {

bool encode_data_header(ByteWriter& out, StreamId stream, std::uint64_t offset, std::size_t size) {
  return out.varint(stream) && out.varint(offset) && out.varint(size) && out.room() >= size;
}

}  // namespace

bool encode(ByteWriter& out, const DataFrame& frame) {
  return encode_data_header(out, frame.stream, frame.offset, frame.bytes.size()) && out.bytes(frame.bytes);
}

MutableBytes encode_data(ByteWriter& out, StreamId stream, std::uint64_t offset, std::size_t size) {
  ByteWriter attempt = out;
  if (!attempt.u8(static_cast<std::uint8_t>(DataFrame::kType))) return {};
  if (!encode_data_header(attempt, stream, offset, size)) return {};
  const MutableBytes place = attempt.free_space().first(size);
  attempt.advance(size);
  out = attempt;
  return place;
}

// One more than the final offset must be a varint, too.
bool decode(ByteReader& in, FinFrame& frame) {
  return assign(in.varint(), frame.stream) && assign(in.varint(), frame.final_offset) &&
         frame.final_offset < kVarintMax;
}

bool encode(ByteWriter& out, const FinFrame& frame) {
  return out.varint(frame.stream) && out.varint(frame.final_offset);
}

bool decode(ByteReader& in, CreditFrame& frame) {
  return assign(in.varint(), frame.stream) && assign(in.varint(), frame.consumed) &&
         assign(in.varint(), frame.limit);
}

bool encode(ByteWriter& out, const CreditFrame& frame) {
  return out.varint(frame.stream) && out.varint(frame.consumed) && out.varint(frame.limit);
}

// A code that is not known is one of a later version.
bool decode(ByteReader& in, ResetFrame& frame) {
  return assign(in.varint(), frame.stream) && assign(in.varint(), frame.code);
}

bool encode(ByteWriter& out, const ResetFrame& frame) {
  return out.varint(frame.stream) && out.varint(static_cast<std::uint64_t>(frame.code));
}

bool decode(ByteReader& in, DoneFrame& frame) {
  return assign(in.varint(), frame.stream);
}

bool encode(ByteWriter& out, const DoneFrame& frame) {
  return out.varint(frame.stream);
}

bool decode(ByteReader& in, ListenFrame& frame) {
  return assign(in.varint(), frame.listener) && assign_up_to(ListenKind::kUdp, in.u8(), frame.kind) &&
         decode_address(in, frame.bind) && !is_name(frame.bind);
}

bool encode(ByteWriter& out, const ListenFrame& frame) {
  return out.varint(frame.listener) && out.u8(static_cast<std::uint8_t>(frame.kind)) &&
         encode_address(out, frame.bind);
}

bool decode(ByteReader& in, ListeningFrame& frame) {
  return assign(in.varint(), frame.listener) && decode_address(in, frame.bound) && !is_name(frame.bound);
}

bool encode(ByteWriter& out, const ListeningFrame& frame) {
  return out.varint(frame.listener) && encode_address(out, frame.bound);
}

bool decode(ByteReader& in, UnlistenFrame& frame) {
  return assign(in.varint(), frame.listener) && assign(in.varint(), frame.code);
}

bool encode(ByteWriter& out, const UnlistenFrame& frame) {
  return out.varint(frame.listener) && out.varint(static_cast<std::uint64_t>(frame.code));
}

}  // namespace zks::session
