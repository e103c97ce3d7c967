// SPDX-License-Identifier: MIT
#include "net/resolver.hpp"

#include <algorithm>

#include "base/dns_message.hpp"
#include "net/address_order.hpp"
#include "net/dns_lookup.hpp"

namespace zks::net {
namespace {

using std::chrono::steady_clock;

// RFC 1035, section 2.3.4.
constexpr std::size_t kMaxNameBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;
// RFC 8305, section 8: "Resolution Delay".
constexpr std::chrono::milliseconds kResolutionDelay{50};

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Decimal, or hexadecimal as inet_aton(3) has it.
bool is_number(std::string_view label) {
  const bool hexadecimal = label.starts_with("0x") || label.starts_with("0X");
  if (hexadecimal) label.remove_prefix(2);
  return label.find_first_not_of(hexadecimal ? "0123456789abcdefABCDEF" : "0123456789") ==
         std::string_view::npos;
}

// Why a lookup without addresses failed. "No such name" from either query holds for both.
LookupFailure failure_of(const DnsLookup::Answer& ipv4, const DnsLookup::Answer& ipv6) {
  const auto is_any = [&](int status) {
    return (ipv4.done && ipv4.status == status) || (ipv6.done && ipv6.status == status);
  };
  if (is_any(ARES_ENOTFOUND) || is_any(ARES_EBADNAME)) return LookupFailure::kNotFound;
  if (!ipv4.done || !ipv6.done || is_any(ARES_ETIMEOUT)) return LookupFailure::kTimedOut;
  if (ipv4.status == ARES_ENODATA && ipv6.status == ARES_ENODATA) return LookupFailure::kNotFound;
  return LookupFailure::kUnanswered;
}

// Whether all is known that is worth waiting for; otherwise until when to wait.
bool is_settled(DnsLookup& lookup, Resolver::TimePoint& wait_until) {
  const DnsLookup::Answer& ipv4 = lookup.ipv4();
  const DnsLookup::Answer& ipv6 = lookup.ipv6();
  if (ipv4.done && ipv6.done) return true;
  if ((ipv4.done && ipv4.status == ARES_ENOTFOUND) || (ipv6.done && ipv6.status == ARES_ENOTFOUND))
    return true;
  if (!ipv4.done || ipv4.addresses.empty()) return false;
  wait_until = std::min(wait_until, steady_clock::now() + kResolutionDelay);
  return false;
}

// Queries that a server on the internet may be asked by strangers: not the transfer of a zone.
std::optional<DnsCode> refusal_of(const DnsQuestion& question) {
  constexpr std::uint16_t kInternet = 1;
  constexpr std::uint16_t kIxfr = 251;
  constexpr std::uint16_t kAxfr = 252;
  if (!question.is_query || question.klass != kInternet) return DnsCode::kNotImp;
  if (question.type == kIxfr || question.type == kAxfr) return DnsCode::kRefused;
  return std::nullopt;
}

}  // namespace

const char* describe(LookupFailure failure) {
  switch (failure) {
    case LookupFailure::kNotFound:
      return "name not found";
    case LookupFailure::kTimedOut:
      return "timed out";
    case LookupFailure::kUnanswered:
      return "the name servers could not say";
    case LookupFailure::kLimit:
      return "too many lookups";
    case LookupFailure::kGeneral:
      return "general failure";
  }
  return "unknown failure";
}

bool is_resolvable_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  while (true) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view label = name.substr(0, dot);
    if (label.empty() || label.size() > kMaxLabelBytes) return false;
    if (!std::all_of(label.begin(), label.end(), is_name_byte)) return false;
    if (dot == name.size()) return !is_number(label);
    name.remove_prefix(dot + 1);
  }
}

Result<std::shared_ptr<Resolver>> Resolver::create(boost::asio::any_io_executor executor,
                                                   LookupOptions options) {
  if (auto servers = parse_dns_servers(options.servers); !servers) return servers.error();
  return std::make_shared<Resolver>(executor, std::move(options));
}

Resolver::Resolver(boost::asio::any_io_executor executor, LookupOptions options)
    : executor_(executor), options_(std::move(options)) {}

boost::asio::awaitable<Resolution> Resolver::resolve(std::string name, TimePoint deadline, Admit admit) {
  const auto self = shared_from_this();
  if (name.ends_with('.')) name.pop_back();
  if (!is_resolvable_name(name)) co_return Resolution{};
  const std::shared_ptr<void> place = admit ? admit() : self;
  if (!place) co_return Resolution{LookupFailure::kLimit, {}};

  DnsLookup lookup(executor_, options_);
  const auto started = lookup.start(name, deadline);
  if (!started) co_return Resolution{LookupFailure::kGeneral, {}};
  TimePoint wait_until = deadline;
  while (!is_settled(lookup, wait_until) && steady_clock::now() < wait_until) {
    co_await lookup.changed().wait_until(wait_until);
  }
  Resolution out;
  out.addresses = order_addresses(lookup.ipv6().addresses, lookup.ipv4().addresses);
  if (out.addresses.empty()) out.failure = failure_of(lookup.ipv4(), lookup.ipv6());
  co_return out;
}

boost::asio::awaitable<Result<Bytes>> Resolver::answer(Bytes query, TimePoint deadline, Admit admit) {
  const auto self = shared_from_this();
  const auto question = read_dns_query(query);
  if (!question) co_return make_error(ErrorKind::kProtocol, "not a DNS query with one question");
  if (const auto code = refusal_of(*question)) {
    const bool transfer = *code == DnsCode::kRefused;
    co_return dns_failure(query, *question, *code,
                          transfer ? DnsReason::kProhibited : DnsReason::kNotSupported);
  }
  const std::shared_ptr<void> place = admit ? admit() : self;
  if (!place) co_return dns_failure(query, *question, DnsCode::kServFail, DnsReason::kOther);
  auto answer = co_await ask_dns(executor_, options_, query, deadline);
  if (answer) co_return answer;
  const bool silent = answer.error().kind == ErrorKind::kTimeout;
  co_return dns_failure(query, *question, DnsCode::kServFail,
                        silent ? DnsReason::kNoReachableAuthority : DnsReason::kNetworkError);
}

}  // namespace zks::net
