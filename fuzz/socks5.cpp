// SPDX-License-Identifier: MIT
//
// SOCKS5: no input crashes the parser or makes it answer more than its bound, and what it makes of an input
// does not depend on how the input is cut. The first byte chooses whether a password is wanted and where to
// cut.
#include <cstdlib>

#include "frontdoor/socks5_parser.hpp"

namespace {

using zks::Bytes;
using zks::ByteView;
using zks::frontdoor::Credentials;
using zks::frontdoor::Socks5Parser;

struct Outcome {
  Socks5Parser::Step step{};
  Bytes replies;
  std::size_t taken = 0;
  zks::session::Destination destination;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome parse(ByteView input, std::size_t piece_bytes, const Credentials* credentials) {
  Socks5Parser parser(credentials);
  Outcome out;
  do {
    ByteView piece = input.first(std::min(piece_bytes, input.size()));
    const std::size_t before = piece.size();
    out.step = parser.feed(piece);
    out.taken += before - piece.size();
    input = input.subspan(before);
    const Bytes replies = parser.take_replies();
    out.replies.insert(out.replies.end(), replies.begin(), replies.end());
  } while (!input.empty());
  if (out.replies.size() > Socks5Parser::kMaxReplyBytes) std::abort();
  if (out.step == Socks5Parser::Step::kRequest) {
    out.destination = parser.destination();
    if (out.destination.kind == zks::session::Destination::Kind::kName && out.destination.name.empty())
      std::abort();
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Credentials known(zks::as_bytes("u"), zks::as_bytes("p"));
  if (size == 0) return 0;
  const Credentials* credentials = (data[0] & 1) != 0 ? &known : nullptr;
  const ByteView input(data + 1, size - 1);
  const Outcome whole = parse(input, std::max<std::size_t>(input.size(), 1), credentials);
  if (parse(input, 1 + data[0] / 2, credentials) != whole) std::abort();
  return 0;
}
