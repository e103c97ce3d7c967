// SPDX-License-Identifier: MIT
//
// Where users may let this exit listen for their reverse forwards: the rules of --allow-listen. Closed unless
// a rule of the exit, or of the user's invite, opens it. Sans-IO; listeners.hpp asks and binds.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace zks::exit {

// One --allow-listen, [ADDR:]PORT[-PORT]:
//   8080, 8000-8999            on loopback, 127.0.0.0/8 and ::1
//   192.0.2.7:8080             on that address
//   0.0.0.0:8080, [::]:8080    on all addresses of the family, also on any single one
// Ports below 1024 are open only where a rule names just that one.
struct ListenRule {
  std::optional<IpAddress> address;  // none: loopback
  std::uint16_t first = 0;
  std::uint16_t last = 0;

  bool covers(const IpAddress& bind) const;
  bool allows(std::uint16_t port) const;
};

// kUsage, saying what is wrong.
Result<ListenRule> parse_listen_rule(std::string_view text);

class ListenRules {
 public:
  explicit ListenRules(std::vector<ListenRule> rules = {}) : rules_(std::move(rules)) {}

  void set(std::vector<ListenRule> rules) { rules_ = std::move(rules); }
  bool allows(const IpAddress& bind, std::uint16_t port) const;
  // What to try for "any free port": at most `most` allowed ones.
  std::vector<std::uint16_t> candidates(const IpAddress& bind, std::size_t most) const;

 private:
  std::vector<ListenRule> rules_;
};

}  // namespace zks::exit
