// SPDX-License-Identifier: MIT
//
// --allow and --deny rules: no text crashes the parser; a rule that is accepted judges without crashing; an
// allow rule opens nothing beyond what it says, and the same text as a deny rule always wins.
#include "exit/policy.hpp"

#include <cstdlib>

#include "base/bytes.hpp"

namespace {

using zks::exit::IpAddress;
using zks::exit::Policy;
using zks::exit::Rule;

void check(const Rule& rule, std::string_view name, const IpAddress& address, std::uint16_t port) {
  const Policy allow({rule}, {});
  const Policy both({rule}, {rule});
  const bool open_by_default = Policy({}, {}).judge(name, address, port).allowed;
  const auto verdict = allow.judge(name, address, port);
  if (open_by_default && !verdict.allowed) std::abort();
  const bool by_rule = verdict.reason == "--allow " + rule.text;
  if (verdict.allowed && !open_by_default && !by_rule) std::abort();
  if (by_rule && both.judge(name, address, port).allowed) std::abort();
  if (by_rule && rule.port && *rule.port != port) std::abort();
  if (by_rule && !rule.prefix && name.empty()) std::abort();
}

}  // namespace

// The first 19 bytes: family, address, port; then the rule up to a line feed, then the name that is asked
// for.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHead = 1 + 16 + 2;
  if (size < kHead) return 0;
  const IpAddress address =
      (data[0] & 1) != 0 ? zks::exit::make_ipv6(data + 1) : zks::exit::make_ipv4(data + 1);
  const auto port = zks::load_be<std::uint16_t>(data + 17);
  const std::string_view text(reinterpret_cast<const char*>(data + kHead), size - kHead);
  const std::size_t line_end = text.find('\n');
  const auto rule = zks::exit::parse_rule(text.substr(0, line_end));
  if (!rule) return 0;
  const std::string_view name = line_end == std::string_view::npos ? "" : text.substr(line_end + 1);
  check(*rule, name, address, port);
  check(*rule, "", address, port);
  return 0;
}
