// SPDX-License-Identifier: MIT
//
// What root's process reads of the two processes that hear the network (supervisor_wire.hpp): they are not
// believed. Sans-IO. A message is a JSON object of at most kMaxMessageBytes; what is not one of these, whole
// and within its bounds, is nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/ip_address.hpp"
#include "base/relay_url.hpp"

namespace zks::vpn {

inline constexpr std::size_t kMaxMessageBytes = 8'192;
inline constexpr std::size_t kMaxAnswerAddresses = 64;  // of a name; as many as net/dns_lookup.hpp takes
inline constexpr std::size_t kMaxReadyLines = 256;

struct SocketRequest {
  std::uint64_t id = 0;
  bool ipv4 = false;
  bool udp = false;
};
struct LookUpRequest {
  std::uint64_t id = 0;
  HostPort target;
};
struct UpNotice {
  std::vector<std::string> lines;  // without control characters: a line stays one
};
struct AliveNotice {};
struct NameAnswer {
  std::uint64_t id = 0;
  std::vector<IpAddress> addresses;
  std::uint64_t failure = 0;  // net::LookupFailure, where there are none
};

using WorkerMessage = std::variant<SocketRequest, LookUpRequest, UpNotice, AliveNotice>;
using NameMessage = std::variant<SocketRequest, NameAnswer>;

// Nothing for what is no object, or too long.
std::optional<nlohmann::json> read_body(std::string_view text);
std::optional<WorkerMessage> read_worker_message(const nlohmann::json& body);
std::optional<NameMessage> read_name_message(const nlohmann::json& body);

}  // namespace zks::vpn
