// SPDX-License-Identifier: MIT
//
// Which traffic goes into the TUN device: rules (ip-rule(8)) that lead to a table of our own, and its routes.
// No rule or route of anybody else is touched, and what ours pass over meets the others as before.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "host/plan.hpp"

namespace zks::host {

struct Rule {
  enum class Action : std::uint8_t {
    kPass,    // goes on behind our last rule ("goto")
    kLookup,  // kTable decides
    kRefuse,  // an error at once ("prohibit")
    kEnd,     // where kPass leads ("nop")
  };

  IpAddress::Family family = IpAddress::Family::kIpv4;
  Action action = Action::kPass;
  std::uint32_t step = 0;  // its priority is kRulePriority + step
  bool marked = false;     // only our sockets'
  bool dhcp = false;       // only a DHCP client's
  bool local = false;      // only what this machine sends itself ("iif lo")
  std::optional<Prefix> from = {};
  std::optional<Prefix> to = {};
  std::optional<UidRange> uids = {};

  friend bool operator==(const Rule&, const Rule&) = default;
};

struct Route {
  Prefix prefix;
  bool unreachable = false;  // behind the route into the device, for when that is gone

  friend bool operator==(const Route&, const Route&) = default;
};

// Of both families, in the order in which they are installed: a kPass without its kEnd would be no rule at
// all.
std::vector<Rule> rules_of(const Plan& plan);
// Without `ipv6` all of IPv6 is unreachable.
std::vector<Route> routes_of(const Plan& plan, bool ipv6);

// Adds what is missing of them, routes first: no traffic gets to an empty table, from which it would go on to
// the others. True if there was anything to add.
Result<bool> install_routing(const Plan& plan);

// True if there is a rule or route of ours. Takes no rights.
Result<bool> has_routing();

// True if there was anything of ours. Takes the rules first.
Result<bool> remove_routing();

}  // namespace zks::host
