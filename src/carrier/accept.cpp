// SPDX-License-Identifier: MIT
#include "carrier/accept.hpp"

#include <boost/beast/http/field.hpp>

#include "carrier/websocket_carrier.hpp"

namespace zks::carrier {
namespace {

namespace websocket = boost::beast::websocket;

// A server's frames are not masked, so its payloads are sent from where they are; the write buffer only has
// to be there. Small, since a relay holds thousands of these.
constexpr std::size_t kServerWriteBufferBytes = 64;

// Beast would name itself and its version; the most common value says nothing.
void decorate(websocket::response_type& response) {
  response.set(boost::beast::http::field::server, kServerHeader);
}

template <class Stream>
Task<CarrierPtr> accept_on(Stream stream, UpgradeRequest request, AcceptOptions options) {
  WebSocket<Stream> ws(std::move(stream));
  configure(ws, options.max_message_bytes, kServerWriteBufferBytes);
  set_handshake_timeout(ws, options.timeout);
  ws.set_option(websocket::stream_base::decorator(&decorate));
  auto [ec] = co_await ws.async_accept(request, asio::as_tuple(asio::use_awaitable));
  if (ec) co_return make_error(ErrorKind::kProtocol, "upgrade failed: " + ec.message());
  CarrierPtr carrier = std::make_unique<WebSocketCarrier<Stream>>(std::move(ws));
  co_return std::move(carrier);
}

}  // namespace

void set_max_message(Carrier& carrier, std::size_t bytes) {
  if (auto* plain = dynamic_cast<WebSocketCarrier<net::TcpStream>*>(&carrier)) plain->set_max_message(bytes);
  if (auto* secure = dynamic_cast<WebSocketCarrier<TlsStream>*>(&carrier)) secure->set_max_message(bytes);
}

bool is_upgrade(const UpgradeRequest& request) {
  return websocket::is_upgrade(request);
}

Task<CarrierPtr> accept_upgrade(net::TcpStream stream, UpgradeRequest request, AcceptOptions options) {
  return accept_on(std::move(stream), std::move(request), options);
}
Task<CarrierPtr> accept_upgrade(TlsStream stream, UpgradeRequest request, AcceptOptions options) {
  return accept_on(std::move(stream), std::move(request), options);
}

}  // namespace zks::carrier
