// SPDX-License-Identifier: MIT
//
// Where a client's access link comes from: the argument, --link-file, or the environment.
#pragma once

#include <string>

#include "link/access_link.hpp"

namespace zks::app {

// `argument` and `link_file` are empty when not given; without either, $ZKS_LINK counts. kUsage when there is
// none, more than one, or it is not a link.
Result<link::AccessLink> find_link(const std::string& argument, const std::string& link_file);

}  // namespace zks::app
