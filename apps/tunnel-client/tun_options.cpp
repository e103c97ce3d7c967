// SPDX-License-Identifier: MIT
#include "tun_options.hpp"

#include <charconv>

#include <pwd.h>

#include "base/usage_error.hpp"

namespace zks::app {
namespace {

constexpr std::size_t kMinMtu = 1280;  // RFC 8200, section 5
constexpr std::size_t kMaxMtu = 65'535;

Result<std::vector<Prefix>> parse_prefixes(const char* option, const std::vector<std::string>& texts) {
  std::vector<Prefix> out;
  for (const std::string& text : texts) {
    const auto prefix = parse_prefix(text);
    if (!prefix)
      return usage_error(std::string(option) +
                         ": not an address or a network, as in 192.168.0.0/16: " + text);
    out.push_back(*prefix);
  }
  return out;
}

std::optional<std::uint32_t> parse_uid(std::string_view text) {
  std::uint32_t uid = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), uid);
  if (ec == std::errc() && end == text.data() + text.size()) return uid;
  const passwd* user = ::getpwnam(std::string(text).c_str());
  return user != nullptr ? std::optional<std::uint32_t>(user->pw_uid) : std::nullopt;
}

Result<host::UidRange> parse_uid_range(const std::string& text) {
  if (const auto one = parse_uid(text)) return host::UidRange{*one, *one};
  const std::size_t dash = text.find('-');
  const auto first = parse_uid(text.substr(0, dash));
  const auto last = dash == std::string::npos ? std::nullopt : parse_uid(text.substr(dash + 1));
  if (!first || !last || *first > *last)
    return usage_error("--uid: not a user, a number or FIRST-LAST: " + text);
  return host::UidRange{*first, *last};
}

}  // namespace

void add_tun(CLI::App& app, TunOptions& options, TunText& text) {
  host::Plan& plan = options.plan;
  app.add_option("--route", text.routes, "only this network goes through the tunnel; repeatable [everything]")
      ->type_name("CIDR")
      ->allow_extra_args(false);
  app.add_option("--exclude", text.excludes,
                 "this network is reached without the tunnel, as the LAN may have to be; repeatable")
      ->type_name("CIDR")
      ->allow_extra_args(false);
  app.add_option("--uid", text.uids,
                 "only what this user's programs send goes through the tunnel; repeatable [everybody's]")
      ->type_name("USER|N|N-M")
      ->allow_extra_args(false);
  app.add_option("--dns", text.dns,
                 "IPv4 address at which the exit's resolver answers, which this machine's name service is "
                 "pointed at; 'none' to leave it alone")
      ->type_name("ADDR")
      ->default_str(plan.dns_ipv4.text());
  app.add_flag(
      "--kill-switch,!--no-kill-switch", plan.kill_switch,
      "let nothing leave but through the tunnel, also while it is down and after a crash, until this "
      "program is told to end [on]");
  app.add_flag(
      "--stay-closed", options.stay_closed,
      "leave the kill switch on also when an error ends this program before its first session, as for "
      "a service that is started again [what was changed is undone then]");
  text.mtu = plan.mtu;
  ops::add_count(app, "--mtu", text.mtu, kMinMtu, kMaxMtu, "of the TUN device");
  app.add_flag(
      "--offloads,!--no-offloads", options.offloads,
      "let the kernel hand over TCP and UDP in packets of up to 64 KiB, larger than the MTU, where it "
      "can; off is for kernels that do it wrong, and slower unless --mtu is raised [on]");
  ops::add_duration(
      app, "--flow-timeout", options.flow_timeout,
      "how long a UDP port of a program is kept at the exit without a datagram; ten seconds, if that is "
      "less, where it only wrote to port 53");
  app.add_option("--run-as", options.user, "who the process is that talks to the network")
      ->type_name("USER")
      ->default_str(options.user);
}

Result<> finish_tun(const TunText& text, TunOptions& options) {
  host::Plan& plan = options.plan;
  if (!text.routes.empty()) {
    auto routes = parse_prefixes("--route", text.routes);
    if (!routes) return routes.error();
    plan.routes = std::move(*routes);
  }
  auto excludes = parse_prefixes("--exclude", text.excludes);
  if (!excludes) return excludes.error();
  plan.excludes = std::move(*excludes);
  for (const std::string& uid : text.uids) {
    const auto range = parse_uid_range(uid);
    if (!range) return range.error();
    plan.uids.push_back(*range);
  }
  plan.mtu = static_cast<unsigned>(text.mtu);
  plan.dns = text.dns != "none";
  if (plan.dns && !text.dns.empty()) {
    const auto address = parse_ip_address(text.dns);
    if (!address || !address->is_ipv4())
      return usage_error("--dns: not an IPv4 address, or 'none': " + text.dns);
    plan.dns_ipv4 = *address;
  }
  return {};
}

}  // namespace zks::app
