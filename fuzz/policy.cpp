// SPDX-License-Identifier: MIT
//
// --allow and --deny rules: no text crashes the parser; a rule that is accepted judges without crashing; an
// allow rule opens nothing beyond what it says, and the same text as a deny rule always wins.
#include "exit/policy.hpp"

#include <cstdlib>

#include "base/bytes.hpp"

namespace {

using zks::IpAddress;
using zks::exit::Policy;
using zks::exit::Rule;
using zks::exit::Rules;

void check(const Rule& rule, std::string_view name, const IpAddress& address, std::uint16_t port) {
  const Policy allow(Rules{{rule}, {}});
  const Policy both(Rules{{rule}, {rule}});
  const auto by_default = Policy(Rules{}).judge(name, address, port);
  const bool open_by_default = by_default.allowed;
  const auto verdict = allow.judge(name, address, port);
  if (open_by_default && !verdict.allowed) std::abort();
  const bool by_rule = verdict.reason == "--allow " + rule.text;
  if (verdict.allowed && !open_by_default && !by_rule) std::abort();
  if (by_rule && both.judge(name, address, port).allowed) std::abort();
  if (by_rule && rule.port && *rule.port != port) std::abort();
  const bool port_alone = !rule.prefix && rule.name.empty();
  if (by_rule && !rule.prefix && !port_alone && name.empty()) std::abort();
  if (by_rule && port_alone && !by_default.reason.starts_with("mail port")) std::abort();
  // An invite's rule does what the exit's does, and opens nothing that the exit denies.
  const auto exit = std::make_shared<Policy>(Rules{});
  const Policy guest(exit, Rules{{rule}, {}});
  if (guest.judge(name, address, port).allowed != verdict.allowed) std::abort();
  exit->set_rules(Rules{{}, {rule}});
  if (by_rule && guest.judge(name, address, port).allowed) std::abort();
}

}  // namespace

// The first 19 bytes: family, address, port; then the rule up to a line feed, then the name that is asked
// for.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHead = 1 + 16 + 2;
  if (size < kHead) return 0;
  const IpAddress address = (data[0] & 1) != 0 ? zks::make_ipv6(data + 1) : zks::make_ipv4(data + 1);
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
