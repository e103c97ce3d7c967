// SPDX-License-Identifier: MIT
#include "host/resolved.hpp"

#include <algorithm>
#include <cstring>

#include "base/netlink.hpp"

namespace zks::host {
namespace {

constexpr std::uint64_t kTimeoutMicroseconds = 5'000'000;
constexpr char kService[] = "org.freedesktop.resolve1";
constexpr char kObject[] = "/org/freedesktop/resolve1";
constexpr char kInterface[] = "org.freedesktop.resolve1.Manager";

struct FreeMessage {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, FreeMessage>;

Message method(sd_bus* bus, const char* name) {
  sd_bus_message* out = nullptr;
  sd_bus_message_new_method_call(bus, &out, kService, kObject, kInterface, name);
  return Message(out);
}

// `built` is what building the message returned: negative without memory, or without a message.
Result<> call(sd_bus* bus, const Message& message, int built) {
  sd_bus_error error = SD_BUS_ERROR_NULL;
  const int done = built < 0 ? built : sd_bus_call(bus, message.get(), kTimeoutMicroseconds, &error, nullptr);
  const std::string said = error.message != nullptr ? error.message : std::strerror(-done);
  sd_bus_error_free(&error);
  if (done >= 0) return {};
  return make_error(ErrorKind::kIo, "systemd-resolved does not take the tunnel's DNS servers: " + said,
                    -done);
}

int append_servers(sd_bus_message* message, const std::vector<IpAddress>& servers) {
  int done = sd_bus_message_open_container(message, 'a', "(iay)");
  for (const IpAddress& server : servers) {
    if (done >= 0) done = sd_bus_message_open_container(message, 'r', "iay");
    if (done >= 0) done = sd_bus_message_append(message, "i", family_of(server));
    if (done >= 0) done = sd_bus_message_append_array(message, 'y', server.bytes.data(), server.bits() / 8);
    if (done >= 0) done = sd_bus_message_close_container(message);
  }
  return done < 0 ? done : sd_bus_message_close_container(message);
}

Result<> set_text(sd_bus* bus, const char* name, int device, const char* value) {
  const Message message = method(bus, name);
  return call(bus, message, sd_bus_message_append(message.get(), "is", device, value));
}

Message property(sd_bus* bus, const char* name, const char* type) {
  sd_bus_message* out = nullptr;
  sd_bus_error error = SD_BUS_ERROR_NULL;
  sd_bus_get_property(bus, kService, kObject, kInterface, name, &error, &out, type);
  sd_bus_error_free(&error);
  return Message(out);
}

// In resolved.conf. Device, family, address each.
bool has_server_of_its_own(sd_bus_message* servers, const std::vector<IpAddress>& ours) {
  bool out = false;
  sd_bus_message_enter_container(servers, 'a', "(iiay)");
  while (sd_bus_message_enter_container(servers, 'r', "iiay") > 0) {
    int device = 0;
    int family = 0;
    const void* bytes = nullptr;
    std::size_t size = 0;
    sd_bus_message_read(servers, "ii", &device, &family);
    sd_bus_message_read_array(servers, 'y', &bytes, &size);
    sd_bus_message_exit_container(servers);
    if (device != 0 || (size != 4 && size != 16)) continue;
    const auto* address = static_cast<const std::uint8_t*>(bytes);
    const IpAddress server = size == 4 ? make_ipv4(address) : make_ipv6(address);
    out = out || std::ranges::find(ours, server) == ours.end();
  }
  return out;
}

}  // namespace

Result<Bus> open_system_bus() {
  sd_bus* bus = nullptr;
  const int opened = sd_bus_open_system(&bus);
  if (opened < 0) {
    return make_error(ErrorKind::kIo,
                      std::string("can't reach the system's D-Bus: ") + std::strerror(-opened), -opened);
  }
  sd_bus_set_method_call_timeout(bus, kTimeoutMicroseconds);
  return Bus(bus);
}

std::optional<ResolvedProcess> find_resolved(sd_bus* bus) {
  sd_bus_creds* found = nullptr;
  if (sd_bus_get_name_creds(bus, kService, SD_BUS_CREDS_PID | SD_BUS_CREDS_EUID, &found) < 0)
    return std::nullopt;
  const std::unique_ptr<sd_bus_creds, sd_bus_creds* (*)(sd_bus_creds*)> owned(found, &sd_bus_creds_unref);
  ResolvedProcess out;
  uid_t uid = 0;
  if (sd_bus_creds_get_euid(found, &uid) < 0) return std::nullopt;
  out.uid = uid;
  if (sd_bus_creds_get_pid(found, &out.pid) < 0) out.pid = 0;
  return out;
}

Result<> set_resolved(sd_bus* bus, int device, const std::vector<IpAddress>& servers) {
  const Message dns = method(bus, "SetLinkDNS");
  int built = sd_bus_message_append(dns.get(), "i", device);
  if (built >= 0) built = append_servers(dns.get(), servers);
  if (auto set = call(bus, dns, built); !set) return set;

  // "~.": the root, for routing only; it goes before every other device that has no longer match.
  if (auto set = set_resolved_domains(bus, device, {{".", true}}); !set) return set;

  const Message route = method(bus, "SetLinkDefaultRoute");
  if (auto set = call(bus, route, sd_bus_message_append(route.get(), "ib", device, 1)); !set) return set;
  for (const char* name : {"SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSOverTLS"}) {
    if (auto set = set_text(bus, name, device, "no"); !set) return set;
  }
  const Message flush = method(bus, "FlushCaches");
  return call(bus, flush, flush ? 0 : -ENOMEM);
}

Result<> revert_resolved(sd_bus* bus, int device) {
  const Message message = method(bus, "RevertLink");
  return call(bus, message, sd_bus_message_append(message.get(), "i", device));
}

Result<ResolvedDomains> resolved_domains(sd_bus* bus, const std::vector<IpAddress>& ours) {
  const Message domains = property(bus, "Domains", "a(isb)");
  const Message servers = property(bus, "DNS", "a(iiay)");
  if (!domains || !servers) {
    return make_error(ErrorKind::kIo, "systemd-resolved does not say which names go where");
  }
  ResolvedDomains out;
  int device = 0;
  const char* name = nullptr;
  int routing_only = 0;
  sd_bus_message_enter_container(domains.get(), 'a', "(isb)");
  while (sd_bus_message_read(domains.get(), "(isb)", &device, &name, &routing_only) > 0) {
    out[device].push_back({name, routing_only != 0});
  }
  if (!has_server_of_its_own(servers.get(), ours)) out.erase(0);
  return out;
}

Result<> set_resolved_domains(sd_bus* bus, int device, const std::vector<ResolvedDomain>& domains) {
  const Message message = method(bus, "SetLinkDomains");
  int built = sd_bus_message_append(message.get(), "i", device);
  if (built >= 0) built = sd_bus_message_open_container(message.get(), 'a', "(sb)");
  for (const ResolvedDomain& domain : domains) {
    if (built < 0) break;
    built = sd_bus_message_append(message.get(), "(sb)", domain.name.c_str(), domain.routing_only ? 1 : 0);
  }
  if (built >= 0) built = sd_bus_message_close_container(message.get());
  return call(bus, message, built);
}

}  // namespace zks::host
