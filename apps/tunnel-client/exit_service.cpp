// SPDX-License-Identifier: MIT
#include "exit_service.hpp"

#include "base/atomic_file.hpp"
#include "link/issue_link.hpp"
#include "network_options.hpp"

namespace zks::app {
namespace {

constexpr const char* kDefaultInvite = "default";

Result<link::RelayList> choose_relays(link::StateDirectory& state, const ExitPeerOptions& options) {
  if (options.relays.empty()) {
    auto kept = state.load_relays();
    if (!kept && !state.was_in_use()) {
      return make_error(ErrorKind::kUsage, "no relay is known yet: give one with --relay wss://HOST");
    }
    return kept;
  }
  link::RelayList relays{options.relays, options.relay_pin};
  if (auto checked = link::StateDirectory::check_relays(relays); !checked) return checked.error();
  return relays;
}

exit::ExitLimits limits_of(const ExitPeerOptions& options) {
  exit::ExitLimits limits;
  limits.max_streams = options.max_streams;
  limits.max_flows = options.max_flows;
  limits.flow_timeout = options.flow_timeout;
  limits.max_sessions = options.max_sessions;
  limits.listen_rules = options.allow_listen;
  limits.log_destinations = options.log_destinations;
  return limits;
}

Result<std::shared_ptr<exit::GuestResolver>> make_resolver(boost::asio::any_io_executor executor,
                                                           const std::vector<std::string>& servers) {
  net::LookupOptions options;
  for (const std::string& server : servers) options.servers += (options.servers.empty() ? "" : ",") + server;
  auto resolver = net::Resolver::create(std::move(executor), std::move(options));
  if (!resolver) return resolver.error();
  return std::make_shared<exit::GuestResolver>(std::move(*resolver));
}

}  // namespace

Result<std::unique_ptr<ExitService>> ExitService::create(boost::asio::any_io_executor executor,
                                                         const ExitPeerOptions& options,
                                                         exit::ExitPeer::Handlers handlers) {
  auto state = link::StateDirectory::open(options.common.state_dir);
  if (!state) return state.error();
  auto identity = state->load_or_create_exit_identity();
  if (!identity) return identity.error();
  auto relays = choose_relays(*state, options);
  if (!relays) return relays.error();
  std::unique_ptr<ExitService> service(new ExitService);
  service->state_dir_ = options.common.state_dir;
  service->relays_ = *relays;
  service->first_start_ = !state->was_in_use();
  if (auto issued = service->issue_default_link(*state, *identity, *relays); !issued) return issued.error();

  service->writer_ = std::make_shared<exit::StateWriter>(executor);
  service->policy_ = std::make_shared<exit::Policy>(exit::Rules{options.allow, options.deny});
  auto interfaces =
      net::InterfaceWatch::start(executor, [self = service.get()](std::vector<net::LocalNetwork> networks) {
        self->policy_->set_local_networks(std::move(networks));
        if (self->peer_) self->peer_->network_changed();
      });
  if (!interfaces) return interfaces.error();
  service->interfaces_ = std::move(*interfaces);
  auto sleep = net::WakeWatch::start(executor, [self = service.get()] {
    if (self->peer_) self->peer_->network_changed();
  });
  if (!sleep) return sleep.error();
  service->sleep_ = std::move(*sleep);
  auto resolver = make_resolver(executor, options.resolvers);
  if (!resolver) return resolver.error();

  exit::ExitPeerOptions peer;
  peer.relays = relays->relays;
  carrier::DialOptions dial = options.common.dial;
  dial.pin = relays->pin;
  announce_proxies(dial, peer.relays);
  peer.dialler = std::make_shared<carrier::NetworkDialler>(std::move(dial));
  peer.sessions.limits = limits_of(options);
  peer.sessions.orphan_timeout = options.orphan_timeout;
  peer.control_refresh = options.control_refresh;
  peer.reconnect_max = options.common.reconnect_max;
  service->peer_ = std::make_shared<exit::ExitPeer>(
      executor, std::move(peer), std::move(*identity),
      exit::InviteStore(std::move(*state), executor, service->policy_, service->writer_),
      std::move(*resolver), std::move(handlers));
  return service;
}

void ExitService::write_down(const std::filesystem::path& link_file,
                             std::function<void(const Written&)> done) {
  std::function<Written()> work = [directory = state_dir_, relays = relays_, link_file,
                                   link = default_link_] {
    Written out;
    auto state = link::StateDirectory::open(directory);
    out.relays = state ? state->save_relays(relays) : state.error();
    if (!link_file.empty() && link) out.link = write_file_atomically(link_file, *link + "\n");
    return out;
  };
  (void)writer_->run<Written>(std::move(work), std::move(done));  // the first: there is room
}

void ExitService::reload(const ExitPeerOptions& options) {
  policy_->set_rules(exit::Rules{options.allow, options.deny});
  peer_->set_limits(limits_of(options));
}

Result<> ExitService::issue_default_link(link::StateDirectory& state, const link::ExitIdentity& identity,
                                         const link::RelayList& relays) {
  auto invites = state.load_invites();
  if (!invites) return invites.error();
  if (state.invites_version() == 0) {
    auto made = state.add_invite(kDefaultInvite, std::nullopt, link::kDefaultDevices);
    if (!made) return made.error();
    invites->push_back(std::move(*made));
  }
  state.mark_invites();  // an older version may have made them
  for (const auto& invite : *invites) {
    if (invite.name == kDefaultInvite) {
      default_link_ = link::format_access_link(link::issue_link(identity, relays, invite));
    }
  }
  return {};
}

}  // namespace zks::app
