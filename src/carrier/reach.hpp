// SPDX-License-Identifier: MIT
//
// A byte stream to a relay: TCP to one of its addresses, or to the upstream proxy and through that by
// CONNECT; then TLS. An address that takes connections and says nothing is thereby no better than one that is
// silent: the next one is tried (connect.hpp), and then it once more, with small segments
// (segment_limits.hpp). Next step: the upgrade, in dial.cpp.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>

#include <boost/asio/ip/tcp.hpp>

#include "carrier/dial.hpp"
#include "carrier/tls_client.hpp"
#include "carrier/tls_stream.hpp"
#include "net/race.hpp"
#include "net/socket_options.hpp"

namespace zks::carrier {

enum class ReachUntil { kTunnel, kTls };

// The way to one address of the relay, or of the proxy.
class RelayAttempt final : public net::Attempt {
 public:
  struct Plan {
    RelayUrl url;
    DialOptions options;
    std::shared_ptr<TlsTrust> trust;  // where TLS is to be
    std::chrono::steady_clock::time_point deadline;
    int segment = 0;                                       // of first attempts
    std::set<asio::ip::tcp::endpoint> begun;               // by first attempts
    std::multiset<asio::ip::tcp::endpoint> hanging;        // of attempts that are in TLS now
    std::optional<asio::ip::tcp::endpoint> through_small;  // by a second attempt
  };

  RelayAttempt(const asio::any_io_executor& executor, std::shared_ptr<Plan> plan,
               asio::ip::tcp::endpoint endpoint, int segment);
  Task<> run(std::function<void()> on_connected) override;
  void abort() override;

  // One of them, once run() succeeded: with a trust TLS.
  std::optional<net::TcpStream> tcp;
  std::optional<TlsStream> tls;
  const asio::ip::tcp::endpoint& endpoint() const { return endpoint_; }
  int segment() const { return segment_; }

 private:
  Task<> ask_proxy(const UpstreamProxy* proxy);
  Task<> shake_hands();
  void note_hanging();

  std::shared_ptr<Plan> plan_;
  asio::ip::tcp::endpoint endpoint_;
  int segment_;
  std::chrono::steady_clock::time_point began_at_{};  // TLS
};

// With kTunnel there is no TLS yet, whatever the URL says. Errors of connect_any(); kUsage: the CA file; and
// for a proxy kRefused (detail is its HTTP status), kProtocol, kNetwork, kTimeout.
Task<std::shared_ptr<RelayAttempt>> reach(asio::any_io_executor executor, RelayUrl url, DialOptions options,
                                          std::chrono::steady_clock::time_point deadline, ReachUntil until);

// The proxy that reach() would go through, null for none. Lives as long as options.proxies.
const UpstreamProxy* proxy_for(const RelayUrl& url, const DialOptions& options);

// The TCP connection's other end, of the relay or of the proxy: what it was dialled by.
HostPort dialled_place(const RelayUrl& url, const DialOptions& options);

}  // namespace zks::carrier
