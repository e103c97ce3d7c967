// SPDX-License-Identifier: MIT
//
// What -L, -R and --allow-listen take: no input crashes, and a forward's own text is the same forward again.
#include "frontdoor/forward_spec.hpp"

#include <cstdlib>

#include "exit/listen_rules.hpp"

using namespace zks;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto parse : {&frontdoor::parse_local_forward, &frontdoor::parse_remote_forward}) {
    const auto spec = parse(text);
    if (!spec) continue;
    const bool listens =
        spec->listen.is_unix() || spec->listen.address.kind != session::Destination::Kind::kName;
    if (!listens || (spec->listen.is_unix() && spec->target.is_unix())) std::abort();
    const std::string again = to_text(*spec);
    if (again.find('?') != std::string::npos) continue;  // a path with bytes that are not shown
    const auto second = parse(again);
    if (!second || !(*second == *spec)) std::abort();
  }
  const auto rule = exit::parse_listen_rule(text);
  if (rule && (rule->first == 0 || rule->first > rule->last)) std::abort();
  return 0;
}
