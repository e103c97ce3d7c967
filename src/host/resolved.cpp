// SPDX-License-Identifier: MIT
#include "host/resolved.hpp"

#include <cstring>

#include "host/netlink.hpp"

namespace zks::host {
namespace {

constexpr std::uint64_t kTimeoutMicroseconds = 5'000'000;

struct FreeMessage {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, FreeMessage>;

Message method(sd_bus* bus, const char* name) {
  sd_bus_message* out = nullptr;
  sd_bus_message_new_method_call(bus, &out, "org.freedesktop.resolve1", "/org/freedesktop/resolve1",
                                 "org.freedesktop.resolve1.Manager", name);
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

}  // namespace

Result<Bus> open_system_bus() {
  sd_bus* bus = nullptr;
  const int opened = sd_bus_open_system(&bus);
  if (opened < 0) {
    return make_error(ErrorKind::kIo,
                      std::string("can't reach the system's D-Bus: ") + std::strerror(-opened), -opened);
  }
  return Bus(bus);
}

Result<> set_resolved(sd_bus* bus, int device, const std::vector<IpAddress>& servers) {
  const Message dns = method(bus, "SetLinkDNS");
  int built = sd_bus_message_append(dns.get(), "i", device);
  if (built >= 0) built = append_servers(dns.get(), servers);
  if (auto set = call(bus, dns, built); !set) return set;

  // "~.": the root, for routing only; it goes before every other device that has no longer match.
  const Message domains = method(bus, "SetLinkDomains");
  built = sd_bus_message_append(domains.get(), "ia(sb)", device, 1, ".", 1);
  if (auto set = call(bus, domains, built); !set) return set;

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

}  // namespace zks::host
