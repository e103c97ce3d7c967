// SPDX-License-Identifier: MIT
//
// The relay's text messages: whatever decodes encodes to something that decodes equal.
#include "carrier/relay_control.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace zks::carrier;
  const auto message = decode_control(zks::as_text({data, size}));
  if (!message) return 0;
  const std::string text = encode_control(*message);
  const auto again = decode_control(text);
  if (!again || again->index() != message->index() || encode_control(*again) != text) std::abort();
  return 0;
}
