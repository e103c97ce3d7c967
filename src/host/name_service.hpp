// SPDX-License-Identifier: MIT
//
// Points this machine's name resolution at the tunnel: at systemd-resolved where programs ask that, else in
// resolv.conf.
#pragma once

#include <string>

#include "base/result.hpp"
#include "host/journal.hpp"
#include "host/plan.hpp"

namespace zks::host {

inline constexpr char kNameServiceUnchanged[] = "unchanged";
inline constexpr char kNameServiceResolved[] = "systemd-resolved";

// Which of the two it was: kNameServiceResolved, or the path of resolv.conf.
Result<std::string> set_up_name_service(const Plan& plan, Journal& journal);

// What the journal does not undo: systemd-resolved forgets a device's servers by itself when the device goes.
Result<> take_down_name_service(const std::string& tun, const std::string& what);

}  // namespace zks::host
