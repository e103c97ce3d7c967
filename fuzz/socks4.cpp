// SPDX-License-Identifier: MIT
//
// SOCKS4: no input makes the parser take what is not there, more of an input never changes what was decided,
// and it comes to an end within its bound.
#include "frontdoor/socks4.hpp"

#include <algorithm>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zks::frontdoor;
  using Step = Socks4Request::Step;
  const zks::ByteView input(data, size);
  const Socks4Request whole = parse_socks4(input);
  if (whole.step == Step::kMore && size >= kMaxSocks4Bytes) std::abort();
  if (whole.step == Step::kRequest && (whole.taken > size || whole.taken < 9)) std::abort();
  if (whole.destination.name.size() > 255) std::abort();
  for (std::size_t cut = 0; cut < std::min(size, kMaxSocks4Bytes + 1); ++cut) {
    const Socks4Request part = parse_socks4(input.first(cut));
    if (part.step != Step::kMore && part != whole) std::abort();
  }
  return 0;
}
