// SPDX-License-Identifier: MIT
//
// systemd-resolved's D-Bus interface (org.freedesktop.resolve1(5)), as far as name_service.cpp needs it. What
// is set for the tunnel's device goes with the device, so nothing of it is in the journal.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <systemd/sd-bus.h>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "host/journal.hpp"

namespace zks::host {

struct CloseBus {
  void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;

// Its calls wait 5 s for an answer.
Result<Bus> open_system_bus();

// The process that answers as systemd-resolved; it is not started for the question.
struct ResolvedProcess {
  pid_t pid = 0;  // 0: not known
  std::uint32_t uid = 0;
};
std::optional<ResolvedProcess> find_resolved(sd_bus* bus);

// Names are asked of `servers` from now on, through the device of this index, but for those below a domain of
// another device; by plain DNS, since what carries it is sealed, and never by multicast.
Result<> set_resolved(sd_bus* bus, int device, const std::vector<IpAddress>& servers);
Result<> revert_resolved(sd_bus* bus, int device);

// Which names go where: the longest matching domain wins, and at equal length all of them are asked. By the
// device's index; 0 is resolved.conf's own, listed only when that names servers beside `ours`, without which
// it takes no name.
using ResolvedDomains = std::map<int, std::vector<ResolvedDomain>>;
Result<ResolvedDomains> resolved_domains(sd_bus* bus, const std::vector<IpAddress>& ours);
// Fails for a device that systemd-networkd has configured.
Result<> set_resolved_domains(sd_bus* bus, int device, const std::vector<ResolvedDomain>& domains);

}  // namespace zks::host
