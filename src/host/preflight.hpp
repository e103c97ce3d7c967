// SPDX-License-Identifier: MIT
//
// What a machine, above all a container, may lack for vpn, found out before anything on it is changed.
#pragma once

#include "base/result.hpp"
#include "host/plan.hpp"

namespace zks::host {

// kUsage: a capability that this process does not have, or a resolv.conf that can't be replaced; the text
// says what to do.
Result<> check_machine(const Plan& plan);

}  // namespace zks::host
