// SPDX-License-Identifier: MIT
#include "exit/half_open.hpp"

#include <algorithm>
#include <utility>

namespace zks::exit {

HalfOpen::Slot::Slot(HalfOpen& owner, std::string relay)
    : owner_(owner), relay_(std::move(relay)), at_(owner_.slots_.insert(owner_.slots_.end(), this)) {
  owner_.of_relay_.add(relay_);
}

HalfOpen::Slot::~Slot() {
  leave();
}

void HalfOpen::Slot::leave() {
  drop_ = nullptr;
  if (!at_) return;
  owner_.slots_.erase(*std::exchange(at_, std::nullopt));
  owner_.of_relay_.remove(relay_);
}

void HalfOpen::Slot::drop() {
  dropped_ = true;
  ++owner_.dropped_;
  const auto drop = std::exchange(drop_, nullptr);
  leave();
  if (drop) drop();
}

std::shared_ptr<HalfOpen::Slot> HalfOpen::admit(const std::string& relay, TimePoint now) {
  if (knocks_too_often(relay, now)) return nullptr;
  if (slots_.size() >= kMaxLanes) {
    Slot* const gives_way = who_gives_way(relay);
    if (gives_way == nullptr) return nullptr;
    gives_way->drop();
  }
  return std::make_shared<Slot>(*this, relay);
}

bool HalfOpen::knocks_too_often(const std::string& relay, TimePoint now) {
  const auto at = knocks_.try_emplace(relay, kKnocksASecond, kKnocksAtOnce, now).first;
  return !at->second.try_take(1, now);
}

HalfOpen::Slot* HalfOpen::who_gives_way(const std::string& newcomer) const {
  const std::string& relay = of_relay_.heaviest(newcomer);
  const bool own = relay == newcomer;
  std::map<InviteId, std::size_t> of_invite;
  for (const Slot* slot : slots_) {
    if (slot->relay_ == relay && slot->invite_) ++of_invite[*slot->invite_];
  }
  const auto fewer = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto most = std::max_element(of_invite.begin(), of_invite.end(), fewer);
  const bool over = most != of_invite.end() && most->second > kOfAnInvite;
  const auto oldest = [&](const auto& fits) -> Slot* {
    const auto at = std::find_if(slots_.begin(), slots_.end(),
                                 [&](const Slot* slot) { return slot->relay_ == relay && fits(*slot); });
    return at == slots_.end() ? nullptr : *at;
  };
  if (over) return oldest([&](const Slot& slot) { return slot.invite_ == most->first; });
  if (own) return oldest([](const Slot& slot) { return !slot.invite_ && !slot.dialling_; });
  if (Slot* unnamed = oldest([](const Slot& slot) { return !slot.invite_; })) return unnamed;
  return oldest([](const Slot&) { return true; });
}

}  // namespace zks::exit
