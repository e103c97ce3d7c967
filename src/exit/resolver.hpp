// SPDX-License-Identifier: MIT
//
// Names become addresses at the exit, by the exit's own DNS: the step before the policy (policy.hpp), which
// judges whatever comes out. The lookup itself is in lookup.hpp.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/bytes.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "exit/dns_exchange.hpp"
#include "exit/guest_shares.hpp"
#include "session/destination.hpp"

namespace zks::exit {

struct Resolution {
  session::ResetCode code = session::ResetCode::kNameNotFound;  // why there are no addresses
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

  struct Options {
    LookupOptions lookup;
    // Outstanding; each invite and device has a share (guest_shares.hpp). One more fails at once with kLimit.
    std::size_t max_lookups = 1024;
  };
  using Asker = tunnel::Claim;  // whose share of the lookups it is; empty: the program's own

  // kUsage when the servers are not addresses.
  static Result<std::shared_ptr<Resolver>> create(boost::asio::any_io_executor executor, Options options);
  Resolver(boost::asio::any_io_executor executor, Options options);

  // Asks for AAAA and A at once. Waits for the AAAA answer only 50 ms longer than for the A answer that gave
  // addresses (RFC 8305, section 3), so that a server that drops AAAA queries costs no more than that.
  // kNameNotFound: no such name, no address, or not a name at all. kTimedOut: no answer by `deadline` or from
  // any server. kHostUnreachable: the servers could not say.
  boost::asio::awaitable<Resolution> resolve(std::string name, TimePoint deadline, Asker asker = {});

  // The answer of the DNS servers to a whole DNS message, under the query's own id and as it is, whatever its
  // code (dns_exchange.hpp); /etc/hosts is not asked. kProtocol: it is no query with one question. The exit's
  // own word, with the reason where the query speaks EDNS (RFC 8914): SERVFAIL without an answer by
  // `deadline` or from any server, and with too many lookups outstanding; NOTIMP for another opcode or class;
  // REFUSED for a zone transfer.
  boost::asio::awaitable<Result<Bytes>> answer(Bytes query, TimePoint deadline, Asker asker = {});

  std::size_t outstanding() const { return outstanding_.total(); }

 private:
  boost::asio::any_io_executor executor_;
  Options options_;
  GuestShares outstanding_;
};

}  // namespace zks::exit
