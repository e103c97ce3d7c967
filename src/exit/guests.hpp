// SPDX-License-Identifier: MIT
//
// Who may come in: the invites of the state directory, re-read whenever `invite` or `revoke` changed them, so
// that both take effect on a running exit by themselves.
//
// Not thread safe: one executor.
#pragma once

#include <optional>

#include "link/state_directory.hpp"
#include "tunnel/handshake.hpp"

namespace zks::exit {

class Guests {
 public:
  explicit Guests(link::StateDirectory state) : state_(std::move(state)) {}

  // Re-reads the invites if the file changed. What can't be read leaves nobody in, and is an error.
  Result<> refresh();

  // The psk for a claim that an invite and its pinned devices allow; nothing otherwise. Looks at the file
  // first, so that a link works, or stops working, from the moment its command has ended.
  std::optional<Key> authorize(const tunnel::Claim& claim);
  // A claim became authentic: pins the device, on disk, before the session is welcomed.
  Result<> admit(const tunnel::Claim& claim);
  // Whether a session of this claim may go on.
  bool welcome(const tunnel::Claim& claim) const;

 private:
  bool is_pinned(const tunnel::Claim& claim) const;
  const link::Invite* find(const tunnel::Claim& claim) const;

  link::StateDirectory state_;
  std::vector<link::Invite> invites_;
  std::optional<std::uint64_t> version_;
};

}  // namespace zks::exit
