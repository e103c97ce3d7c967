// SPDX-License-Identifier: MIT
#include "host/host.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <net/if.h>

#include "base/log.hpp"
#include "host/connections.hpp"
#include "host/firewall.hpp"
#include "host/mounts.hpp"
#include "host/name_service.hpp"
#include "host/resolv_conf.hpp"
#include "host/routing.hpp"
#include "host/small_file.hpp"
#include "host/sysctl.hpp"
#include "host/tun_link.hpp"

namespace zks::host {
namespace {

// What ends up in nftables' commands, in paths below /proc and in netlink messages.
Result<> check(const Plan& plan) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  constexpr std::size_t kLongest = 15;  // IFNAMSIZ - 1
  constexpr unsigned kLeastMtu = 1280;
  constexpr unsigned kMostMtu = 65535;
  if (plan.tun.empty() || plan.tun.size() > kLongest ||
      plan.tun.find_first_not_of(kAllowed) != std::string::npos) {
    return make_error(
        ErrorKind::kUsage,
        "the TUN device's name is 1 to 15 letters, digits, '-' and '_', not \"" + plan.tun + "\"");
  }
  if (!plan.tun_ipv4.is_ipv4() || !plan.dns_ipv4.is_ipv4() || plan.tun_ipv6.is_ipv4() ||
      plan.dns_ipv6.is_ipv4()) {
    return make_error(ErrorKind::kUsage,
                      "the TUN device and its DNS server have one IPv4 and one IPv6 address each");
  }
  if (plan.routes.size() > kMaxRoutes || plan.excludes.size() > kMaxExcludes ||
      plan.uids.size() > kMaxUidRanges) {
    return make_error(ErrorKind::kUsage,
                      fmt::format("at most {} routes, {} excluded prefixes and {} ranges of users",
                                  kMaxRoutes, kMaxExcludes, kMaxUidRanges));
  }
  if (plan.mtu < kLeastMtu || plan.mtu > kMostMtu) {
    return make_error(ErrorKind::kUsage, "the TUN device's MTU is 1280 (IPv6's least) to 65535");
  }
  for (const UidRange& range : plan.uids) {
    if (range.first <= range.last) continue;
    return make_error(ErrorKind::kUsage, "a range of users begins with the smaller number");
  }
  return {};
}

struct Undo {
  Result<> operator()(const FirewallChange&) const { return without_value(remove_firewall()); }
  Result<> operator()(const RoutingChange& change) const {
    // While they have no way to send; a failure costs no more than connections that hang.
    if (auto ended = end_connections(change.addresses); !ended) log::warn("{}", ended.error().text);
    return without_value(remove_routing());
  }
  Result<> operator()(const MarkCheckChange& change) const {
    const auto now = read_sysctl(kMarkCheck);
    if (now && *now == change.before) return {};
    return write_sysctl(kMarkCheck, change.before);
  }
  Result<> operator()(const ResolvConfChange& change) const { return restore_resolv_conf(change); }
  Result<> operator()(const ResolvedDomainsChange& change) const { return restore_resolved_domains(change); }

  static Result<> without_value(const Result<bool>& result) {
    if (!result) return result.error();
    return {};
  }
};

// The last first. What could not be undone is kept in the journal, and the first error returned.
Result<> undo_changes(Journal& journal, std::vector<Change> changes, std::vector<Change> kept) {
  Result<> first;
  const auto place = static_cast<std::ptrdiff_t>(kept.size());
  for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
    auto undone = std::visit(Undo{}, *change);
    if (undone) continue;
    if (first) first = undone;
    kept.insert(kept.begin() + place, *change);
  }
  auto written = journal.keep(std::move(kept));
  return first ? written : first;
}

Result<> check_marks(Journal& journal) {
  const auto before = read_sysctl(kMarkCheck);
  if (before && *before == "1") return {};
  auto set = before ? journal.append(MarkCheckChange{*before}) : Result<>(before.error());
  if (!set) return set;
  if (!write_sysctl(kMarkCheck, "1")) {
    log::warn("can't set net.ipv4.conf.all.src_valid_mark: where rp_filter is 1, relays can't be reached");
  }
  return {};
}

}  // namespace

Result<Host> Host::set_up(const Plan& plan, const std::string& journal_file) {
  if (auto checked = check(plan); !checked) return checked.error();
  Plan here = plan;
  // A link to what is mounted, as `ip netns exec` does it where systemd-resolved's link is: the link is
  // everybody's.
  std::error_code ignored;
  if (!mounted_at(plan.resolv_conf).empty()) {
    const auto real = std::filesystem::canonical(plan.resolv_conf, ignored);
    if (!ignored) here.resolv_conf = real;
  }
  auto journal = Journal::open(journal_file);
  if (!journal) return journal.error();
  Host out(std::move(here), std::move(*journal));
  out.plan_.resolved_uid = find_resolved_to_bind(out.plan_);
  if (auto made = out.make_changes(); !made) {
    if (auto undone = out.undo(); !undone) log::error("{}", undone.error().text);
    return made.error();
  }
  return out;
}

Result<> Host::make_changes() {
  found_closed_ = has_kill_switch();
  // A crash's kill switch is in force until ours is; the rest of what it left goes afterwards.
  std::vector<Change> left = journal_.changes();
  if (auto written = journal_.append(FirewallChange{}); !written) return written;
  auto firewall = Firewall::install(plan_, allowed_);
  if (!firewall) return firewall.error();
  firewall_ = std::move(*firewall);
  std::erase_if(left, [](const Change& change) { return std::holds_alternative<FirewallChange>(change); });
  left.push_back(RoutingChange{});  // also without a journal
  if (auto undone = undo_changes(journal_, std::move(left), {FirewallChange{}}); !undone) return undone;

  if (auto checked = check_marks(journal_); !checked) return checked;
  if (auto up = set_up_tun(plan_); !up) return up;
  tun_index_ = ::if_nametoindex(plan_.tun.c_str());
  if (auto written = journal_.append(RoutingChange{{plan_.tun_ipv4, plan_.tun_ipv6}}); !written)
    return written;
  if (auto installed = install_routing(plan_); !installed) return installed.error();
  look_for_resolvers();
  if (!plan_.dns) return {};
  auto name_service = set_up_name_service(plan_, journal_);
  if (!name_service) return name_service.error();
  name_service_ = *name_service;
  return {};
}

Result<> Host::allow(const std::vector<RelayEndpoint>& endpoints) {
  if (endpoints.size() > kMaxAllowed) {
    return make_error(ErrorKind::kLimit, "the relays have more than " + std::to_string(kMaxAllowed) +
                                             " addresses; name fewer of them");
  }
  if (auto set = firewall_->allow(endpoints); !set) return set;
  allowed_ = endpoints;
  return {};
}

// resolv.conf is ours until another program writes it. Where a link was before, its target is still kept up
// by who made it (NetworkManager, resolvconf).
void Host::look_for_resolvers() {
  std::string file = plan_.resolv_conf;
  for (const Change& change : journal_.changes()) {
    const auto* ours = std::get_if<ResolvConfChange>(&change);
    if (ours == nullptr || ours->before != ResolvConfChange::Form::kLink) continue;
    const auto now = read_small_file(ours->path);
    if (now && *now == ours->ours) file = std::filesystem::path(ours->path).parent_path() / ours->content;
  }
  auto found = host::outside_resolvers(file, {plan_.dns_ipv4, plan_.dns_ipv6});
  if (!found.empty()) outside_resolvers_ = std::move(found);
}

Result<bool> Host::keep_name_service() {
  const auto left = take_resolved_domains(plan_, journal_);
  if (!left) return left.error();
  if (*left && name_service_ == kNameServiceResolved) {
    auto around = set_up_name_service(plan_, journal_);
    if (!around) return around.error();
    name_service_ = *around;
  }
  if (name_service_ != plan_.resolv_conf) return false;
  std::vector<Change> changes = journal_.changes();
  const auto ours = std::find_if(changes.rbegin(), changes.rend(), [](const Change& change) {
    return std::holds_alternative<ResolvConfChange>(change);
  });
  if (ours == changes.rend()) return false;
  auto now = plan_resolv_conf(plan_);
  if (!now) return now.error();
  const bool foreign = now->before != ResolvConfChange::Form::kFile || now->content != now->ours;
  if (!foreign || foreign_ != *now) {
    foreign_ = foreign ? std::optional(*now) : std::nullopt;
    return false;
  }
  look_for_resolvers();
  *ours = *now;
  if (auto written = journal_.keep(std::move(changes)); !written) return written.error();
  if (auto replaced = replace_resolv_conf(*now); !replaced) return replaced.error();
  foreign_.reset();
  return true;
}

Result<std::vector<std::string>> Host::restore() {
  std::vector<std::string> out;
  const auto note = [&](const Result<bool>& restored, const char* what) {
    if (restored && *restored) out.emplace_back(what);
    return restored.has_value();
  };
  auto restored = firewall_->restore();
  if (!note(restored, plan_.kill_switch ? "the kill switch" : "the firewall table")) return restored.error();
  restored = restore_tun(plan_, tun_index_);
  if (!note(restored, "the TUN device's state")) return restored.error();
  restored = install_routing(plan_);
  if (!note(restored, "routing rules or routes")) return restored.error();
  const auto marks = read_sysctl(kMarkCheck);
  if (marks && *marks != "1" && write_sysctl(kMarkCheck, "1"))
    out.emplace_back("net.ipv4.conf.all.src_valid_mark");
  return out;
}

Result<> Host::undo() {
  firewall_.reset();  // its guard goes; the table stays until it is removed
  Result<> first = take_down_name_service(plan_.tun, name_service_);
  name_service_ = kNameServiceUnchanged;
  // Before the kill switch: with their address gone, connections of the tunnel send nothing by other ways.
  if (auto down = take_down_tun(plan_.tun); !down && first) first = down;
  auto undone = undo_changes(journal_, journal_.changes(), {});
  return first ? undone : first;
}

nlohmann::json Host::summary() const {
  const auto texts = [](const std::vector<Prefix>& prefixes) {
    auto out = nlohmann::json::array();
    for (const Prefix& prefix : prefixes) out.push_back(prefix.text());
    return out;
  };
  auto uids = nlohmann::json::array();
  for (const UidRange& range : plan_.uids) uids.push_back({{"first", range.first}, {"last", range.last}});
  return {{"tun", plan_.tun},
          {"ipv4", plan_.tun_ipv4.text()},
          {"ipv6", has_ipv6(plan_.tun) ? nlohmann::json(plan_.tun_ipv6.text()) : nlohmann::json()},
          {"mtu", plan_.mtu},
          {"dns", {plan_.dns_ipv4.text(), plan_.dns_ipv6.text()}},
          {"routes", texts(plan_.routes)},
          {"excludes", texts(plan_.excludes)},
          {"uids", uids},
          {"kill_switch", plan_.kill_switch},
          {"allowed_endpoints", allowed_.size()},
          {"name_service", name_service_}};
}

Result<bool> undo_leftovers(const std::string& journal_file) {
  // What the kernel has of ours goes even if the journal can't be read.
  auto journal = Journal::open(journal_file);
  bool any = journal && !journal->changes().empty();
  Result<> first;
  if (any) first = undo_changes(*journal, journal->changes(), {});
  for (auto* const remove : {remove_routing, remove_firewall}) {
    const auto removed = remove();
    if (removed && *removed) any = true;
    if (!removed && first) first = removed.error();
  }
  if (!journal) return journal.error();
  if (!first) return first.error();
  return any;
}

}  // namespace zks::host
