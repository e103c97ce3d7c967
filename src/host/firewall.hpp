// SPDX-License-Identifier: MIT
//
// The nftables table of host.cpp: the kill switch, the mark of our sockets on replies, and no way in to the
// TUN device's addresses from other interfaces. A table is kernel state: it outlives this process.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "host/plan.hpp"

struct nft_ctx;  // of libnftables

namespace zks::host {

// nft(8) commands that put such a table there, in place of one of that name. `allowed` as in Host::allow().
// `owned`: by the netlink socket that runs them, see Firewall.
std::string firewall_commands(const Plan& plan, const std::vector<RelayEndpoint>& allowed,
                              const char* table = kFirewallTable, bool owned = false);
// nft(8) commands that replace only what is allowed.
std::string allow_commands(const std::vector<RelayEndpoint>& allowed, const char* table = kFirewallTable);

// Two tables with the same rules. kFirewallTable outlives this process, but any other can remove it ("nft
// flush ruleset", as nftables.service does at each reload). kGuardTable is owned by a socket of this process
// (NFT_TABLE_F_OWNER, Linux 5.12): nobody else can change it, and it ends with the process. So one of them is
// in force whatever happens to the other. On an older kernel there is the first alone. Movable; for one
// thread.
class Firewall {
 public:
  // With a table that is there already in force until the new ones are. A transaction alone does not do that:
  // a packet that passes the new chain just before it, and the old one just after, finds no rules in either.
  // kIo.
  static Result<Firewall> install(const Plan& plan, const std::vector<RelayEndpoint>& allowed);

  // Replaces what is allowed, in both tables.
  Result<> allow(const std::vector<RelayEndpoint>& allowed);

  // Puts kFirewallTable back if anything of it was removed, changed or added. True if so.
  Result<bool> restore();

 private:
  struct Close {
    void operator()(nft_ctx* context) const;
  };
  explicit Firewall(Plan plan, std::vector<RelayEndpoint> allowed)
      : plan_(std::move(plan)), allowed_(std::move(allowed)) {}
  Result<> replace_table();
  Result<std::string> wanted() const;

  Plan plan_;
  std::vector<RelayEndpoint> allowed_;
  std::unique_ptr<nft_ctx, Close> owner_;  // none on an older kernel
  std::string listed_;                     // kFirewallTable as it should be, where no guard shows it
};

// False also for who may not look.
bool has_firewall();
// Of a table that is there, whoever put it.
bool has_kill_switch();

// True if there was a table to remove. Not while a Firewall is there.
Result<bool> remove_firewall();

}  // namespace zks::host
