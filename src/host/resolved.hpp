// SPDX-License-Identifier: MIT
//
// systemd-resolved's D-Bus interface (org.freedesktop.resolve1(5)), as far as name_service.cpp needs it. What
// is set for a device goes with the device, so nothing of it is in the journal.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <systemd/sd-bus.h>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace zks::host {

struct CloseBus {
  void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;

Result<Bus> open_system_bus();

// All names are asked of `servers` from now on, through the device of this index; by plain DNS, since what
// carries it is sealed, and never by multicast.
Result<> set_resolved(sd_bus* bus, int device, const std::vector<IpAddress>& servers);
Result<> revert_resolved(sd_bus* bus, int device);

}  // namespace zks::host
