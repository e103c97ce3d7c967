// SPDX-License-Identifier: MIT
//
// Files that vpn reads: resolv.conf, which others write, and its journal, which says what to undo as root.
// Neither needs a first byte to tell: each input is read as both.
#include <cstdlib>

#include "host/journal.hpp"
#include "host/resolvers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (zks::host::parse_nameservers(text).size() > zks::host::kMaxNameservers) std::abort();

  const auto changes = zks::host::decode(text);
  if (!changes) return 0;
  const auto again = zks::host::decode(zks::host::encode(*changes));
  if (!again || *again != *changes) std::abort();
  return 0;
}
