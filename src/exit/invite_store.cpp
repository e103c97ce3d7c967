// SPDX-License-Identifier: MIT
#include "exit/invite_store.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/log.hpp"
#include "net/wakeup.hpp"

namespace zks::exit {
namespace {

// A client takes an exit that is silent for 5 s for dead. What is written down later counts for its next try.
constexpr std::chrono::seconds kPinWithin{3};

Error busy() {
  return make_error(ErrorKind::kIo,
                    "the state directory is busy: its disk is slow, or a process holds its lock");
}

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

Result<> InviteStore::refresh() {
  read_clock();
  auto read = read_changes();
  reading_.note(read, std::chrono::steady_clock::now());
  return read;
}

void InviteStore::read_clock() {
  now_ = expiry_clock_.now(clock_());
  const auto jump = expiry_clock_.jump();
  if (jump && (!told_jump_ || std::llabs(*jump - *told_jump_) > ExpiryClock::kSlack)) {
    log::warn("the clock was set by {} s; invites expire by it once it has stayed so for {} s", *jump,
              ExpiryClock::kStays);
  }
  told_jump_ = jump;
}

Result<> InviteStore::read_changes() {
  // The versions are read first: a change in between is seen again next time, never missed.
  const std::uint64_t version = state_.invites_version();
  if (version_ != version || version == 0) {
    version_.reset();
    if (auto read = read_invites(); !read) return read;
    version_ = version;
  }
  // While it is being written, what the file says may or may not have what is counted here.
  const std::uint64_t usage_version = state_.usage_version();
  if (saving_ || usage_version_ == usage_version || usage_is_lost()) return {};
  usage_version_.reset();
  if (auto read = read_usage(); !read) return read;  // a quota that nobody counts is none
  usage_version_ = usage_version;
  return {};
}

// What is known is written down again then: a file that somebody deleted gives nobody a new quota.
bool InviteStore::usage_is_lost() const {
  return !usage_.empty() && state_.usage_version() == 0;
}

Result<> InviteStore::read_invites() {
  auto invites = state_.existing_invites();
  if (!invites) return invites.error();
  std::vector<OwnRules> rules;
  for (const link::Invite& invite : *invites) {
    auto read = read_rules(invite.terms);
    if (!read) return make_error(ErrorKind::kIo, "the invite " + invite.name + ": " + read.error().text);
    rules.push_back(std::move(*read));
    if (invite.unknown_terms) {
      log::warn("the invite {} has terms that this version does not know: they are kept and not applied",
                invite.name);
    }
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

Result<> InviteStore::read_usage() {
  const auto usage = state_.load_usage();
  if (!usage) return usage.error();
  take_usage(*usage);
  return {};
}

void InviteStore::take_usage(const link::Usage& usage) {
  usage_ = usage;
  for (const auto& [id, allowance] : allowances_) {
    const auto at = usage_.find(id);
    allowance->set_saved(at == usage_.end() ? 0 : at->second);
  }
}

std::shared_ptr<Allowance> InviteStore::allowance_of(const InviteId& id) {
  auto& allowance = allowances_[id];
  if (!allowance) {
    allowance =
        std::make_shared<Allowance>(executor_, policy_, &std::chrono::steady_clock::now, all_streams_);
    if (const auto at = usage_.find(id); at != usage_.end()) allowance->set_saved(at->second);
  }
  return allowance;
}

std::shared_ptr<Allowance> InviteStore::allowance(const tunnel::Claim& claim) {
  return allowance_of(claim.invite);
}

void InviteStore::save_usage_sometimes(TimePoint now) {
  if (now - saved_ < (writing_.error() ? kSaveAgain : kSaveEvery)) return;
  saved_ = now;
  (void)save_usage();
}

bool InviteStore::save_usage() {
  link::Usage more;
  for (const auto& [id, allowance] : allowances_) {
    if (allowance->unsaved_bytes() != 0) more[id] = allowance->unsaved_bytes();
  }
  if (saving_ || (more.empty() && !usage_is_lost() && !writing_.error())) return false;
  saving_ = writer_->run<Result<link::Usage>>(
      [state = state_, more, known = usage_]() mutable { return state.add_usage(more, known); },
      [this, more, alive = std::weak_ptr(alive_)](const Result<link::Usage>& usage) {
        if (!alive.expired()) usage_saved(more, usage);
      });
  return saving_;
}

void InviteStore::usage_saved(const link::Usage& more, const Result<link::Usage>& usage) {
  saving_ = false;
  writing_.note(usage ? Result<>() : usage.error(), std::chrono::steady_clock::now());
  if (usage) {
    for (const auto& [id, bytes] : more) {
      if (const auto at = allowances_.find(id); at != allowances_.end()) at->second->note_saved(bytes);
    }
    take_usage(*usage);
  }
  if (!finished_) return;
  if (usage && save_usage()) return;  // what came meanwhile
  std::exchange(finished_, nullptr)();
}

void InviteStore::finish(std::function<void()> saved) {
  finished_ = std::move(saved);
  if (saving_ || save_usage()) return;
  std::exchange(finished_, nullptr)();
}

const link::Invite* InviteStore::find(const tunnel::Claim& claim) const {
  const auto at = std::find_if(invites_.begin(), invites_.end(),
                               [&](const link::Invite& invite) { return invite.id == claim.invite; });
  return at == invites_.end() || at->expired(now_) ? nullptr : &*at;
}

bool InviteStore::is_pinned(const tunnel::Claim& claim) const {
  const link::Invite* invite = find(claim);
  if (invite == nullptr) return false;
  const auto& devices = invite->devices;
  return std::find(devices.begin(), devices.end(), claim.client_key) != devices.end();
}

Result<Key> InviteStore::authorize(const tunnel::Claim& claim, bool running) {
  const auto refreshed = refresh();
  if (!refreshed && !running) return refreshed.error();
  const link::Invite* invite = find(claim);
  if (invite == nullptr) return make_error(ErrorKind::kRefused, "no such invite");
  if (!is_pinned(claim) && invite->devices.size() >= invite->max_devices) {
    return make_error(ErrorKind::kRefused, "the invite is used by all its devices");
  }
  return invite->psk.clone();
}

carrier::Task<> InviteStore::admit(tunnel::Claim claim) {
  const auto refreshed = refresh();            // what was decided since message 1 counts
  if (is_pinned(claim)) co_return Result<>();  // no lock, no disk
  if (!refreshed) co_return refreshed.error();
  struct Pin {
    explicit Pin(const boost::asio::any_io_executor& executor) : done(executor) {}
    std::optional<Result<>> outcome;
    net::Wakeup done;
  };
  const auto pin = std::make_shared<Pin>(executor_);
  const TimePoint asked = std::chrono::steady_clock::now();
  std::function<Result<>()> work = [state = state_, claim, now = now_, asked]() mutable {
    // The disk, or the lock, took too long for those before: who asked is gone, and will ask again.
    if (std::chrono::steady_clock::now() - asked > kPinWithin) return Result<>(busy());
    return state.pin_device(claim.invite, claim.client_key, now);
  };
  std::function<void(Result<>)> done = [this, pin, alive = std::weak_ptr(alive_)](Result<> outcome) {
    if (!alive.expired()) note_pin(outcome);
    pin->outcome = std::move(outcome);
    pin->done.notify();
  };
  if (!writer_->run<Result<>>(std::move(work), std::move(done))) co_return busy();
  while (!pin->outcome && std::chrono::steady_clock::now() < asked + kPinWithin) {
    co_await pin->done.wait_until(asked + kPinWithin);
  }
  if (!pin->outcome) note_pin(busy());
  if (!pin->outcome) co_return busy();
  const Result<> pinned = *pin->outcome;
  if (!pinned) co_return pinned.error();
  co_return refresh();
}

void InviteStore::note_pin(const Result<>& outcome) {
  const bool refused = !outcome && outcome.error().kind == ErrorKind::kRefused;
  if (!refused) writing_.note(outcome, std::chrono::steady_clock::now());
}

std::vector<std::string> InviteStore::faults() const {
  std::vector<std::string> out;
  for (const Fault* fault : {&reading_, &writing_}) {
    if (fault->error()) out.push_back(fault->error()->text);
  }
  return out;
}

bool InviteStore::welcome(const tunnel::Claim& claim) const {
  return find(claim) != nullptr;
}

std::string InviteStore::name_of(const tunnel::Claim& claim) const {
  const link::Invite* invite = find(claim);
  return invite == nullptr ? std::string() : invite->name;
}

}  // namespace zks::exit
