// SPDX-License-Identifier: MIT
#include "host/name_service.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <net/if.h>
#include <sys/stat.h>

#include "base/log.hpp"
#include "host/resolv_conf.hpp"
#include "host/resolved.hpp"
#include "host/resolvers.hpp"
#include "host/small_file.hpp"

namespace zks::host {
namespace {

// In the journal, of all devices together.
constexpr std::size_t kMaxDomains = 64;

bool names_resolved(const std::string& resolv_conf) {
  const auto text = read_small_file(resolv_conf);
  if (!text) return false;
  return std::ranges::any_of(parse_name_servers(*text), is_resolved_stub, &NameServer::address);
}

// The system's D-Bus is the same in every network namespace, and may well lead to another one's resolver. A
// service without CAP_SYS_PTRACE can't see where a process is; resolv.conf then says whether it is here.
bool is_here(const ResolvedProcess& process, const std::string& resolv_conf) {
  struct stat ours {};
  struct stat theirs {};
  const std::string file = fmt::format("/proc/{}/ns/net", process.pid);
  if (process.pid == 0 || ::stat("/proc/self/ns/net", &ours) != 0 || ::stat(file.c_str(), &theirs) != 0) {
    return names_resolved(resolv_conf);
  }
  return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

bool takes_all_names(const Plan& plan) {
  const auto everywhere = [&](const char* prefix) {
    return std::ranges::find(plan.routes, *parse_prefix(prefix)) != plan.routes.end();
  };
  return plan.dns && plan.uids.empty() && everywhere("0.0.0.0/0") && everywhere("::/0");
}

int index_of(const std::string& tun) {
  return static_cast<int>(::if_nametoindex(tun.c_str()));
}

std::string name_of(int device) {
  std::array<char, IF_NAMESIZE> name{};
  return ::if_indextoname(static_cast<unsigned>(device), name.data()) == nullptr ? "" : name.data();
}

// Null: systemd-resolved does not run here.
Bus bus_to_resolved(const Plan& plan) {
  auto bus = open_system_bus();
  if (!bus) return nullptr;
  const auto process = find_resolved(bus->get());
  return process && is_here(*process, plan.resolv_conf) ? std::move(*bus) : nullptr;
}

// What a device had before replaces what it had before that: the last is what another program wants.
Result<> note(Journal& journal, ResolvedDomainsChange change) {
  std::vector<Change> changes = journal.changes();
  std::size_t domains = change.before.size();
  auto place = changes.end();
  for (auto at = changes.begin(); at != changes.end(); ++at) {
    const auto* other = std::get_if<ResolvedDomainsChange>(&*at);
    if (other == nullptr) continue;
    if (other->device == change.device) {
      place = at;
    } else {
      domains += other->before.size();
    }
  }
  if (domains > kMaxDomains) return make_error(ErrorKind::kLimit, "systemd-resolved has too many domains");
  if (place == changes.end()) return journal.append(std::move(change));
  *place = std::move(change);
  return journal.keep(std::move(changes));
}

Result<> go_around(const Plan& plan, Journal& journal) {
  const auto change = plan_resolv_conf(plan);
  if (!change) return change.error();
  if (auto written = journal.append(*change); !written) return written;
  return replace_resolv_conf(*change);
}

}  // namespace

std::optional<std::uint32_t> find_resolved_to_bind(const Plan& plan) {
  const Bus bus = takes_all_names(plan) ? bus_to_resolved(plan) : nullptr;
  const auto process = bus ? find_resolved(bus.get()) : std::nullopt;
  // Where it were root's, so would be much else.
  if (!process || process->uid == 0) return std::nullopt;
  return process->uid;
}

Result<bool> take_resolved_domains(const Plan& plan, Journal& journal) {
  if (!plan.resolved_uid) return false;
  const Bus bus = bus_to_resolved(plan);
  if (!bus) return false;
  const auto all = resolved_domains(bus.get(), {plan.dns_ipv4, plan.dns_ipv6});
  if (!all) return all.error();
  const int own = index_of(plan.tun);
  if (!all->contains(own)) {  // it was restarted, or another program has told it otherwise
    auto set = set_resolved(bus.get(), own, {plan.dns_ipv4, plan.dns_ipv6});
    if (!set) return set.error();
  }
  bool left = false;
  for (const auto& [device, domains] : *all) {
    if (device == own) continue;
    const std::string name = device == 0 ? "" : name_of(device);
    if (name.empty() || !note(journal, {name, domains}) || !set_resolved_domains(bus.get(), device, {})) {
      left = true;
    }
  }
  return left;
}

Result<std::string> set_up_name_service(const Plan& plan, Journal& journal) {
  const Bus bus = bus_to_resolved(plan);
  bool answers = bus && names_resolved(plan.resolv_conf);
  if (bus) {
    auto told = set_resolved(bus.get(), index_of(plan.tun), {plan.dns_ipv4, plan.dns_ipv6});
    const auto left = told ? take_resolved_domains(plan, journal) : Result<bool>(told.error());
    if (!left) log::warn("{}; {} goes around it", left.error().text, plan.resolv_conf);
    if (left && *left) {
      log::warn(
          "systemd-resolved keeps domains of its own, of resolved.conf or systemd-networkd: {} goes around "
          "it; "
          "programs that ask it itself find no name below these",
          plan.resolv_conf);
    }
    answers = answers && left && !*left;
  }
  if (answers) return std::string(kNameServiceResolved);
  if (auto around = go_around(plan, journal); !around) return around.error();
  return plan.resolv_conf;
}

Result<> restore_resolved_domains(const ResolvedDomainsChange& change) {
  const int device = index_of(change.device);
  const auto bus = open_system_bus();
  // Gone with who knew of them.
  if (device == 0 || !bus || !find_resolved(bus->get())) return {};
  const auto now = resolved_domains(bus->get(), {});
  if (!now) return now.error();
  if (now->contains(device)) return {};
  return set_resolved_domains(bus->get(), device, change.before);
}

Result<> take_down_name_service(const std::string& tun, const std::string& what) {
  const int device = index_of(tun);
  if (what != kNameServiceResolved || device == 0) return {};
  const auto bus = open_system_bus();
  if (!bus) return bus.error();
  return revert_resolved(bus->get(), device);
}

}  // namespace zks::host
