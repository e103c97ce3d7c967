// SPDX-License-Identifier: MIT
#include "carrier/dial.hpp"

#include <memory>

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/field.hpp>

#include "carrier/reach.hpp"
#include "carrier/tls_client.hpp"
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

Path describe_path(const asio::ip::tcp::socket& socket, const RelayUrl& url, const DialOptions& options) {
  Path path;
  path.relay = url.text();
  if (const UpstreamProxy* proxy = proxy_for(url, options)) path.proxy = proxy->text();
  boost::system::error_code ec;
  const auto peer = socket.remote_endpoint(ec);
  if (!ec) path.address = format_host_port(peer.address().to_string(), peer.port());
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
  CarrierPtr carrier = std::make_unique<WebSocketCarrier<AnswerGate<Stream>>>(std::move(ws));
  carrier->set_path(std::move(path));
  co_return std::move(carrier);
}

Task<CarrierPtr> dial_tls(TcpStream tcp, RelayUrl url, std::string target, DialOptions options, Path path,
                          TimePoint deadline) {
  std::shared_ptr<TlsTrust> kept = options.trust;
  if (!kept) {
    auto trust = TlsTrust::make(options.ca_file, options.pin);
    if (!trust) co_return trust.error();
    kept = *trust;
  }
  TlsStream stream(std::move(tcp), kept->context().native_handle(), TlsEngine::Role::kClient);
  const std::string name = options.sni.empty() ? url.host : options.sni;
  const Result<> prepared = kept->prepare(stream.native_handle(), name);
  if (!prepared) co_return prepared.error();
  stream.next_layer().expires_at(deadline);
  const ErrorCode ec = co_await stream.handshake();
  if (ec == boost::beast::error::timeout) {
    co_return make_error(ErrorKind::kTimeout, "TLS with " + name + " took too long");
  }
  if (ec) co_return kept->explain(stream.native_handle(), name, ec);
  path.tls_version = SSL_get_version(stream.native_handle());
  path.tls_cipher = SSL_get_cipher_name(stream.native_handle());
  path.pinned = options.pin.has_value();
  co_return co_await upgrade(std::move(stream), std::move(url), std::move(target), std::move(options),
                             std::move(path), deadline);
}

}  // namespace

Task<CarrierPtr> dial(asio::any_io_executor executor, RelayUrl url, std::string target, DialOptions options) {
  for (const auto& header : options.headers) {
    if (!is_field(header))
      co_return make_error(ErrorKind::kUsage, "'" + header.first + "' can't be a header");
  }
  const TimePoint deadline = std::chrono::steady_clock::now() + options.timeout;
  auto reached = co_await reach(executor, url, options, deadline);
  if (!reached) co_return reached.error();
  Path path = describe_path(*reached, url, options);
  TcpStream tcp(std::move(*reached));
  target.insert(0, url.prefix);
  if (!url.tls) {
    co_return co_await upgrade(std::move(tcp), std::move(url), std::move(target), std::move(options),
                               std::move(path), deadline);
  }
  co_return co_await dial_tls(std::move(tcp), std::move(url), std::move(target), std::move(options),
                              std::move(path), deadline);
}

}  // namespace zks::carrier
