// SPDX-License-Identifier: MIT
//
// Points this machine's name resolution at the tunnel: systemd-resolved where it runs here, as programs ask
// it also without resolv.conf (nss-resolve, D-Bus), and resolv.conf where that does not name it.
//
// With systemd-resolved the longest matching domain wins over the tunnel's "~.", and at equal length all are
// asked. So where the tunnel takes everything, the domains of the other devices are taken away, each time
// that another program (NetworkManager at a new lease) sets them. What can't be taken away, of resolved.conf
// or systemd-networkd, resolv.conf goes around. Between, and for these, the firewall lets no query of
// systemd-resolved out but into the tunnel.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "host/journal.hpp"
#include "host/plan.hpp"

namespace zks::host {

inline constexpr char kNameServiceUnchanged[] = "unchanged";
inline constexpr char kNameServiceResolved[] = "systemd-resolved";

// Whose user the systemd-resolved of this network namespace is, where there is one, and all names are to be
// the tunnel's: for plan.resolved_uid.
std::optional<std::uint32_t> find_resolved_to_bind(const Plan& plan);

// Which of the two programs ask: kNameServiceResolved, or the path of resolv.conf.
Result<std::string> set_up_name_service(const Plan& plan, Journal& journal);

// The same for domains that systemd-resolved has been told of meanwhile, where plan.resolved_uid is set; what
// they were before takes the place in the journal. True: some are left that can't be taken away.
Result<bool> take_resolved_domains(const Plan& plan, Journal& journal);

// The domains of a device, if nobody has set others.
Result<> restore_resolved_domains(const ResolvedDomainsChange& change);

// What the journal does not undo: systemd-resolved forgets a device's servers by itself when the device goes.
Result<> take_down_name_service(const std::string& tun, const std::string& what);

}  // namespace zks::host
