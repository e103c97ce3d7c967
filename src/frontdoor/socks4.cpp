// SPDX-License-Identifier: MIT
#include "frontdoor/socks4.hpp"

#include <algorithm>
#include <optional>

#include "frontdoor/socks_codes.hpp"

namespace zks::frontdoor {
namespace {

using session::Destination;
using Step = Socks4Request::Step;

constexpr std::uint8_t kGranted = 90;
constexpr std::uint8_t kRejected = 91;
constexpr std::size_t kHead = 8;
constexpr std::size_t kMaxTextBytes = 255;

struct Text {
  Step step = Step::kMore;  // kRequest: it is there
  ByteView text;            // without the 0
};

Text take_text(ByteView& input) {
  const auto zero = std::find(input.begin(), input.end(), std::uint8_t{0});
  const auto size = static_cast<std::size_t>(zero - input.begin());
  if (size > kMaxTextBytes) return {Step::kRefused, {}};
  if (zero == input.end()) return {Step::kMore, {}};
  const ByteView text = input.first(size);
  input = input.subspan(size + 1);
  return {Step::kRequest, text};
}

// 0.0.0.x is no address that could be connected to, which is why SOCKS4a took it as its mark.
bool has_name(const std::uint8_t* address) {
  return address[0] == 0 && address[1] == 0 && address[2] == 0 && address[3] != 0;
}

}  // namespace

Socks4Request parse_socks4(ByteView input) {
  Socks4Request out;
  const std::size_t all = input.size();
  if (all >= 1 && input[0] != kSocks4Version) out.step = Step::kRefused;
  if (all >= 2 && input[1] != kCommandConnect) out.step = Step::kRefused;
  if (out.step == Step::kRefused || all < kHead) return out;

  const ByteView head = input.first(kHead);
  input = input.subspan(kHead);
  out.step = take_text(input).step;
  if (out.step != Step::kRequest) return out;

  out.destination.port = load_be<std::uint16_t>(head.data() + 2);
  if (has_name(head.data() + 4)) {
    const Text name = take_text(input);
    out.step = name.step == Step::kRequest && name.text.empty() ? Step::kRefused : name.step;
    if (out.step != Step::kRequest) return out;
    out.destination.kind = Destination::Kind::kName;
    out.destination.name = std::string(as_text(name.text));
  } else {
    out.destination.kind = Destination::Kind::kIpv4;
    std::copy(head.begin() + 4, head.end(), out.destination.address.begin());
  }
  out.taken = all - input.size();
  return out;
}

Bytes encode_socks4_reply(bool granted, const Destination& bound) {
  Bytes out(kHead, 0);
  out[1] = granted ? kGranted : kRejected;
  if (bound.kind == Destination::Kind::kIpv4) {
    store_be(bound.port, out.data() + 2);
    std::copy(bound.address.begin(), bound.address.begin() + 4, out.begin() + 4);
  }
  return out;
}

}  // namespace zks::frontdoor
