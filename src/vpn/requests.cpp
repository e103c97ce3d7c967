// SPDX-License-Identifier: MIT
#include "vpn/requests.hpp"

#include <algorithm>
#include <limits>

#include "base/json_integer.hpp"

namespace zks::vpn {
namespace {

using Json = nlohmann::json;

std::optional<std::string> text(const Json& body, const char* name) {
  const auto at = body.find(name);
  if (at == body.end() || !at->is_string()) return std::nullopt;
  return at->get<std::string>();
}

// Null where it is none, or has more than `most`.
const Json* texts(const Json& body, const char* name, std::size_t most) {
  const auto at = body.find(name);
  if (at == body.end() || !at->is_array() || at->size() > most) return nullptr;
  const bool all = std::ranges::all_of(*at, [](const Json& each) { return each.is_string(); });
  return all ? &*at : nullptr;
}

bool is_line(const std::string& line) {
  return std::ranges::none_of(line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::optional<SocketRequest> read_socket_request(const Json& body, std::uint64_t id) {
  const auto family = read_integer_member(body, "family");
  if (family != 4U && family != 6U) return std::nullopt;
  const auto udp = body.find("udp");
  return SocketRequest{id, family == 4U, udp != body.end() && *udp == true};
}

std::optional<LookUpRequest> read_look_up_request(const Json& body, std::uint64_t id) {
  auto host = text(body, "host");
  const auto port = read_integer_member(body, "port", 0, std::numeric_limits<std::uint16_t>::max());
  if (!host || !port) return std::nullopt;
  return LookUpRequest{id, {std::move(*host), static_cast<std::uint16_t>(*port)}};
}

std::optional<UpNotice> read_up(const Json& body) {
  const Json* lines = texts(body, "lines", kMaxReadyLines);
  if (lines == nullptr) return std::nullopt;
  UpNotice out{lines->get<std::vector<std::string>>()};
  return std::ranges::all_of(out.lines, is_line) ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace

std::optional<Json> read_body(std::string_view bytes) {
  if (bytes.size() > kMaxMessageBytes) return std::nullopt;
  Json body = Json::parse(bytes.begin(), bytes.end(), nullptr, /*allow_exceptions=*/false);
  return body.is_object() ? std::optional(std::move(body)) : std::nullopt;
}

std::optional<WorkerMessage> read_worker_message(const Json& body) {
  const auto what = text(body, "do");
  const auto id = read_integer_member(body, "id");
  if (what == "alive") return AliveNotice{};
  if (what == "up") return read_up(body);
  if (what == "socket" && id) return read_socket_request(body, *id);
  if (what == "look_up" && id) return read_look_up_request(body, *id);
  return std::nullopt;
}

std::optional<NameMessage> read_name_message(const Json& body) {
  const auto id = read_integer_member(body, "id");
  if (!id) return std::nullopt;
  if (text(body, "do") == "socket") return read_socket_request(body, *id);
  NameAnswer out{*id, {}, read_integer_member(body, "failure").value_or(0)};
  const Json* addresses = texts(body, "addresses", kMaxAnswerAddresses);
  if (addresses == nullptr) return std::nullopt;
  for (const Json& each : *addresses) {
    const auto address = parse_ip_address(each.get<std::string>());
    if (!address) return std::nullopt;
    out.addresses.push_back(*address);
  }
  return out;
}

}  // namespace zks::vpn
