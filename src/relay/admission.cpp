// SPDX-License-Identifier: MIT
#include "relay/admission.hpp"

namespace zks::relay {
namespace {

Verdict refuse(unsigned status) {
  return {.status = status, .body = {}, .slot = {}};
}

Verdict health(const Relay& relay) {
  const auto uptime =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - relay.started);
  return {.status = 200,
          .body = R"({"version":")" ZKS_VERSION R"(","uptime":)" + std::to_string(uptime.count()) + "}\n",
          .slot = {}};
}

const RoomId* room_of(const Route& route) {
  if (const auto* exit = std::get_if<ExitRoute>(&route)) return &exit->room;
  if (const auto* client = std::get_if<ClientRoute>(&route)) return &client->room;
  if (const auto* pair = std::get_if<PairRoute>(&route)) return &pair->room;
  return nullptr;
}

}  // namespace

Verdict admit(Relay& relay, const carrier::UpgradeRequest& request, const Route& route, const Ends& ends) {
  if (request.target().size() > relay.options.max_url_bytes) return refuse(414);
  if (request.method() != boost::beast::http::verb::get) return refuse(404);
  if (std::holds_alternative<HealthRoute>(route)) return health(relay);
  const RoomId* room = room_of(route);
  if (room == nullptr || !carrier::is_upgrade(request)) return refuse(404);
  if (!relay.allowed.allows(*room)) return refuse(403);
  const auto* pair = std::get_if<PairRoute>(&route);
  if (pair != nullptr && relay.rooms.waiting(pair->room, pair->pair)) return {};
  if (!relay.joins.admit(ends.source, std::chrono::steady_clock::now())) return refuse(429);
  if (pair != nullptr) return refuse(410);
  if (const auto* exit = std::get_if<ExitRoute>(&route)) {
    const auto host = request[boost::beast::http::field::host];
    if (!is_own_name({host.data(), host.size()}, relay.options.names, ends.local, ends.certificate))
      return refuse(421);
    const unsigned status = relay.rooms.may_register(*room, exit->instance, ends.source);
    return status == 101 ? Verdict{} : refuse(status);
  }
  auto slot = relay.rooms.reserve_pair(*room, ends.source);
  if (!slot) return refuse(static_cast<unsigned>(slot.error().detail));
  return {.status = 101, .body = {}, .slot = std::move(*slot)};
}

}  // namespace zks::relay
