// SPDX-License-Identifier: MIT
#include "exit/half_open.hpp"

#include <algorithm>
#include <utility>

namespace zks::exit {

HalfOpen::Place::Place(HalfOpen& owner, std::string relay)
    : owner_(owner), relay_(std::move(relay)), at_(owner_.places_.insert(owner_.places_.end(), this)) {
  owner_.of_relay_.add(relay_);
}

HalfOpen::Place::~Place() {
  leave();
}

void HalfOpen::Place::leave() {
  drop_ = nullptr;
  if (!at_) return;
  owner_.places_.erase(*std::exchange(at_, std::nullopt));
  owner_.of_relay_.remove(relay_);
}

void HalfOpen::Place::drop() {
  dropped_ = true;
  ++owner_.dropped_;
  const auto drop = std::exchange(drop_, nullptr);
  leave();
  if (drop) drop();
}

std::shared_ptr<HalfOpen::Place> HalfOpen::admit(const std::string& relay, TimePoint now) {
  if (knocks_too_often(relay, now)) return nullptr;
  if (places_.size() >= kMaxLanes) {
    Place* const gives_way = who_gives_way(relay);
    if (gives_way == nullptr) return nullptr;
    gives_way->drop();
  }
  return std::make_shared<Place>(*this, relay);
}

bool HalfOpen::knocks_too_often(const std::string& relay, TimePoint now) {
  const auto at = knocks_.try_emplace(relay, kKnocksASecond, kKnocksAtOnce, now).first;
  return !at->second.try_take(1, now);
}

HalfOpen::Place* HalfOpen::who_gives_way(const std::string& newcomer) const {
  const std::string& relay = of_relay_.heaviest(newcomer);
  const bool own = relay == newcomer;
  std::map<InviteId, std::size_t> of_invite;
  for (const Place* place : places_) {
    if (place->relay_ == relay && place->invite_) ++of_invite[*place->invite_];
  }
  const auto fewer = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto most = std::max_element(of_invite.begin(), of_invite.end(), fewer);
  const bool over = most != of_invite.end() && most->second > kOfAnInvite;
  const auto oldest = [&](const auto& fits) -> Place* {
    const auto at = std::find_if(places_.begin(), places_.end(),
                                 [&](const Place* place) { return place->relay_ == relay && fits(*place); });
    return at == places_.end() ? nullptr : *at;
  };
  if (over) return oldest([&](const Place& place) { return place.invite_ == most->first; });
  if (own) return oldest([](const Place& place) { return !place.invite_ && !place.dialling_; });
  if (Place* unnamed = oldest([](const Place& place) { return !place.invite_; })) return unnamed;
  return oldest([](const Place&) { return true; });
}

}  // namespace zks::exit
