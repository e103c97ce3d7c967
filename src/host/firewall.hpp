// SPDX-License-Identifier: MIT
//
// The nftables table of host.cpp: the kill switch, the mark of our sockets on replies, and no way in to the
// TUN device's addresses from other interfaces. A table is kernel state: it outlives this process.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "host/plan.hpp"

namespace zks::host {

// nft(8) commands that put such a table there, in place of one of that name. `allowed` as in Host::allow().
std::string firewall_commands(const Plan& plan, const std::vector<RelayEndpoint>& allowed,
                              const char* table = kFirewallTable);
// nft(8) commands that replace only what is allowed.
std::string allow_commands(const std::vector<RelayEndpoint>& allowed);

// The commands are one transaction: all of it or, on an error, nothing. kIo; `action` is what the error says
// could not be done.
Result<> run_nft(const std::string& commands, const std::string& action);

// With a table that is there already in force until the new one is. A transaction alone does not do that: a
// packet that passes the new chain just before it, and the old one just after, finds no rules in either.
Result<> install_firewall(const Plan& plan, const std::vector<RelayEndpoint>& allowed);

// False also for who may not look.
bool has_firewall();
// Of a table that is there, whoever put it.
bool has_kill_switch();

// True if there was a table to remove.
Result<bool> remove_firewall();

}  // namespace zks::host
