// SPDX-License-Identifier: MIT
//
// Files that vpn reads: resolv.conf, which others write, its journal, which says what to undo as root, and
// the kernel's mountinfo. None needs a first byte to tell: each input is read as all of them.
#include <cstdlib>

#include "base/name_server.hpp"
#include "host/journal.hpp"
#include "host/mounts.hpp"
#include "host/resolv_settings.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (zks::parse_name_servers(text).size() > zks::kMaxNameServers) std::abort();

  const std::string settings = zks::host::resolver_settings(text);
  if (settings.size() > zks::host::kMaxResolverSettings) std::abort();
  if (zks::host::resolver_settings(settings) != settings) std::abort();

  if (zks::host::mounted_at(text, "/etc/resolv.conf").size() > text.size()) std::abort();

  const auto changes = zks::host::decode(text);
  if (!changes) return 0;
  const auto again = zks::host::decode(zks::host::encode(*changes));
  if (!again || *again != *changes) std::abort();
  return 0;
}
