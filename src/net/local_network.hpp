// SPDX-License-Identifier: MIT
//
// A network that this machine is part of: what interfaces.hpp reads, and the exit's policy keeps closed.
#pragma once

#include <string>

#include "base/ip_address.hpp"

namespace zks::net {

// Its prefix, or an address of this machine's own (a prefix of all bits).
struct LocalNetwork {
  Prefix prefix;
  std::string interface;

  friend bool operator==(const LocalNetwork&, const LocalNetwork&) = default;
};

}  // namespace zks::net
