// SPDX-License-Identifier: MIT
#include "relay/route.hpp"

namespace zks::relay {
namespace {

constexpr std::string_view kRooms = "/v1/rooms/";
constexpr std::size_t kRoomCharacters = 32;

}  // namespace

Route parse_route(std::string_view target) {
  if (target == "/healthz") return HealthRoute{};
  if (!target.starts_with(kRooms)) return NoRoute{};
  target.remove_prefix(kRooms.size());
  const auto room = parse_room(target.substr(0, kRoomCharacters));
  if (!room) return NoRoute{};
  target.remove_prefix(kRoomCharacters);

  constexpr std::string_view kExit = "/exit?instance=";
  constexpr std::string_view kClient = "/client";
  constexpr std::string_view kClientOf = "/client?instance=";
  constexpr std::string_view kPairs = "/pairs/";
  if (target == kClient) return ClientRoute{*room, std::nullopt};
  if (target.starts_with(kExit)) {
    if (const auto instance = parse_name<8>(target.substr(kExit.size()))) return ExitRoute{*room, *instance};
  } else if (target.starts_with(kClientOf)) {
    if (const auto instance = parse_name<8>(target.substr(kClientOf.size())))
      return ClientRoute{*room, *instance};
  } else if (target.starts_with(kPairs)) {
    if (const auto pair = parse_name<16>(target.substr(kPairs.size()))) return PairRoute{*room, *pair};
  }
  return NoRoute{};
}

}  // namespace zks::relay
