// SPDX-License-Identifier: MIT
//
// Whether an exit owns the room that it wants to be reached in: the key hashes to the room's id, and its
// Ed25519 signature covers this relay's challenge, this relay's name, the room and the instance. Sans-IO.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/names.hpp"
#include "carrier/relay_control.hpp"

namespace zks::relay {

bool owns_room(const carrier::Register& answer, const std::array<std::uint8_t, 32>& nonce,
               std::string_view authority, const RoomId& room, const InstanceId& instance);

}  // namespace zks::relay
