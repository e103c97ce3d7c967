// SPDX-License-Identifier: MIT
#include "exit/resolver.hpp"

#include <algorithm>

#include "base/dns_message.hpp"
#include "base/relay_url.hpp"
#include "exit/address_order.hpp"

namespace zks::exit {
namespace {

using session::ResetCode;
using std::chrono::steady_clock;

// RFC 1035, section 2.3.4.
constexpr std::size_t kMaxNameBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;
// RFC 8305, section 8: "Resolution Delay".
constexpr std::chrono::milliseconds kResolutionDelay{50};
constexpr std::uint16_t kDnsPort = 53;

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
ResetCode failure_of(const Lookup::Answer& ipv4, const Lookup::Answer& ipv6) {
  const auto is_any = [&](int status) {
    return (ipv4.done && ipv4.status == status) || (ipv6.done && ipv6.status == status);
  };
  if (is_any(ARES_ENOTFOUND) || is_any(ARES_EBADNAME)) return ResetCode::kNameNotFound;
  if (!ipv4.done || !ipv6.done || is_any(ARES_ETIMEOUT)) return ResetCode::kTimedOut;
  if (ipv4.status == ARES_ENODATA && ipv6.status == ARES_ENODATA) return ResetCode::kNameNotFound;
  return ResetCode::kHostUnreachable;
}

// Whether all is known that is worth waiting for; otherwise until when to wait.
bool is_settled(Lookup& lookup, Resolver::TimePoint& wait_until) {
  const Lookup::Answer& ipv4 = lookup.ipv4();
  const Lookup::Answer& ipv6 = lookup.ipv6();
  if (ipv4.done && ipv6.done) return true;
  if ((ipv4.done && ipv4.status == ARES_ENOTFOUND) || (ipv6.done && ipv6.status == ARES_ENOTFOUND))
    return true;
  if (!ipv4.done || ipv4.addresses.empty()) return false;
  wait_until = std::min(wait_until, steady_clock::now() + kResolutionDelay);
  return false;
}

struct Slot {
  explicit Slot(std::size_t& c) : count(c) { ++count; }
  ~Slot() { --count; }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  std::size_t& count;
};

// What came for one message; c-ares calls on_message() once, also when its channel is destroyed.
struct Message {
  explicit Message(const boost::asio::any_io_executor& executor) : changed(executor) {}

  bool done = false;
  int status = ARES_SUCCESS;
  Bytes bytes;
  carrier::Signal changed;
};

void on_message(void* argument, int status, int, unsigned char* bytes, int size) {
  const std::unique_ptr<std::shared_ptr<Message>> message(static_cast<std::shared_ptr<Message>*>(argument));
  Message& to = **message;
  to.done = true;
  to.status = status;
  if (status == ARES_SUCCESS && bytes != nullptr && size > 0) to.bytes.assign(bytes, bytes + size);
  to.changed.notify();
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

DnsCode code_of(int status) {
  return status == ARES_ENOTIMP    ? DnsCode::kNotImp
         : status == ARES_EREFUSED ? DnsCode::kRefused
                                   : DnsCode::kServFail;
}

}  // namespace

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

Result<std::shared_ptr<Resolver>> Resolver::create(boost::asio::any_io_executor executor, Options options) {
  std::string_view rest = options.lookup.servers;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view text = rest.substr(0, comma);
    const auto server = parse_host_port(text, kDnsPort);
    const bool bare_address = parse_ip_address(text).has_value();  // IPv6 without brackets too
    if (!bare_address && (!server || !parse_ip_address(server->host) || server->port == 0)) {
      return make_error(ErrorKind::kUsage, "not a DNS server's address: " + std::string(text));
    }
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return std::make_shared<Resolver>(executor, std::move(options));
}

Resolver::Resolver(boost::asio::any_io_executor executor, Options options)
    : executor_(executor), options_(std::move(options)) {}

boost::asio::awaitable<Resolution> Resolver::resolve(std::string name, TimePoint deadline) {
  const auto self = shared_from_this();
  if (name.ends_with('.')) name.pop_back();
  if (!is_resolvable_name(name)) co_return Resolution{};
  if (outstanding_ >= options_.max_lookups) co_return Resolution{ResetCode::kLimit, {}};

  const Slot slot(outstanding_);
  Lookup lookup(executor_, options_.lookup);
  const auto started = lookup.start(name);
  if (!started) co_return Resolution{ResetCode::kGeneralFailure, {}};
  TimePoint wait_until = deadline;
  while (!is_settled(lookup, wait_until) && steady_clock::now() < wait_until) {
    co_await lookup.changed().wait_until(wait_until);
  }
  Resolution out;
  out.addresses = order_addresses(lookup.ipv6().addresses, lookup.ipv4().addresses);
  if (out.addresses.empty()) out.code = failure_of(lookup.ipv4(), lookup.ipv6());
  co_return out;
}

boost::asio::awaitable<Result<Bytes>> Resolver::answer(Bytes query, TimePoint deadline) {
  const auto self = shared_from_this();
  const auto question = read_dns_query(query);
  if (!question) co_return make_error(ErrorKind::kProtocol, "not a DNS query with one question");
  if (const auto code = refusal_of(*question)) co_return dns_failure(query, *question, *code);
  if (outstanding_ >= options_.max_lookups) co_return dns_failure(query, *question, DnsCode::kServFail);

  const Slot slot(outstanding_);
  const auto message = std::make_shared<Message>(executor_);
  DnsChannel channel(executor_, options_.lookup);
  const auto opened = channel.open();
  if (!opened) co_return dns_failure(query, *question, DnsCode::kServFail);
  // The client's id is perhaps easy to guess (RFC 5452, section 9.1).
  Bytes sent = query;
  fill_random(MutableBytes(sent).first(2));
  ares_send(channel.get(), sent.data(), static_cast<int>(sent.size()), &on_message,
            new std::shared_ptr<Message>(message));
  channel.arm_timer();
  while (!message->done && steady_clock::now() < deadline) co_await message->changed.wait_until(deadline);
  if (!message->done || message->bytes.size() < kDnsHeader) {
    co_return dns_failure(query, *question, message->done ? code_of(message->status) : DnsCode::kServFail);
  }
  std::copy_n(query.begin(), 2, message->bytes.begin());
  co_return std::move(message->bytes);
}

}  // namespace zks::exit
