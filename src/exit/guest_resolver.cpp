// SPDX-License-Identifier: MIT
#include "exit/guest_resolver.hpp"

namespace zks::exit {
namespace {

using net::LookupFailure;
using session::ResetCode;

ResetCode code_of(LookupFailure failure) {
  switch (failure) {
    case LookupFailure::kNotFound:
      return ResetCode::kNameNotFound;
    case LookupFailure::kTimedOut:
      return ResetCode::kTimedOut;
    case LookupFailure::kUnanswered:
      return ResetCode::kHostUnreachable;
    case LookupFailure::kLimit:
      return ResetCode::kLimit;
    case LookupFailure::kGeneral:
      return ResetCode::kGeneralFailure;
  }
  return ResetCode::kGeneralFailure;
}

}  // namespace

// One lookup under way.
struct GuestResolver::Slot {
  Slot(std::shared_ptr<GuestResolver> of, Asker who) : owner(std::move(of)), asker(who) {
    owner->outstanding_.add(asker);
  }
  ~Slot() { owner->outstanding_.remove(asker); }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  std::shared_ptr<GuestResolver> owner;
  Asker asker;
};

net::Resolver::Admit GuestResolver::admit(const Asker& asker) {
  return [self = shared_from_this(), asker]() -> std::shared_ptr<void> {
    if (!self->outstanding_.leave_enough(asker, self->max_lookups_)) return nullptr;
    return std::make_shared<Slot>(self, asker);
  };
}

boost::asio::awaitable<Resolution> GuestResolver::resolve(std::string name, TimePoint deadline, Asker asker) {
  auto asking = resolver_->resolve(std::move(name), deadline, admit(asker));
  net::Resolution found = co_await std::move(asking);
  co_return Resolution{code_of(found.failure), std::move(found.addresses)};
}

boost::asio::awaitable<Result<Bytes>> GuestResolver::answer(Bytes query, TimePoint deadline, Asker asker) {
  auto asking = resolver_->answer(std::move(query), deadline, admit(asker));
  co_return co_await std::move(asking);
}

}  // namespace zks::exit
