// SPDX-License-Identifier: MIT
//
// What a user of this exit may reach: the step between the resolver and the socket. An invite is a key to the
// internet, not to the exit's own machine and network, so the policy is closed by default to every special
// range (special_ranges.hpp) and to every address and on-link prefix of the exit's own interfaces
// (interfaces.hpp), and to the ports by which mail is handed in. Operators open and close more with rules,
// for all users and for one invite. Deny rules beat allow rules, those the default.
//
// What counts is the address that is connected to, whatever name it came from: a name that its owner points
// to 127.0.0.1 is judged as 127.0.0.1. IPv4-mapped addresses are judged as the IPv4 address that they are,
// NAT64 ones also as the IPv4 address that they lead to. A public address of the exit that sits on a NAT in
// front of it can't be known here: where that NAT hairpins, a deny rule closes it.
//
// Sans-IO. Not thread safe: one executor.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "net/local_network.hpp"

namespace zks::exit {

// One --allow or --deny:
//   10.0.0.0/8   10.1.2.3   fd00::/8   fd00::1           every port
//   10.0.0.0/8:22   10.1.2.3:22   [fd00::/8]:22   [fd00::1]:22
//   name   name:port   *.suffix   *.suffix:port           the name that the client asked for, in any case
//   *:port           that port of whatever is open otherwise; it opens no address
// An allow rule with a name trusts that name's DNS: it opens whatever address the name has.
struct Rule {
  std::optional<Prefix> prefix;  // without one, it is a rule for names, or for a port alone
  std::string name;              // lower case, without the final dot; empty: a rule for a port alone
  bool subdomains = false;       // "*.": anything below `name`, not `name` itself
  std::optional<std::uint16_t> port;
  std::string text;  // as the operator wrote it
};

// kUsage, saying what is wrong.
Result<Rule> parse_rule(std::string_view text);

struct Rules {
  std::vector<Rule> allow;
  std::vector<Rule> deny;
};

struct Verdict {
  bool allowed = false;
  std::string reason;  // the rule or the range that decided; names no destination, so it may be logged
};

// The spelling that rules are compared with: lower case, without the final dot.
std::string normalise_name(std::string_view name);

class Policy {
 public:
  // The exit's: for everybody.
  explicit Policy(Rules rules);
  // An invite's: the rules of both count, and what `exit` closes by default. Changes of `exit` count at once.
  Policy(std::shared_ptr<const Policy> exit, Rules rules);

  void set_rules(Rules rules) {
    rules_ = std::move(rules);
    ++changes_;
  }
  // What the exit's interfaces have now; replaces what was known. For the exit's policy only.
  void set_local_networks(std::vector<net::LocalNetwork> networks) {
    if (networks == local_networks_) return;
    local_networks_ = std::move(networks);
    ++changes_;
  }
  // Another number than before as soon as a verdict may be another one: who remembers verdicts compares it.
  std::uint64_t generation() const { return changes_ + (exit_ ? exit_->changes_ : 0); }

  // A deny rule for the name itself, so that nothing is looked up for it.
  std::optional<Verdict> denied_by_name(std::string_view name, std::uint16_t port) const;

  // `name` is what the client asked for, empty when it asked for an address. The same for TCP, for UDP and,
  // with the sender's address, for what comes in.
  Verdict judge(std::string_view name, const IpAddress& address, std::uint16_t port) const;

 private:
  const Policy& exit() const { return exit_ ? *exit_ : *this; }
  std::optional<Verdict> decided_by_rules(bool allow, std::string_view name, const IpAddress& address,
                                          std::uint16_t port) const;
  std::optional<Verdict> closed_address(const IpAddress& address) const;
  Verdict judge_port(std::uint16_t port) const;
  std::string told(bool allow, const Rule& rule) const;

  std::shared_ptr<const Policy> exit_;  // null: this is the exit's
  Rules rules_;
  std::vector<net::LocalNetwork> local_networks_;
  std::uint64_t changes_ = 0;
};

}  // namespace zks::exit
