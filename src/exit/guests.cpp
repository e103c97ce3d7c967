// SPDX-License-Identifier: MIT
#include "exit/guests.hpp"

#include <algorithm>
#include <ctime>

namespace zks::exit {
namespace {

template <class OneRule>
Result<std::vector<OneRule>> parse_rules(const std::vector<std::string>& texts,
                                         Result<OneRule> (*parse)(std::string_view)) {
  std::vector<OneRule> out;
  for (const std::string& text : texts) {
    auto rule = parse(text);
    if (!rule) return rule.error();
    out.push_back(std::move(*rule));
  }
  return out;
}

struct OwnRules {
  Rules rules;
  ListenRules listen;
};

Result<OwnRules> read_rules(const link::Terms& terms) {
  auto allow = parse_rules(terms.allow, &parse_rule);
  if (!allow) return allow.error();
  auto deny = parse_rules(terms.deny, &parse_rule);
  if (!deny) return deny.error();
  auto listen = parse_rules(terms.allow_listen, &parse_listen_rule);
  if (!listen) return listen.error();
  return OwnRules{{std::move(*allow), std::move(*deny)}, ListenRules(std::move(*listen))};
}

}  // namespace

Result<> Guests::refresh() {
  // The versions are read first: a change in between is seen again next time, never missed.
  const std::uint64_t version = state_.invites_version();
  if (version_ != version) {
    if (auto read = read_invites(); !read) {
      invites_.clear();
      version_.reset();
      return read;
    }
    version_ = version;
  }
  const std::uint64_t usage_version = state_.usage_version();
  if (usage_version_ == usage_version) return {};
  if (auto read = read_usage(); !read) {
    invites_.clear();  // a quota that nobody counts is none
    version_.reset();
    return read;
  }
  usage_version_ = usage_version;
  return {};
}

Result<> Guests::read_invites() {
  auto invites = state_.load_invites();
  if (!invites) return invites.error();
  std::vector<OwnRules> rules;
  for (const link::Invite& invite : *invites) {
    auto read = read_rules(invite.terms);
    if (!read) return make_error(ErrorKind::kIo, "the invite " + invite.name + ": " + read.error().text);
    rules.push_back(std::move(*read));
  }
  invites_ = std::move(*invites);
  for (std::size_t i = 0; i < invites_.size(); ++i) {
    allowance_of(invites_[i].id)
        ->set_terms(std::move(rules[i].rules), invites_[i].terms, std::move(rules[i].listen));
  }
  // Those of revoked invites stay as long as a session that is about to end has them.
  std::erase_if(allowances_, [this](const auto& entry) {
    return entry.second.use_count() == 1 &&
           std::none_of(invites_.begin(), invites_.end(),
                        [&entry](const link::Invite& invite) { return invite.id == entry.first; });
  });
  return {};
}

Result<> Guests::read_usage() {
  const auto usage = state_.load_usage();
  if (!usage) return usage.error();
  take_usage(*usage);
  return {};
}

void Guests::take_usage(const link::Usage& usage) {
  usage_ = usage;
  for (const auto& [id, allowance] : allowances_) {
    const auto at = usage_.find(id);
    allowance->set_saved(at == usage_.end() ? 0 : at->second);
  }
}

std::shared_ptr<Allowance> Guests::allowance_of(const InviteId& id) {
  auto& allowance = allowances_[id];
  if (!allowance) {
    allowance =
        std::make_shared<Allowance>(executor_, policy_, &std::chrono::steady_clock::now, all_streams_);
    if (const auto at = usage_.find(id); at != usage_.end()) allowance->set_saved(at->second);
  }
  return allowance;
}

std::shared_ptr<Allowance> Guests::allowance(const tunnel::Claim& claim) {
  return allowance_of(claim.invite);
}

Result<> Guests::save_usage_sometimes(TimePoint now) {
  if (now - saved_ < kSaveEvery) return {};
  saved_ = now;
  return save_usage();
}

Result<> Guests::save_usage() {
  link::Usage more;
  for (const auto& [id, allowance] : allowances_) {
    if (allowance->unsaved_bytes() != 0) more[id] = allowance->unsaved_bytes();
  }
  if (more.empty()) return {};
  const auto usage = state_.add_usage(more);
  if (!usage) return usage.error();
  for (const auto& [id, bytes] : more) allowances_[id]->note_saved(bytes);
  take_usage(*usage);
  return {};
}

const link::Invite* Guests::find(const tunnel::Claim& claim) const {
  const auto at = std::find_if(invites_.begin(), invites_.end(),
                               [&](const link::Invite& invite) { return invite.id == claim.invite; });
  return at == invites_.end() || at->expired(std::time(nullptr)) ? nullptr : &*at;
}

bool Guests::is_pinned(const tunnel::Claim& claim) const {
  const link::Invite* invite = find(claim);
  if (invite == nullptr) return false;
  const auto& devices = invite->devices;
  return std::find(devices.begin(), devices.end(), claim.client_key) != devices.end();
}

std::optional<Key> Guests::authorize(const tunnel::Claim& claim) {
  if (!refresh()) return std::nullopt;  // look_after_guests() reports it, once a second
  const link::Invite* invite = find(claim);
  if (invite == nullptr) return std::nullopt;
  if (!is_pinned(claim) && invite->devices.size() >= invite->max_devices) return std::nullopt;
  return invite->psk.clone();
}

Result<> Guests::admit(const tunnel::Claim& claim) {
  (void)refresh();  // what was decided since message 1 counts; who can't be found now is refused below
  if (is_pinned(claim)) return {};  // no lock
  if (auto pinned = state_.pin_device(claim.invite, claim.client_key); !pinned) return pinned;
  return refresh();
}

bool Guests::welcome(const tunnel::Claim& claim) const {
  return find(claim) != nullptr;
}

std::string Guests::name_of(const tunnel::Claim& claim) const {
  const link::Invite* invite = find(claim);
  return invite == nullptr ? std::string() : invite->name;
}

}  // namespace zks::exit
