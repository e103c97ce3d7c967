// SPDX-License-Identifier: MIT
//
// What `vpn` changes on a machine, alone, driven by lines on stdin, for tests/e2e/test_vpn_host.py. A line is
// a command and its argument in JSON; the answer is "ok" and JSON, or "error" and a text.
//
//   up {"journal": FILE, "tun": NAME, "routes": [PREFIX...], "excludes": [...], "uids": [[FIRST, LAST]...],
//       "kill_switch": BOOL, "dns": BOOL, "resolv_conf": FILE}
//   allow [[ADDRESS, PORT, UDP]...]
//   summary null | resolvers null | undo null
//   restore null                   what was put back
//   leftovers FILE                 true if there were any
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "base/log.hpp"
#include "host/host.hpp"

namespace zks::host {
namespace {

using nlohmann::json;

std::vector<Prefix> prefixes_of(const json& texts) {
  std::vector<Prefix> out;
  for (const json& text : texts) out.push_back(parse_prefix(text.get<std::string>()).value());
  return out;
}

Plan plan_of(const json& fields) {
  Plan out{.tun = fields.at("tun")};
  if (fields.contains("routes")) out.routes = prefixes_of(fields["routes"]);
  out.excludes = prefixes_of(fields.value("excludes", json::array()));
  for (const json& range : fields.value("uids", json::array()))
    out.uids.push_back({range.at(0), range.at(1)});
  out.kill_switch = fields.value("kill_switch", true);
  out.dns = fields.value("dns", true);
  out.resolv_conf = fields.at("resolv_conf");
  return out;
}

json checked(const Result<>& result) {
  if (!result) throw std::runtime_error(result.error().text);
  return nullptr;
}

class Driver {
 public:
  // Throws the text of what failed.
  json run(const std::string& command, const json& argument) {
    if (command == "up") return up(argument);
    if (command == "leftovers") return undo_leftovers(argument.get<std::string>()).value();
    if (!host_) throw std::invalid_argument(command + " before up");
    if (command == "allow") return allow(argument);
    if (command == "summary") return host_->summary();
    if (command == "keep") return host_->keep_name_service().value();
    if (command == "restore") return host_->restore().value();
    if (command == "undo") return checked(host_->undo());
    if (command != "resolvers") throw std::invalid_argument(command);
    host_->look_for_resolvers();
    json out = json::array();
    for (const NameServer& server : host_->outside_resolvers()) out.push_back(server.text());
    return out;
  }

 private:
  json up(const json& argument) {
    host_.emplace(Host::set_up(plan_of(argument), argument.at("journal").get<std::string>()).value());
    return nullptr;
  }

  json allow(const json& argument) {
    std::vector<RelayEndpoint> endpoints;
    for (const json& endpoint : argument) {
      endpoints.push_back({.address = parse_ip_address(endpoint.at(0).get<std::string>()).value(),
                           .port = endpoint.at(1),
                           .udp = endpoint.at(2)});
    }
    return checked(host_->allow(endpoints));
  }

  std::optional<Host> host_;
};

}  // namespace
}  // namespace zks::host

int main() {
  zks::log::set_up("info", false);
  zks::host::Driver driver;
  std::string command;
  while (std::cin >> command) {
    std::string argument;
    std::getline(std::cin, argument);
    try {
      const nlohmann::json answer = driver.run(command, nlohmann::json::parse(argument));
      std::cout << "ok " << answer << std::endl;
    } catch (const std::exception& error) {
      std::cout << "error " << error.what() << std::endl;
    }
  }
}
