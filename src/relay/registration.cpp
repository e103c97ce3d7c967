// SPDX-License-Identifier: MIT
#include "relay/registration.hpp"

#include <sodium.h>

namespace zks::relay {

bool owns_room(const carrier::Register& answer, const std::array<std::uint8_t, 32>& nonce,
               std::string_view authority, const RoomId& room, const InstanceId& instance) {
  if (derive_room_id(answer.room_key) != room) return false;
  const Bytes message = carrier::registration_message(nonce, authority, room, instance);
  return crypto_sign_verify_detached(answer.signature.data(), message.data(), message.size(),
                                     answer.room_key.data()) == 0;
}

}  // namespace zks::relay
