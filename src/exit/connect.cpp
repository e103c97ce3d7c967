// SPDX-License-Identifier: MIT
#include "exit/connect.hpp"

#include <vector>

#include "net/endpoint.hpp"
#include "net/race.hpp"
#include "net/socket_options.hpp"
#include "tunnel/endpoints.hpp"

namespace zks::exit {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using session::Destination;
using session::ResetCode;
using std::chrono::steady_clock;
using TimePoint = steady_clock::time_point;

// How much a failure says about the destination; of several attempts the highest is reported.
int telling(ResetCode code) {
  switch (code) {
    case ResetCode::kConnectionRefused:
      return 5;
    case ResetCode::kTimedOut:
      return 4;
    case ResetCode::kHostUnreachable:
      return 3;
    case ResetCode::kNotAllowed:
      return 2;
    case ResetCode::kNetworkUnreachable:
      return 1;
    default:
      return 0;
  }
}

struct Target {
  std::string name;  // empty for an address
  std::vector<IpAddress> addresses;
  std::uint16_t port = 0;
};

ConnectOutcome failure(ResetCode code, std::string reason) {
  ConnectOutcome out;
  out.code = code;
  out.reason = std::move(reason);
  return out;
}

}  // namespace

std::optional<IpAddress> literal_address(const Destination& destination) {
  switch (destination.kind) {
    case Destination::Kind::kIpv4:
      return make_ipv4(destination.address.data());
    case Destination::Kind::kIpv6:
      return make_ipv6(destination.address.data());
    case Destination::Kind::kName:
      return parse_spelled_address(destination.name);
  }
  return std::nullopt;
}

namespace {

// Which addresses may be tried. Each is judged when its turn comes: the exit's own networks may have changed
// since the lookup.
class Judged {
 public:
  Judged(Target target, std::shared_ptr<const Policy> policy)
      : target_(std::move(target)), policy_(std::move(policy)) {}

  std::optional<tcp::endpoint> next() {
    while (next_ < target_.addresses.size()) {
      const IpAddress address = unmapped(target_.addresses[next_++]);
      Verdict verdict = policy_->judge(target_.name, address, target_.port);
      if (verdict.allowed) return net::make_endpoint<tcp>(address, target_.port);
      if (refusal_.empty()) refusal_ = std::move(verdict.reason);
    }
    return std::nullopt;
  }
  const std::string& refusal() const { return refusal_; }

 private:
  Target target_;
  std::shared_ptr<const Policy> policy_;
  std::size_t next_ = 0;
  std::string refusal_;
};

ConnectOutcome failed(const net::RaceOutcome& race, const Judged& judged) {
  if (race.timed_out) return failure(ResetCode::kTimedOut, "no answer in time");
  if (race.failures.empty()) return failure(ResetCode::kNotAllowed, judged.refusal());
  ConnectOutcome out;
  for (const Error& error : race.failures) {
    const ResetCode code = tunnel::reset_code_of(error_code(error.detail, boost::system::system_category()));
    if (!out.reason.empty() && telling(code) <= telling(out.code)) continue;
    out.code = code;
    out.reason = error.text;
  }
  return out;
}

ConnectOutcome connected(tcp::socket socket) {
  error_code ec;
  const auto local = socket.local_endpoint(ec);
  if (ec) return failure(ResetCode::kConnectionReset, ec.message());
  ConnectOutcome out;
  out.bound = tunnel::make_destination(local);
  net::tune_socket(socket);
  out.socket.emplace(std::move(socket));
  return out;
}

}  // namespace

asio::awaitable<ConnectOutcome> connect(asio::any_io_executor executor, Destination destination,
                                        std::shared_ptr<const Policy> policy,
                                        std::shared_ptr<GuestResolver> resolver, ConnectOptions options) {
  const TimePoint deadline = steady_clock::now() + options.timeout;
  Target target;
  target.port = destination.port;
  if (const auto literal = literal_address(destination)) {
    target.addresses.push_back(*literal);
  } else {
    target.name = destination.name;
    auto denied = policy->denied_by_name(target.name, target.port);
    if (denied) co_return failure(ResetCode::kNotAllowed, std::move(denied->reason));
    Resolution resolution = co_await resolver->resolve(destination.name, deadline, options.asker);
    if (resolution.addresses.empty()) co_return failure(resolution.code, session::describe(resolution.code));
    target.addresses = std::move(resolution.addresses);
  }
  const auto judged = std::make_shared<Judged>(std::move(target), std::move(policy));
  net::Course course;
  course.next = [judged] { return judged->next(); };
  auto outcome = co_await net::race(executor, std::move(course), deadline, options.race);
  if (!outcome.winner) co_return failed(outcome, *judged);
  co_return connected(std::move(*outcome.winner));
}

}  // namespace zks::exit
