// SPDX-License-Identifier: MIT
//
// Finds the codec of a frame by its type byte, and the addresses that several frames have.
#include "session/frames.hpp"

#include "session/frame_codec.hpp"

namespace zks::session {
namespace {

// PADDING has no fields, and ends the record.
bool decode(ByteReader& in, PaddingFrame&) {
  in.take(in.remaining());
  return true;
}
bool encode(ByteWriter&, const PaddingFrame&) {
  return true;
}

template <class F>
bool decode_as(ByteReader& in, std::optional<Frame>& out) {
  F frame;
  if (decode(in, frame)) out = std::move(frame);
  return true;
}

template <class... F>
std::optional<Frame> decode_one_of(ByteReader& in, const std::variant<F...>*) {
  std::optional<Frame> out;
  const auto type = in.u8();
  // The one whose type it is, or none.
  if (type) ((*type == static_cast<std::uint8_t>(F::kType) && decode_as<F>(in, out)) || ...);
  return out;
}

}  // namespace

bool decode_address(ByteReader& in, Destination& address) {
  const auto kind = in.u8();
  if (!kind) return false;
  switch (*kind) {
    case 1:
    case 4: {
      address.kind = static_cast<Destination::Kind>(*kind);
      const auto bytes = in.take(*kind == 1 ? 4 : 16);
      if (!bytes) return false;
      std::copy(bytes->begin(), bytes->end(), address.address.begin());
      break;
    }
    case 3: {
      address.kind = Destination::Kind::kName;
      const auto name = in.sized(kMaxNameBytes);
      if (!name || name->empty()) return false;
      address.name = std::string(as_text(*name));
      if (address.name.find('\0') != std::string::npos) return false;
      break;
    }
    default:
      return false;
  }
  return assign(in.u16(), address.port);
}

bool encode_address(ByteWriter& out, const Destination& address) {
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

Result<Frame> decode_frame(ByteReader& in) {
  ByteReader attempt = in;
  auto frame = decode_one_of(attempt, static_cast<const Frame*>(nullptr));
  if (!frame) return make_error(ErrorKind::kProtocol, "malformed frame");
  in = attempt;
  return std::move(*frame);
}

bool encode_frame(ByteWriter& out, const Frame& frame) {
  ByteWriter attempt = out;
  const bool fits = std::visit(
      [&]<class F>(const F& f) {
        return attempt.u8(static_cast<std::uint8_t>(F::kType)) && encode(attempt, f);
      },
      frame);
  if (fits) out = attempt;
  return fits;
}

}  // namespace zks::session
