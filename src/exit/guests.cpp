// SPDX-License-Identifier: MIT
#include "exit/guests.hpp"

#include <algorithm>
#include <ctime>

namespace zks::exit {

Result<> Guests::refresh() {
  // The version is read first: a change in between is seen again next time, never missed.
  const std::uint64_t version = state_.invites_version();
  if (version_ == version) return {};
  auto invites = state_.load_invites();
  if (!invites) {
    invites_.clear();
    version_.reset();
    return invites.error();
  }
  invites_ = std::move(*invites);
  version_ = version;
  return {};
}

const link::Invite* Guests::find(const tunnel::Claim& claim) const {
  const auto at = std::find_if(invites_.begin(), invites_.end(),
                               [&](const link::Invite& invite) { return invite.id == claim.invite; });
  return at == invites_.end() || at->expired(std::time(nullptr)) ? nullptr : &*at;
}

bool Guests::is_pinned(const tunnel::Claim& claim) const {
  const link::Invite* invite = find(claim);
  if (invite == nullptr) return false;
  const auto& devices = invite->devices;
  return std::find(devices.begin(), devices.end(), claim.client_key) != devices.end();
}

std::optional<Key> Guests::authorize(const tunnel::Claim& claim) {
  if (!refresh()) return std::nullopt;  // look_after_guests() reports it, once a second
  const link::Invite* invite = find(claim);
  if (invite == nullptr) return std::nullopt;
  if (!is_pinned(claim) && invite->devices.size() >= invite->max_devices) return std::nullopt;
  return invite->psk.clone();
}

Result<> Guests::admit(const tunnel::Claim& claim) {
  if (is_pinned(claim)) return {};  // no lock, no disk
  if (auto pinned = state_.pin_device(claim.invite, claim.client_key); !pinned) return pinned;
  return refresh();
}

bool Guests::welcome(const tunnel::Claim& claim) const {
  return find(claim) != nullptr;
}

}  // namespace zks::exit
