// SPDX-License-Identifier: MIT
//
// An exit's keys, its relays and one invite, put together as the access link for that invite's user.
#pragma once

#include "link/access_link.hpp"
#include "link/state_directory.hpp"

namespace zks::link {

AccessLink issue_link(const ExitIdentity& identity, const RelayList& relays, const Invite& invite);

}  // namespace zks::link
