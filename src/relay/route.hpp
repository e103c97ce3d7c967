// SPDX-License-Identifier: MIT
//
// What a request's target asks for (PROTOCOL.md, "The relay"). Sans-IO, strict: a target has one spelling,
// everything else is answered 404.
#pragma once

#include <optional>
#include <string_view>
#include <variant>

#include "base/names.hpp"

namespace zks::relay {

struct HealthRoute {};
struct ExitRoute {
  RoomId room;
  InstanceId instance;
};
struct ClientRoute {
  RoomId room;
  std::optional<InstanceId> instance;  // only this one is knocked on
};
struct PairRoute {
  RoomId room;
  PairId pair;
};
struct NoRoute {};

using Route = std::variant<NoRoute, HealthRoute, ExitRoute, ClientRoute, PairRoute>;

Route parse_route(std::string_view target);

}  // namespace zks::relay
