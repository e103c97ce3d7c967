// SPDX-License-Identifier: MIT
#include "net/connect.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "base/relay_url.hpp"
#include "net/address_order.hpp"
#include "net/name_lookup.hpp"
#include "net/socket_options.hpp"
#include "net/spawn.hpp"
#include "net/wakeup.hpp"

namespace zks::net {
namespace {

using asio::ip::tcp;
using std::chrono::milliseconds;
using TimePoint = std::chrono::steady_clock::time_point;

// For a lookup, where an address is known that worked.
constexpr std::chrono::seconds kLookupPatience{1};
// A name with many addresses has all of them tried within the usual deadline of a dial. RFC 8305, section 8:
// at least 100 ms apart.
constexpr std::size_t kMaxAddresses = 64;
constexpr std::size_t kMaxSecondAttempts = 4;
constexpr milliseconds kAllStartedWithin{5'000};
constexpr milliseconds kShortestDelay{100};

// The lookup owns this together with the dial, and may outlive it.
struct Lookup {
  explicit Lookup(const asio::any_io_executor& executor) : done(executor) {}
  Wakeup done;
  bool finished = false;
  std::optional<Error> failed;
  std::vector<tcp::endpoint> found;
};
using LookupPtr = std::shared_ptr<Lookup>;

// Families alternate, starting with the one that the resolver prefers.
std::vector<tcp::endpoint> interleave(const std::vector<tcp::endpoint>& found) {
  std::vector<tcp::endpoint> first;
  std::vector<tcp::endpoint> second;
  for (const auto& endpoint : found) {
    (endpoint.protocol() == found.front().protocol() ? first : second).push_back(endpoint);
  }
  return alternate(first, second);
}

asio::awaitable<void> look_up(LookupPtr lookup, Goal goal, TimePoint deadline) {
  auto asking = goal.egress.uplink ? goal.egress.uplink->look_up(goal.host, goal.port, deadline)
                                   : look_up_name(goal.host, goal.port, deadline);
  auto found = co_await std::move(asking);
  if (found) lookup->found = interleave(*found);
  if (!found) lookup->failed = found.error();
  lookup->finished = true;
  lookup->done.notify();
}

asio::awaitable<void> wait_for(LookupPtr lookup, TimePoint until) {
  while (!lookup->finished && std::chrono::steady_clock::now() < until)
    co_await lookup->done.wait_until(until);
}

void begin_lookup(const asio::any_io_executor& executor, const LookupPtr& lookup, const Goal& goal,
                  TimePoint deadline) {
  boost::system::error_code not_literal;
  const auto literal = asio::ip::make_address(goal.host, not_literal);
  if (not_literal) {
    asio::co_spawn(executor, look_up(lookup, goal, deadline), RethrowFailure{});
    return;
  }
  lookup->found = {tcp::endpoint(literal, goal.port)};
  lookup->finished = true;
}

// Those of `more` that are not there yet go to the end.
void add_to(std::vector<tcp::endpoint>& addresses, const std::vector<tcp::endpoint>& more) {
  for (const auto& endpoint : more) {
    if (std::ranges::find(addresses, endpoint) == addresses.end()) addresses.push_back(endpoint);
  }
}

RaceOptions options_for(std::size_t addresses) {
  RaceOptions out;
  out.first_round = addresses;
  out.max_attempts = out.max_under_way = kMaxAddresses + kMaxSecondAttempts;
  out.attempt_delay = std::clamp(kAllStartedWithin / static_cast<int>(std::max<std::size_t>(addresses, 1)),
                                 kShortestDelay, out.attempt_delay);
  return out;
}

asio::awaitable<AttemptsOutcome> try_all(asio::any_io_executor executor, std::vector<tcp::endpoint> addresses,
                                         MakeAttempt make, bool twice, TimePoint deadline) {
  if (addresses.size() > kMaxAddresses) addresses.resize(kMaxAddresses);
  const RaceOptions options = options_for(addresses.size());
  std::vector<tcp::endpoint> in_turn = addresses;
  if (twice) in_turn.insert(in_turn.end(), addresses.begin(), addresses.end());
  NextAttempt next = [each = each_of(std::move(in_turn)),
                      make = std::move(make)]() -> std::shared_ptr<Attempt> {
    while (const auto endpoint = each()) {
      if (auto attempt = make(*endpoint)) return attempt;
    }
    return nullptr;
  };
  co_return co_await race_attempts(executor, std::move(next), deadline, options);
}

// What says most about why nothing could be had: a certificate or an answer, rather than silence elsewhere.
Error why(const AttemptsOutcome& outcome, const Goal& goal) {
  for (const ErrorKind kind : {ErrorKind::kUntrusted, ErrorKind::kRefused}) {
    const auto at = std::ranges::find(outcome.failures, kind, &Error::kind);
    if (at != outcome.failures.end()) return *at;
  }
  if (outcome.timed_out || outcome.failures.empty())
    return make_error(ErrorKind::kTimeout, goal.called + "connecting to " +
                                               format_host_port(goal.host, goal.port) + " took too long");
  return outcome.failures.front();
}

class PlainAttempt final : public Attempt {
 public:
  PlainAttempt(const asio::any_io_executor& executor, tcp::endpoint endpoint, Egress egress, std::string name)
      : socket_(executor),
        endpoint_(std::move(endpoint)),
        egress_(std::move(egress)),
        name_(std::move(name)) {}
  Task<> run(std::function<void()> /*on_connected*/) override {
    return connect_by(&socket_, endpoint_, egress_, name_);
  }
  void abort() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }
  tcp::socket take() { return std::move(socket_); }

 private:
  tcp::socket socket_;
  tcp::endpoint endpoint_;
  Egress egress_;
  std::string name_;
};

}  // namespace

Task<> connect_by(tcp::socket* socket, tcp::endpoint endpoint, Egress egress, std::string name) {
  if (egress.uplink) {
    auto opened = co_await egress.uplink->open(endpoint.protocol());
    if (!opened) co_return opened.error();
    *socket = std::move(*opened);
  }
  if (!socket->is_open()) {
    boost::system::error_code ec;
    socket->open(endpoint.protocol(), ec);
    if (ec) co_return make_error(ErrorKind::kNetwork, ec.message(), ec.value());
  }
  if (egress.segment != 0) limit_segments(*socket, egress.segment);
  if (!egress.interface.empty()) {
    const auto bound = bind_to_interface(*socket, egress.interface);
    if (!bound) co_return bound.error();
  }
  const auto connected = co_await connect_socket(socket, endpoint);
  if (connected) co_return connected;
  const Error& error = connected.error();
  co_return make_error(error.kind, "can't connect to " + name + ": " + error.text, error.detail);
}

Task<std::shared_ptr<Attempt>> connect_any(asio::any_io_executor executor, Goal goal, MakeAttempt make,
                                           TimePoint deadline) {
  const auto lookup = std::make_shared<Lookup>(executor);
  begin_lookup(executor, lookup, goal, deadline);
  std::vector<tcp::endpoint> known;
  if (goal.known) known = goal.known->of(goal.host, goal.port);
  const TimePoint soon = std::chrono::steady_clock::now() + kLookupPatience;
  co_await wait_for(lookup, known.empty() ? deadline : std::min(soon, deadline));

  std::vector<tcp::endpoint> tried = lookup->found;
  add_to(tried, known);
  const bool before_lookup = lookup->found.empty();
  AttemptsOutcome outcome;
  if (!tried.empty()) {
    if (before_lookup) log::info("{} can't be looked up now; trying the address that worked last", goal.host);
    outcome = co_await try_all(executor, tried, make, goal.twice, deadline);
    if (outcome.winner) co_return outcome.winner;
    if (!before_lookup) co_return why(outcome, goal);
  }
  co_await wait_for(lookup, deadline);
  if (!lookup->finished)
    co_return make_error(ErrorKind::kTimeout, goal.called + "looking up " + goal.host + " took too long");
  if (lookup->failed)
    co_return make_error(lookup->failed->kind, goal.called + lookup->failed->text, lookup->failed->detail);
  std::vector<tcp::endpoint> others = lookup->found;
  std::erase_if(others, [&](const auto& one) { return std::ranges::find(tried, one) != tried.end(); });
  if (!others.empty()) outcome = co_await try_all(executor, std::move(others), make, goal.twice, deadline);
  if (outcome.winner) co_return outcome.winner;
  co_return why(outcome, goal);
}

Task<tcp::socket> connect(asio::any_io_executor executor, std::string host, std::uint16_t port, Egress egress,
                          TimePoint deadline) {
  MakeAttempt make = [executor, egress, name = format_host_port(host, port)](tcp::endpoint endpoint) {
    return std::make_shared<PlainAttempt>(executor, std::move(endpoint), egress, name);
  };
  Goal goal(std::move(host), port, std::move(egress), nullptr);
  auto won = co_await connect_any(executor, std::move(goal), std::move(make), deadline);
  if (!won) co_return won.error();
  co_return static_cast<PlainAttempt&>(**won).take();
}

}  // namespace zks::net
