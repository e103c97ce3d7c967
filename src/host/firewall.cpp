// SPDX-License-Identifier: MIT
#include "host/firewall.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <nftables/libnftables.h>

#include "base/log.hpp"

namespace zks::host {
namespace {

constexpr char kGuardTable[] = "zks-vpn-guard";

// Link-local traffic that is not the user's: without it the uplink loses its address, or its router.
// Hop limits are RFC 4861's and RFC 3810's: nothing with them is forwarded.
constexpr std::string_view kUplinkKeeping = R"(
		meta skuid {services} meta nfproto ipv4 udp sport 68 udp dport 67 accept
		meta skuid {services} ip6 daddr {{ fe80::/10, ff02::1:2 }} udp sport 546 udp dport 547 accept
		icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
		icmpv6 type {{ mld-listener-report, mld-listener-done, mld2-listener-report }} ip6 hoplimit 1 accept)";

// What has the TUN device's address as its source belongs into it, whatever a routing rule of somebody else
// says. CVE-2019-14899: a neighbour on the uplink must not find that address, nor reach connections on it. ct
// mark gives the replies to our sockets the mark by which strict rp_filter finds them to come from where they
// should. With or without a kill switch our own sockets go to our relays and nowhere else, as it is the
// worker that connects them.
constexpr std::string_view kAlways = R"(
	chain own {{
		ct mark set meta mark
		ip daddr . meta l4proto . th dport @allowed4 accept
		ip6 daddr . meta l4proto . th dport @allowed6 accept
		drop
	}}
	chain output {{
		type filter hook output priority filter; policy accept;
		oifname {{ "lo", "{tun}" }} accept
		ip saddr {tun4} drop
		ip6 saddr {tun6} drop
		meta mark {mark:#x} goto own
		{rest}
	}}
	chain prerouting {{
		type filter hook prerouting priority mangle; policy accept;
		iifname != {{ "lo", "{tun}" }} ip daddr {tun4} drop
		iifname != {{ "lo", "{tun}" }} ip6 daddr {tun6} drop
		ct mark {mark:#x} meta mark set ct mark
	}}
)";

constexpr std::string_view kExcludedRules = R"(ip daddr @excluded4 accept
		ip6 daddr @excluded6 accept)";

// With a name server outside the tunnel systemd-resolved would tell it which names are looked up, whatever
// domains it has been told of (name_service.hpp). Multicast, which is for the LAN, and answers to clients are
// none of this.
constexpr std::string_view kResolvedIsOurs = R"(
		meta skuid {} ct direction original meta l4proto {{ tcp, udp }} th dport != {{ 5353, 5355 }} reject with icmpx admin-prohibited)";

std::string resolved_is_ours(const Plan& plan) {
  return plan.resolved_uid ? fmt::format(kResolvedIsOurs, *plan.resolved_uid) : std::string();
}

// Programs hear of it at once; the ICMP error goes over lo to the packet's own sender.
constexpr std::string_view kTakenRules = R"(
	chain taken {
		ip daddr @taken4 reject with icmpx admin-prohibited
		ip6 daddr @taken6 reject with icmpx admin-prohibited
	}
)";

// Of containers and other machines. An error to them would have to pass `output`. With br_netfilter, which
// docker loads, packets between ports of a bridge pass here, too: what nobody forwards for its scope (RFC
// 4291, section 2.5.6; RFC 5771, section 4) goes from port to port, and containers find each other by it.
constexpr std::string_view kForward = R"(
	chain forward {{
		type filter hook forward priority filter; policy accept;
		oifname "{tun}" accept
		{excluded}
		ip daddr {{ 224.0.0.0/24, 255.255.255.255 }} accept
		ip6 daddr {{ fe80::/10, ff02::/16 }} accept
		ip daddr @taken4 drop
		ip6 daddr @taken6 drop
	}}
)";

std::string elements(const std::vector<std::string>& texts) {
  return texts.empty() ? "" : fmt::format("elements = {{ {} }}", fmt::join(texts, ", "));
}

std::string prefix_sets(const char* name, const std::vector<Prefix>& prefixes) {
  std::string out;
  for (const bool ipv4 : {true, false}) {
    std::vector<std::string> texts;
    for (const Prefix& prefix : prefixes) {
      if (prefix.address.is_ipv4() == ipv4) texts.push_back(prefix.text());
    }
    out += fmt::format("\tset {}{} {{ type {}; flags interval; auto-merge; {} }}\n", name, ipv4 ? 4 : 6,
                       ipv4 ? "ipv4_addr" : "ipv6_addr", elements(texts));
  }
  return out;
}

std::vector<std::string> endpoint_texts(const std::vector<RelayEndpoint>& endpoints, bool ipv4) {
  std::vector<std::string> out;
  for (const RelayEndpoint& endpoint : endpoints) {
    if (endpoint.address.is_ipv4() != ipv4) continue;
    out.push_back(
        fmt::format("{} . {} . {}", endpoint.address.text(), endpoint.udp ? "udp" : "tcp", endpoint.port));
  }
  return out;
}

std::string allowed_sets(const std::vector<RelayEndpoint>& allowed) {
  std::string out;
  for (const bool ipv4 : {true, false}) {
    out += fmt::format("\tset allowed{} {{ type {} . inet_proto . inet_service; {} }}\n", ipv4 ? 4 : 6,
                       ipv4 ? "ipv4_addr" : "ipv6_addr", elements(endpoint_texts(allowed, ipv4)));
  }
  return out;
}

std::string uid_set(const std::vector<UidRange>& uids) {
  std::vector<std::string> texts;
  for (const UidRange& range : uids) texts.push_back(fmt::format("{}-{}", range.first, range.last));
  return fmt::format("\tset uids {{ type uid; flags interval; auto-merge; {} }}\n", elements(texts));
}

std::string always(const Plan& plan, const std::vector<RelayEndpoint>& allowed, std::string_view rest) {
  return allowed_sets(allowed) + fmt::format(kAlways, fmt::arg("rest", rest), fmt::arg("tun", plan.tun),
                                             fmt::arg("tun4", plan.tun_ipv4.text()),
                                             fmt::arg("tun6", plan.tun_ipv6.text()), fmt::arg("mark", kMark));
}

std::string kill_switch(const Plan& plan, const std::vector<RelayEndpoint>& allowed) {
  std::string out = prefix_sets("excluded", plan.excludes) + prefix_sets("taken", plan.routes);
  if (!plan.uids.empty()) out += uid_set(plan.uids);
  out += kTakenRules;
  // Packets without a socket, such as the answer to an echo request, are nobody's.
  const char* whose = plan.uids.empty() ? "goto taken" : "meta skuid @uids goto taken";
  out += always(
      plan, allowed,
      fmt::format("{}\n\t\t{}{}\n\t\t{}", resolved_is_ours(plan), kExcludedRules,
                  fmt::format(kUplinkKeeping,
                              fmt::arg("services", fmt::format("{}-{}", kServices.first, kServices.last))),
                  whose));
  if (plan.uids.empty()) {
    out += fmt::format(kForward, fmt::arg("tun", plan.tun), fmt::arg("excluded", kExcludedRules));
  }
  return out;
}

using Context = std::unique_ptr<nft_ctx, void (*)(nft_ctx*)>;

Context make_context() {
  Context out(nft_ctx_new(NFT_CTX_DEFAULT), nft_ctx_free);
  if (out && (nft_ctx_buffer_output(out.get()) != 0 || nft_ctx_buffer_error(out.get()) != 0)) out.reset();
  return out;
}

// What the commands print.
Result<std::string> run_in(nft_ctx* context, const std::string& commands, const std::string& action) {
  if (context == nullptr) return make_error(ErrorKind::kIo, "can't " + action + ": no memory for nftables");
  if (nft_run_cmd_from_buffer(context, commands.c_str()) == 0) return nft_ctx_get_output_buffer(context);
  const std::string said = nft_ctx_get_error_buffer(context);
  return make_error(
      ErrorKind::kIo,
      fmt::format("can't {}: nftables says \"{}\"; it takes root or CAP_NET_ADMIN, and a kernel with "
                  "nf_tables (modprobe nf_tables)",
                  action, said.substr(0, said.find('\n'))));
}

Result<> run_nft(const std::string& commands, const std::string& action) {
  const auto said = run_in(make_context().get(), commands, action);
  if (!said) return said.error();
  return {};
}

constexpr char kSetUp[] = "set up the firewall table";

// The chains and sets of a table as nft(8) prints them, without its name and owner. Empty: there is none.
std::string listed(nft_ctx* context, const char* table) {
  const auto text = run_in(context, fmt::format("list table inet {}\n", table), "look at the firewall");
  if (!text) return "";
  std::string out = text->substr(std::min(text->find('\n'), text->size()));
  constexpr std::string_view kOwner = "\n\tflags owner\n";
  if (out.starts_with(kOwner)) out.erase(0, kOwner.size());
  return out;
}

// "delete" fails where there is no table, so one is added first.
std::string deletion(const char* table) {
  return fmt::format("table inet {0}\ndelete table inet {0}\n", table);
}

}  // namespace

std::string firewall_commands(const Plan& plan, const std::vector<RelayEndpoint>& allowed, const char* table,
                              bool owned) {
  const std::string body =
      plan.kill_switch ? kill_switch(plan, allowed) : always(plan, allowed, resolved_is_ours(plan));
  // "delete" fails where there is no table, so one is added first.
  return fmt::format("{}table inet {} {{\n{}{}}}\n", deletion(table), table, owned ? "\tflags owner\n" : "",
                     body);
}

std::string allow_commands(const std::vector<RelayEndpoint>& allowed, const char* table) {
  std::string out;
  for (const bool ipv4 : {true, false}) {
    const std::string set = fmt::format("inet {} allowed{}", table, ipv4 ? 4 : 6);
    out += fmt::format("flush set {}\n", set);
    const auto texts = endpoint_texts(allowed, ipv4);
    if (!texts.empty()) out += fmt::format("add element {} {{ {} }}\n", set, fmt::join(texts, ", "));
  }
  return out;
}

void Firewall::Close::operator()(nft_ctx* context) const {
  nft_ctx_free(context);
}

Result<Firewall> Firewall::install(const Plan& plan, const std::vector<RelayEndpoint>& allowed) {
  Firewall out(plan, allowed);
  out.owner_.reset(make_context().release());
  const auto owned =
      run_in(out.owner_.get(), firewall_commands(plan, allowed, kGuardTable, /*owned=*/true), kSetUp);
  if (!owned) {
    log::debug("no table of its own for the firewall: {}", owned.error().text);
    out.owner_.reset();
  }
  if (auto set = out.replace_table(); !set) return set.error();
  return out;
}

Result<> Firewall::replace_table() {
  if (!owner_) {
    if (auto set = run_nft(firewall_commands(plan_, allowed_, kGuardTable), kSetUp); !set) return set;
  }
  if (auto set = run_nft(firewall_commands(plan_, allowed_), kSetUp); !set) return set;
  if (owner_) return {};
  listed_ = listed(make_context().get(), kFirewallTable);
  return run_nft(deletion(kGuardTable), kSetUp);
}

Result<> Firewall::allow(const std::vector<RelayEndpoint>& allowed) {
  const std::string action = "open the kill switch for the relay";
  allowed_ = allowed;
  if (owner_) {
    const auto set = run_in(owner_.get(), allow_commands(allowed, kGuardTable), action);
    if (!set) return set.error();
  }
  if (!run_nft(allow_commands(allowed), action)) return replace_table();
  if (!owner_) listed_ = listed(make_context().get(), kFirewallTable);
  return {};
}

Result<std::string> Firewall::wanted() const {
  if (!owner_) return listed_;
  std::string out = listed(owner_.get(), kGuardTable);
  if (out.empty()) return make_error(ErrorKind::kIo, "can't look at the firewall's own table");
  return out;
}

Result<bool> Firewall::restore() {
  const auto should_be = wanted();
  if (!should_be) return should_be.error();
  if (listed(make_context().get(), kFirewallTable) == *should_be) return false;
  if (auto set = replace_table(); !set) return set.error();
  return true;
}

bool has_firewall() {
  return run_nft(fmt::format("list table inet {}\n", kFirewallTable), "look at the firewall").has_value();
}

bool has_kill_switch() {
  return run_nft(fmt::format("list chain inet {} taken\n", kFirewallTable), "look at the firewall")
      .has_value();
}

Result<bool> remove_firewall() {
  bool any = false;
  for (const char* name : {kGuardTable, kFirewallTable}) {
    const std::string table = fmt::format("table inet {}\n", name);
    if (!run_nft("list " + table, "look at the firewall")) continue;
    if (auto gone = run_nft(deletion(name), "remove the firewall table"); !gone) return gone.error();
    any = true;
  }
  return any;
}

}  // namespace zks::host
