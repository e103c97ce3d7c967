// SPDX-License-Identifier: MIT
//
// The frames of a record: no input crashes the decoder, and what it accepts (PADDING aside, which is
// forgotten) encodes to bytes that decode to the same. A refused frame leaves the cursor where it was.
#include <cstdlib>

#include "session/frames.hpp"

namespace {

using zks::ByteReader;
using zks::Bytes;
using zks::ByteWriter;
using zks::session::Frame;

Bytes encoded(const Frame& frame, std::size_t room) {
  Bytes out(room);
  ByteWriter writer(out);
  if (!zks::session::encode_frame(writer, frame)) std::abort();
  out.resize(writer.written());
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // HELLO always writes its one parameter, and a decoder accepts varints that are longer than they need be.
  const std::size_t room = size + 64;
  ByteReader in({data, size});
  while (!in.empty()) {
    const std::size_t before = in.remaining();
    const auto frame = zks::session::decode_frame(in);
    if (!frame) {
      if (in.remaining() != before) std::abort();
      break;
    }
    if (in.remaining() >= before) std::abort();
    if (std::holds_alternative<zks::session::PaddingFrame>(*frame)) continue;
    const Bytes once = encoded(*frame, room);
    ByteReader again(once);
    const auto second = zks::session::decode_frame(again);
    if (!second || !again.empty() || second->index() != frame->index()) std::abort();
    if (encoded(*second, room) != once) std::abort();
  }
  return 0;
}
