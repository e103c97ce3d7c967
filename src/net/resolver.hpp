// SPDX-License-Identifier: MIT
//
// Names become addresses, by name servers that are asked here and not by the system's resolver: at the exit,
// where the policy judges whatever comes out (exit/guest_resolver.hpp), and for the relays of vpn. The lookup
// itself is in dns_lookup.hpp.
//
// Bound of the lookups under way: whoever asks has one, and says so by its Admit.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/bytes.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "net/dns_exchange.hpp"

namespace zks::net {

// Why there are no addresses.
enum class LookupFailure : std::uint8_t {
  kNotFound,    // no such name, no address, or not a name at all
  kTimedOut,    // no answer in time or from any server
  kUnanswered,  // the servers could not say
  kLimit,       // too many lookups are under way
  kGeneral,
};
const char* describe(LookupFailure failure);

struct Resolution {
  LookupFailure failure = LookupFailure::kNotFound;
  std::vector<IpAddress> addresses;  // in the order to try them, families in turn (RFC 8305, section 4)
};

// 1 to 253 bytes without a final dot, in labels of 1 to 63, of letters, digits, '-', '_' and what is not
// ASCII. Whatever else a client sends is not a name that DNS has, and some of it (escapes, NUL) would reach
// c-ares as something else than it looks like. So would names that end in a number, such as "127.1" and
// "256.1.1.1": they are addresses or attempts at them (parse_spelled_address()), and no top-level domain is
// numeric (RFC 3696).
bool is_resolvable_name(std::string_view name);

// Executor: one. Lifetime: shared; outstanding lookups hold it.
class Resolver : public std::enable_shared_from_this<Resolver> {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Whether one more lookup may be under way, asked when servers are to be: what it gives is held as long as
  // that takes. Null: there are too many. An empty Admit: no bound is needed.
  using Admit = std::function<std::shared_ptr<void>()>;

  // kUsage when the servers are not addresses.
  static Result<std::shared_ptr<Resolver>> create(boost::asio::any_io_executor executor,
                                                  LookupOptions options);
  Resolver(boost::asio::any_io_executor executor, LookupOptions options);

  // Asks for AAAA and A at once. Waits for the AAAA answer only 50 ms longer than for the A answer that gave
  // addresses (RFC 8305, section 3), so that a server that drops AAAA queries costs no more than that.
  // Nobody is asked after `deadline`.
  boost::asio::awaitable<Resolution> resolve(std::string name, TimePoint deadline, Admit admit = {});

  // The answer of the DNS servers to a whole DNS message, under the query's own id and as it is, whatever its
  // code (dns_exchange.hpp); /etc/hosts is not asked. kProtocol: it is no query with one question. Our own
  // word, with the reason where the query speaks EDNS (RFC 8914): SERVFAIL without an answer by
  // `deadline` or from any server, and with too many lookups under way; NOTIMP for another opcode or class;
  // REFUSED for a zone transfer.
  boost::asio::awaitable<Result<Bytes>> answer(Bytes query, TimePoint deadline, Admit admit = {});

 private:
  boost::asio::any_io_executor executor_;
  LookupOptions options_;
};

}  // namespace zks::net
