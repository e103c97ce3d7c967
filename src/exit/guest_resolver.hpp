// SPDX-License-Identifier: MIT
//
// Names looked up for guests (net/resolver.hpp), each of whom has a share of the lookups under way: the step
// before the policy (policy.hpp), which judges whatever comes out.
//
// Bound: `max_lookups` under way; each invite and device has a share (guest_shares.hpp). One more fails at
// once with kLimit. Executor: the resolver's. Lifetime: shared; lookups under way hold it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "exit/guest_shares.hpp"
#include "net/resolver.hpp"
#include "session/destination.hpp"

namespace zks::exit {

struct Resolution {
  session::ResetCode code = session::ResetCode::kNameNotFound;  // why there are no addresses
  std::vector<IpAddress> addresses;                             // net::Resolution's
};

class GuestResolver : public std::enable_shared_from_this<GuestResolver> {
 public:
  using TimePoint = net::Resolver::TimePoint;
  using Asker = tunnel::Claim;  // whose share of the lookups it is; empty: the program's own
  static constexpr std::size_t kMaxLookups = 1024;

  explicit GuestResolver(std::shared_ptr<net::Resolver> resolver, std::size_t max_lookups = kMaxLookups)
      : resolver_(std::move(resolver)), max_lookups_(max_lookups) {}

  // net::Resolver's, of the same names.
  boost::asio::awaitable<Resolution> resolve(std::string name, TimePoint deadline, Asker asker = {});
  boost::asio::awaitable<Result<Bytes>> answer(Bytes query, TimePoint deadline, Asker asker = {});

  std::size_t outstanding() const { return outstanding_.total(); }

 private:
  struct Slot;
  net::Resolver::Admit admit(const Asker& asker);

  std::shared_ptr<net::Resolver> resolver_;
  std::size_t max_lookups_;
  GuestShares outstanding_;
};

}  // namespace zks::exit
