// SPDX-License-Identifier: MIT
//
// Shares of what nobody can be made to give back (lookups, flows, pings, connections), by invite and within
// an invite by device: a link that several people have is no reason for one of them to wait for another.
// Sans-IO.
#pragma once

#include "exit/shares.hpp"
#include "tunnel/handshake.hpp"

namespace zks::exit {

class GuestShares {
 public:
  static constexpr std::size_t kAloneOneIn = 3;  // places: what one device alone may have

  // Of `places` an invite gets one more as long as it then leaves as many as it has, and a device of it as
  // long as it leaves as many as it has of what the invite may still get. So one device alone has at most a
  // third, an invite half, and for whoever comes next there is always one.
  bool leave_enough(const tunnel::Claim& guest, std::size_t places) const {
    const std::size_t held = invites_.total();
    if (held >= places) return false;
    const std::size_t of_invite = invites_.of(guest.invite);
    return of_invite == 0 || of_invite + devices_.of(guest) < places - held;
  }

  void add(const tunnel::Claim& guest) {
    invites_.add(guest.invite);
    devices_.add(guest);
  }
  void remove(const tunnel::Claim& guest) {
    invites_.remove(guest.invite);
    devices_.remove(guest);
  }

  std::size_t of(const tunnel::Claim& guest) const { return devices_.of(guest); }
  std::size_t total() const { return invites_.total(); }

 private:
  Shares<InviteId> invites_;
  Shares<tunnel::Claim> devices_;
};

}  // namespace zks::exit
