// SPDX-License-Identifier: MIT
#include "vpn/relay_addresses.hpp"

#include <algorithm>
#include <chrono>

#include <net/if.h>
#include <sys/socket.h>

#include "base/log.hpp"
#include "base/port.hpp"
#include "net/counted.hpp"
#include "net/resolver.hpp"
#include "net/wakeup.hpp"
#include "vpn/supervisor_wire.hpp"

namespace zks::vpn {
namespace {

using asio::posix::stream_descriptor;

constexpr std::size_t kMaxAddressesOfPlace = 64;   // the latest; a lane may still be over an older one
constexpr std::chrono::seconds kNamePatience{11};  // a second more than the name process has

// Where it is asked; the name process can't ask which number an interface has.
std::string spell(NameServer server) {
  const unsigned number = server.zone.empty() ? 0 : ::if_nametoindex(server.zone.c_str());
  if (number != 0) server.zone = std::to_string(number);
  return server.text();
}

}  // namespace

struct RelayAddresses::Question {
  explicit Question(const asio::any_io_executor& executor) : answered(executor) {}
  net::Wakeup answered;
  std::optional<NameAnswer> answer;
};

// What is under way. Coroutines share it: the last of them go with the loop, after everything else.
struct RelayAddresses::Pending {
  std::map<std::uint64_t, std::shared_ptr<Question>> questions;  // at most kMaxLookups
  std::size_t lookups = 0;
};

struct RelayAddresses::Asked {
  Asked(std::shared_ptr<Pending> all, std::uint64_t number, std::shared_ptr<Question> question)
      : pending(std::move(all)), id(number) {
    pending->questions[id] = std::move(question);
  }
  ~Asked() { pending->questions.erase(id); }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  std::shared_ptr<Pending> pending;
  std::uint64_t id;
};

bool has_names(const std::set<HostPort>& targets) {
  return std::ranges::any_of(targets, [](const HostPort& target) { return !parse_ip_address(target.host); });
}

Fd marked_socket(int family, int type) {
  Fd socket(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const std::uint32_t mark = host::kMark;
  const bool marked = socket && ::setsockopt(socket.get(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0;
  return marked ? std::move(socket) : Fd();
}

RelayAddresses::RelayAddresses(asio::io_context& loop, host::Host& host, std::set<HostPort> targets,
                               NameProcess names)
    : loop_(loop),
      host_(host),
      targets_(std::move(targets)),
      names_(std::move(names)),
      socket_(loop),
      pending_(std::make_shared<Pending>()) {
  if (names_.runs()) socket_.assign(names_.release_socket().release());
  for (const HostPort& target : targets_) {
    if (const auto literal = parse_ip_address(target.host)) addresses_[target] = {*literal};
  }
}

void RelayAddresses::wait() {
  if (!socket_.is_open()) return;
  socket_.async_wait(stream_descriptor::wait_read, [this](const boost::system::error_code& ec) {
    if (ec) return;
    const auto message = receive_message(socket_.native_handle());
    if (!message && message.error().kind == ErrorKind::kClosed) return;  // SIGCHLD tells who has to know
    if (message && *message) {
      if (const auto said = read_name_message((*message)->body)) on_message(*said);
    }
    wait();
  });
}

void RelayAddresses::on_message(const NameMessage& message) {
  if (const auto* answer = std::get_if<NameAnswer>(&message)) {
    const auto at = pending_->questions.find(answer->id);
    if (at == pending_->questions.end()) return;
    at->second->answer = *answer;
    at->second->answered.notify();
    return;
  }
  const auto& wanted = std::get<SocketRequest>(message);
  // None while nothing is asked of it.
  const Fd socket = pending_->questions.empty() ? Fd()
                                                : marked_socket(wanted.ipv4 ? AF_INET : AF_INET6,
                                                                wanted.udp ? SOCK_DGRAM : SOCK_STREAM);
  nlohmann::json answer = {{"id", wanted.id}};
  if (!socket) answer["error"] = "no socket";
  (void)send_message(socket_.native_handle(), answer, socket.get());
}

asio::awaitable<NameAnswer> RelayAddresses::ask(RelayAddresses* self, std::string host) {
  const std::uint64_t id = ++self->last_question_;
  const auto question = std::make_shared<Question>(self->loop_.get_executor());
  const Asked asked_of(self->pending_, id, question);
  const auto deadline = std::chrono::steady_clock::now() + kNamePatience;
  nlohmann::json body;
  body["do"] = "resolve";
  body["id"] = id;
  body["host"] = std::move(host);
  body["servers"] = self->look_for_servers();
  const bool asked = self->socket_.is_open() && send_message(self->socket_.native_handle(), body);
  while (asked && !question->answer && std::chrono::steady_clock::now() < deadline) {
    co_await question->answered.wait_until(deadline);
  }
  if (question->answer) co_return std::move(*question->answer);
  co_return NameAnswer{id, {}, static_cast<std::uint64_t>(net::LookupFailure::kTimedOut)};
}

std::string RelayAddresses::look_for_servers() {
  std::string out;
  for (const NameServer& server : host_.outside_resolvers()) {
    out += (out.empty() ? "" : ",") + spell(server);
    if (!host::is_forwarder(server.address) || std::ranges::find(told_of_, server) != told_of_.end())
      continue;
    told_of_.push_back(server);
    log::warn(
        "the relay's name is asked of {}, a forwarder of this machine whose own queries go into the tunnel: "
        "while that is down it has no answer; --exclude the servers that it asks",
        server.text());
  }
  return out;
}

asio::awaitable<Result<std::vector<IpAddress>>> RelayAddresses::look_up(RelayAddresses* self,
                                                                        HostPort target) {
  if (!self->targets_.contains(target)) co_return make_error(ErrorKind::kUsage, "no relay of this link");
  if (self->pending_->lookups >= kMaxLookups)
    co_return make_error(ErrorKind::kLimit, "too many lookups at once");
  if (!parse_ip_address(target.host)) {
    self->host_.look_for_resolvers();
    NameAnswer found;
    Result<> allowed;
    {
      const net::Counted counted(self->pending_, self->pending_->lookups);
      allowed = self->allow();
      if (allowed) found = co_await ask(self, target.host);
    }
    if (!allowed) co_return allowed.error();
    // Or those that worked before are good enough.
    if (found.addresses.empty() && !self->addresses_.contains(target)) {
      (void)self->allow();  // TCP to the resolvers is over; who is told of a failure is told of this one
      const char* why = net::describe(static_cast<net::LookupFailure>(found.failure));
      co_return make_error(ErrorKind::kNetwork, "can't look up " + target.host + ": " + why);
    }
    self->remember(target, found.addresses);
  }
  // Also where nothing is new: somebody may have flushed the table.
  if (const auto allowed = self->allow(); !allowed) co_return allowed.error();
  const auto& known = self->addresses_[target];
  co_return std::vector<IpAddress>(known.begin(), known.end());
}

void RelayAddresses::remember(const HostPort& target, const std::vector<IpAddress>& addresses) {
  std::deque<IpAddress>& known = addresses_[target];
  for (auto at = addresses.rbegin(); at != addresses.rend(); ++at) {
    std::erase(known, *at);
    known.push_front(*at);
  }
  if (known.size() > kMaxAddressesOfPlace) known.resize(kMaxAddressesOfPlace);
}

Result<> RelayAddresses::allow() {
  std::vector<host::RelayEndpoint> out;
  if (has_names(targets_)) {
    for (const NameServer& server : host_.outside_resolvers()) {
      out.push_back({server.address, kDnsPort, true});
      // For an answer that does not fit into a datagram (RFC 7766), and no longer: the worker's sockets are
      // TCP.
      if (pending_->lookups > 0) out.push_back({server.address, kDnsPort, false});
    }
  }
  for (const auto& [target, addresses] : addresses_) {
    for (const IpAddress& address : addresses) {
      if (out.size() < host::kMaxAllowed) out.push_back({address, target.port, false});
    }
  }
  return host_.allow(out);
}

}  // namespace zks::vpn
