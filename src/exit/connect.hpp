// SPDX-License-Identifier: MIT
//
// The exit's last step: a destination becomes a connected TCP socket. Names are resolved here
// (guest_resolver.hpp), every address is judged here, at the moment of the attempt (policy.hpp), and the
// attempts race (net/race.hpp). What comes next is tunnel::splice.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "exit/guest_resolver.hpp"
#include "exit/policy.hpp"
#include "net/race.hpp"
#include "session/destination.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::exit {

namespace asio = boost::asio;

struct ConnectOptions {
  std::chrono::milliseconds timeout{10'000};  // for the lookup and all attempts together
  net::RaceOptions race;                      // of the addresses that the policy allows
  GuestResolver::Asker asker{};               // whose lookup it is
};

struct ConnectOutcome {
  std::optional<asio::ip::tcp::socket> socket;                    // without one, it failed
  session::ResetCode code = session::ResetCode::kGeneralFailure;  // why
  session::Destination bound{};                                   // the socket's local address and port
  std::string reason;  // for the log: what the policy said, or the error; never the destination
};

// Addresses that the policy refuses are skipped; when it refuses all, that is the answer (kNotAllowed), at
// once and without a packet sent. When attempts fail, the most telling failure is the answer: a refusal says
// more than a timeout, that more than no route. `executor` is the one that the policy and the resolver belong
// to.
asio::awaitable<ConnectOutcome> connect(asio::any_io_executor executor, session::Destination destination,
                                        std::shared_ptr<const Policy> policy,
                                        std::shared_ptr<GuestResolver> resolver, ConnectOptions options);

// How an exit reaches destinations: connect(), or a test's way.
using Connect = std::function<asio::awaitable<ConnectOutcome>(
    asio::any_io_executor executor, session::Destination destination, std::shared_ptr<const Policy> policy,
    std::shared_ptr<GuestResolver> resolver, ConnectOptions options)>;

// The address that the destination is without any lookup: of an address type, or a name that spells one.
std::optional<IpAddress> literal_address(const session::Destination& destination);

}  // namespace zks::exit
