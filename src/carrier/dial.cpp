// SPDX-License-Identifier: MIT
#include "carrier/dial.hpp"

#include <algorithm>
#include <memory>

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/field.hpp>

#include "carrier/reach.hpp"
#include "carrier/upgrade_answer.hpp"
#include "carrier/websocket_carrier.hpp"

namespace zks::carrier {
namespace {

namespace websocket = boost::beast::websocket;
using TimePoint = std::chrono::steady_clock::time_point;

// A client masks (RFC 6455, section 5.3) by copying through this buffer: large enough for our usual record,
// so that it leaves in one write.
constexpr std::size_t kClientWriteBufferBytes = 64 * 1024 + 256;

// CR or LF in a header would smuggle further ones in.
bool is_field(const std::pair<std::string, std::string>& header) {
  const std::string& name = header.first;
  const bool named = !name.empty() && name.find_first_of(" \t\r\n:") == std::string::npos;
  return named && header.second.find_first_of("\r\n") == std::string::npos;
}

struct AddHeaders {
  std::vector<std::pair<std::string, std::string>> headers;
  void operator()(websocket::request_type& request) const {
    for (const auto& [name, value] : headers) request.set(name, value);
  }
};

std::chrono::milliseconds left_until(TimePoint deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return std::max(left, std::chrono::milliseconds(1));
}

Error refused(const std::string& authority, int status) {
  const char* meaning = "";
  switch (status) {
    case 403:
      meaning = ": it does not serve this room (--allow-rooms)";
      break;
    case 404:
      meaning = ": it is not a relay, or its path prefix is another one";
      break;
    case 421:
      meaning = ": it does not know itself by this name; its operator can add it with --name";
      break;
    case 429:
      meaning = ": too many joins from here, or too many pairs in this room";
      break;
    case 503:
      meaning = ": it is full";
      break;
    default:
      break;
  }
  return make_error(ErrorKind::kRefused,
                    "the relay " + authority + " answered HTTP status " + std::to_string(status) + meaning,
                    status);
}

Path describe_path(RelayAttempt& way, const RelayUrl& url, const DialOptions& options) {
  Path path;
  path.relay = url.text();
  if (const UpstreamProxy* proxy = proxy_for(url, options)) path.proxy = proxy->text();
  path.segment = way.segment();
  path.address = format_host_port(way.endpoint().address().to_string(), way.endpoint().port());
  if (!way.tls) return path;
  path.tls_version = SSL_get_version(way.tls->native_handle());
  path.tls_cipher = SSL_get_cipher_name(way.tls->native_handle());
  path.pinned = options.pin.has_value();
  return path;
}

template <class Stream>
Task<CarrierPtr> upgrade(Stream stream, RelayUrl url, std::string target, DialOptions options, Path path,
                         TimePoint deadline) {
  const auto answer = std::make_shared<UpgradeAnswer>();
  WebSocket<AnswerGate<Stream>> ws(AnswerGate<Stream>(std::move(stream), answer));
  configure(ws, options.max_message_bytes, kClientWriteBufferBytes);
  set_handshake_timeout(ws, left_until(deadline));
  ws.set_option(websocket::stream_base::decorator(AddHeaders{options.headers}));
  const std::string authority = url.authority();
  auto [ec] = co_await ws.async_handshake(authority, target, asio::as_tuple(asio::use_awaitable));
  if (ec == websocket::error::upgrade_declined) {
    co_return refused(authority, answer->status());
  }
  if (ec == boost::beast::error::timeout) {
    co_return make_error(ErrorKind::kTimeout, "the relay " + authority + " did not answer in time");
  }
  if (ec)
    co_return make_error(ErrorKind::kNetwork,
                         "the relay " + authority + " is no WebSocket server: " + ec.message());
  auto carrier = std::make_unique<WebSocketCarrier<AnswerGate<Stream>>>(std::move(ws));
  HostPort place = dialled_place(url, options);
  carrier->set_segments(SegmentWatch(options.segments, std::move(place.host), place.port, path.segment));
  carrier->set_path(std::move(path));
  co_return CarrierPtr(std::move(carrier));
}

}  // namespace

Task<CarrierPtr> dial(asio::any_io_executor executor, RelayUrl url, std::string target, DialOptions options) {
  for (const auto& header : options.headers) {
    if (!is_field(header))
      co_return make_error(ErrorKind::kUsage, "'" + header.first + "' can't be a header");
  }
  const TimePoint deadline = std::chrono::steady_clock::now() + options.timeout;
  auto reached = co_await reach(executor, url, options, deadline, ReachUntil::kTls);
  if (!reached) co_return reached.error();
  const std::shared_ptr<RelayAttempt> way = std::move(*reached);
  const std::shared_ptr<net::KnownAddresses> known = options.known;
  const HostPort place = dialled_place(url, options);
  Path path = describe_path(*way, url, options);
  target.insert(0, url.prefix);
  Result<CarrierPtr> carrier = make_error(ErrorKind::kNetwork, "");
  if (way->tls) {
    carrier = co_await upgrade(std::move(*way->tls), std::move(url), std::move(target), std::move(options),
                               std::move(path), deadline);
  } else {
    carrier = co_await upgrade(std::move(*way->tcp), std::move(url), std::move(target), std::move(options),
                               std::move(path), deadline);
  }
  if (carrier) known->worked(place.host, place.port, way->endpoint());
  co_return carrier;
}

// No coroutine: what is under way does not need the dialler.
Task<CarrierPtr> NetworkDialler::dial(asio::any_io_executor executor, RelayUrl relay, std::string target,
                                      std::chrono::milliseconds within) {
  DialOptions options = options_;
  options.timeout = std::min(options.timeout, within);
  return carrier::dial(std::move(executor), std::move(relay), std::move(target), std::move(options));
}

}  // namespace zks::carrier
