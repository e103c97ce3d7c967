// SPDX-License-Identifier: MIT
//
// Everything that `vpn` changes on the machine, and its exact undoing: the kill switch (firewall.hpp), the
// TUN device's addresses (tun_link.hpp), routes and rules (routing.hpp) and name service (name_service.hpp),
// with each change written down before it is made (journal.hpp). The packets that come through the TUN are
// others' business.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.hpp"
#include "host/firewall.hpp"
#include "host/journal.hpp"
#include "host/plan.hpp"
#include "host/resolvers.hpp"

namespace zks::host {

inline constexpr std::size_t kMaxAllowed = 256;  // endpoints of allow()

// One at a time in a network namespace: rules, routes and the nftables table have fixed numbers and names.
// All calls block for as long as the kernel takes to answer, on any thread, one at a time. The destructor
// changes nothing: what was set up stays until undo() or undo_leftovers(), so a process that dies leaves the
// kill switch.
class Host {
 public:
  // Kill switch, TUN device, routes, name service, in this order. What a crash left is undone on the way,
  // without a moment in which the kill switch is off. On an error everything is undone, and the error is one
  // line that says what to do.
  static Result<Host> set_up(const Plan& plan, const std::string& journal_file);

  // Replaces, at once, the set of endpoints that marked sockets may reach; before the first call it is empty.
  // Puts the kill switch back if somebody removed it. kLimit beyond kMaxAllowed. Does
  // nothing without a kill switch.
  Result<> allow(const std::vector<RelayEndpoint>& endpoints);

  // In reverse order. Goes on after a failure, and returns the first; what failed stays in the journal.
  Result<> undo();

  // Those of resolvers.hpp, when they were last looked for: by set_up(), and by this, as they are others
  // after a move to another network. Where none can be found any more the known ones stay.
  const std::vector<NameServer>& outside_resolvers() const { return outside_resolvers_; }
  void look_for_resolvers();

  // To be called now and then: takes domains away that systemd-resolved has been told of meanwhile
  // (name_service.hpp), and puts the tunnel's resolv.conf back where another program (a DHCP client) has
  // replaced it. What that wrote is what undo() brings back. Only when it is the same at two calls, as it may
  // be being written. True when it was put back.
  Result<bool> keep_name_service();

  // A kill switch of a vpn before was in force when set_up() began.
  bool found_closed() const { return found_closed_; }

  // To be called when a change was seen (change_watch.hpp), and now and then besides: puts back what another
  // program removed or changed of firewall, TUN device, rules, routes and settings, and says what that was.
  // An error: it can't be put back, and whoever calls should end, which leaves the machine closed.
  Result<std::vector<std::string>> restore();

  // What was set up, for `status`.
  nlohmann::json summary() const;

 private:
  Host(Plan plan, Journal journal) : plan_(std::move(plan)), journal_(std::move(journal)) {}

  Result<> make_changes();

  Plan plan_;
  Journal journal_;
  bool found_closed_ = false;
  std::optional<Firewall> firewall_;
  unsigned tun_index_ = 0;
  std::vector<RelayEndpoint> allowed_;
  std::vector<NameServer> outside_resolvers_;
  std::string name_service_ = "unchanged";
  std::optional<ResolvConfChange> foreign_;  // what keep_name_service() found last
};

// Undoes what a process that died left, by its journal, and whatever else is there under our numbers and
// names. True if there was anything. Only for callers who know that no other process of ours is up.
Result<bool> undo_leftovers(const std::string& journal_file);

}  // namespace zks::host
