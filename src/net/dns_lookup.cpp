// SPDX-License-Identifier: MIT
#include "net/dns_lookup.hpp"

#include <array>
#include <mutex>

#include <arpa/nameser.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <netdb.h>
#include <sys/socket.h>

#include "base/dns_message.hpp"

namespace zks::net {
namespace {

// One name's answer is at most 64 KiB of DNS; happy eyeballs never tries more than a few of its addresses.
constexpr std::size_t kMaxAnswered = 64;
// What passes every path unfragmented (RFC 9715); a longer answer is asked for over TCP.
constexpr int kUdpSize = 1232;

// A query with EDNS where `udp_size` is not 0. Nothing for a name that is not asked for: too long, or below
// .onion (RFC 7686).
Bytes make_query(const std::string& name, int type, int udp_size) {
  unsigned char* bytes = nullptr;
  int size = 0;
  if (ares_create_query(name.c_str(), ns_c_in, type, 0, 1, &bytes, &size, udp_size) != ARES_SUCCESS)
    return {};
  const std::unique_ptr<unsigned char, decltype(&ares_free_string)> owned(bytes, &ares_free_string);
  return {bytes, bytes + size};
}

int status_of(ByteView message) {
  switch (dns_code(message)) {
    case DnsCode::kNoError:
      return ARES_SUCCESS;
    case DnsCode::kFormErr:
      return ARES_EFORMERR;
    case DnsCode::kNxDomain:
      return ARES_ENOTFOUND;
    case DnsCode::kNotImp:
      return ARES_ENOTIMP;
    case DnsCode::kRefused:
      return ARES_EREFUSED;
    default:
      return ARES_ESERVFAIL;
  }
}

void read_addresses(const Bytes& message, int family, DnsLookup::Answer& answer) {
  hostent* host = nullptr;
  const auto size = static_cast<int>(message.size());
  answer.status = family == AF_INET ? ares_parse_a_reply(message.data(), size, &host, nullptr, nullptr)
                                    : ares_parse_aaaa_reply(message.data(), size, &host, nullptr, nullptr);
  if (answer.status != ARES_SUCCESS || host == nullptr) return;
  const std::unique_ptr<hostent, decltype(&ares_free_hostent)> owned(host, &ares_free_hostent);
  for (char** entry = host->h_addr_list; *entry != nullptr; ++entry) {
    if (answer.addresses.size() == kMaxAnswered) break;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(*entry);
    answer.addresses.push_back(family == AF_INET ? make_ipv4(bytes) : make_ipv6(bytes));
  }
}

bool is_localhost(std::string_view name) {
  constexpr std::string_view kName = "localhost";
  if (name.size() < kName.size()) return false;
  const std::string_view end = name.substr(name.size() - kName.size());
  const bool whole = name.size() == kName.size() || name[name.size() - kName.size() - 1] == '.';
  return whole && std::ranges::equal(end, kName, [](char a, char b) { return (a | 0x20) == b; });
}

}  // namespace

struct DnsLookup::Query {
  int family;
  Answer answer = {};
  boost::asio::cancellation_signal cancel = {};
};

struct DnsLookup::State {
  State(const boost::asio::any_io_executor& e, LookupOptions o)
      : executor(e), options(std::move(o)), changed(e) {}

  boost::asio::any_io_executor executor;
  LookupOptions options;
  Wakeup changed;
  Query ipv4{AF_INET};
  Query ipv6{AF_INET6};
};

DnsLookup::DnsLookup(const boost::asio::any_io_executor& executor, LookupOptions options)
    : state_(std::make_shared<State>(executor, std::move(options))) {}

DnsLookup::~DnsLookup() {
  for (Query* query : {&state_->ipv4, &state_->ipv6}) {
    if (!query->answer.done) query->cancel.emit(boost::asio::cancellation_type::terminal);
  }
}

const DnsLookup::Answer& DnsLookup::ipv4() const {
  return state_->ipv4.answer;
}
const DnsLookup::Answer& DnsLookup::ipv6() const {
  return state_->ipv6.answer;
}
Wakeup& DnsLookup::changed() {
  return state_->changed;
}

Result<> DnsLookup::start(const std::string& name, std::chrono::steady_clock::time_point deadline) {
  const auto found = find_in_hosts_file(name);
  if (!found) return found.error();
  if (*found) return {};
  // AAAA first (RFC 8305, section 3).
  ask(name, state_->ipv6, deadline);
  ask(name, state_->ipv4, deadline);
  return {};
}

Result<bool> DnsLookup::find_in_hosts_file(const std::string& name) {
  static std::once_flag once;
  std::call_once(once, [] { ares_library_init(ARES_LIB_INIT_ALL); });
  ares_channel made = nullptr;
  if (const int status = ares_init(&made); status != ARES_SUCCESS) {
    return make_error(ErrorKind::kLimit, std::string("c-ares: ") + ares_strerror(status));
  }
  const std::unique_ptr<std::remove_pointer_t<ares_channel>, decltype(&ares_destroy)> channel(made,
                                                                                              &ares_destroy);
  bool found = false;
  for (Query* query : {&state_->ipv6, &state_->ipv4}) {
    hostent* host = nullptr;
    query->answer.status = ares_gethostbyname_file(channel.get(), name.c_str(), query->family, &host);
    if (query->answer.status != ARES_SUCCESS) continue;
    for (char** entry = host->h_addr_list; *entry != nullptr; ++entry) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(*entry);
      query->answer.addresses.push_back(query->family == AF_INET ? make_ipv4(bytes) : make_ipv6(bytes));
    }
    ares_free_hostent(host);
    found = found || !query->answer.addresses.empty();
  }
  if (!found && is_localhost(name)) {
    state_->ipv6.answer = {.addresses = {*parse_ip_address("::1")}};
    state_->ipv4.answer = {.addresses = {*parse_ip_address("127.0.0.1")}};
    found = true;
  }
  state_->ipv4.answer.done = state_->ipv6.answer.done = found;
  return found;
}

void DnsLookup::ask(const std::string& name, Query& query, std::chrono::steady_clock::time_point deadline) {
  // Asio looks at the slot until it has called the handler, which therefore holds it.
  boost::asio::co_spawn(
      state_->executor, await(state_, &query, name, deadline),
      boost::asio::bind_cancellation_slot(query.cancel.slot(), [state = state_](std::exception_ptr failure) {
        try {
          if (failure) std::rethrow_exception(failure);
        } catch (const boost::system::system_error&) {
          // Cancelled: the lookup is over.
        }
      }));
}

boost::asio::awaitable<void> DnsLookup::await(std::shared_ptr<State> state, Query* query, std::string name,
                                              std::chrono::steady_clock::time_point deadline) {
  const int type = query->family == AF_INET ? ns_t_a : ns_t_aaaa;
  query->answer.status = ARES_ENOTFOUND;
  Bytes message = make_query(name, type, kUdpSize);
  if (!message.empty()) {
    auto said = co_await ask_dns(state->executor, state->options, message, deadline);
    // A server from before EDNS (RFC 6891, section 6.2.2).
    if (said && dns_code(*said) == DnsCode::kFormErr) {
      message = make_query(name, type, 0);
      said = co_await ask_dns(state->executor, state->options, message, deadline);
    }
    query->answer.status = said                                       ? status_of(*said)
                           : said.error().kind == ErrorKind::kTimeout ? ARES_ETIMEOUT
                                                                      : ARES_ECONNREFUSED;
    if (query->answer.status == ARES_SUCCESS) read_addresses(*said, query->family, query->answer);
  }
  query->answer.done = true;
  state->changed.notify();
}

}  // namespace zks::net
