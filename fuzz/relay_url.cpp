// SPDX-License-Identifier: MIT
//
// Relay URLs and listen addresses: whatever parses formats to something that parses equal.
#include "base/relay_url.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto url = zks::parse_relay_url(text)) {
    const auto again = zks::parse_relay_url(url->text());
    if (!again || *again != *url) std::abort();
  }
  if (const auto address = zks::parse_host_port(text, 443)) {
    const auto again = zks::parse_host_port(zks::format_host_port(address->host, address->port), 1);
    if (!again || *again != *address) std::abort();
  }
  return 0;
}
