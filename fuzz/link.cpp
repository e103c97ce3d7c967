// SPDX-License-Identifier: MIT
//
// Access links: no input crashes the parser, and what it accepts formats to a link that parses to the same
// thing. The key's checksum would keep a fuzzer out of all that comes before it, so the part before '#' is
// also tried with a key that is right.
#include <cstdlib>
#include <string>

#include "link/access_link.hpp"

namespace {

using zks::link::AccessLink;

bool equal(const AccessLink& a, const AccessLink& b) {
  return a.relays == b.relays && a.room == b.room && a.pin == b.pin &&
         a.exit_public_key == b.exit_public_key && a.invite == b.invite && a.psk.equals(b.psk.view());
}

void check(std::string_view text) {
  const auto link = zks::link::parse_access_link(text);
  if (!link) return;
  const auto again = zks::link::parse_access_link(zks::link::format_access_link(*link));
  if (!again || !equal(*link, *again)) std::abort();
}

const std::string& valid_key() {
  static const std::string key = [] {
    AccessLink link;
    link.relays.resize(1);
    const std::string text = zks::link::format_access_link(link);
    return text.substr(text.find('#'));
  }();
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text);
  check(std::string(text.substr(0, text.find('#'))) + valid_key());
  return 0;
}
