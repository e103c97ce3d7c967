// SPDX-License-Identifier: MIT
#include "link/issue_link.hpp"

namespace zks::link {

AccessLink issue_link(const ExitIdentity& identity, const RelayList& relays, const Invite& invite) {
  AccessLink link;
  link.relays = relays.relays;
  link.pin = relays.pin;
  link.room = identity.room;
  link.exit_public_key = identity.static_public;
  link.invite = invite.id;
  link.psk = invite.psk.clone();
  return link;
}

}  // namespace zks::link
