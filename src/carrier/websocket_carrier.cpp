// SPDX-License-Identifier: MIT
#include "carrier/websocket_carrier.hpp"

namespace zks::carrier {

Error to_error(const boost::system::error_code& ec, const boost::beast::websocket::close_reason& reason) {
  namespace websocket = boost::beast::websocket;
  // 1005 and 1006 stand for "no code" and never travel (RFC 6455, section 7.4.1). A close frame may have come
  // and the connection have failed before its answer was out: the code counts all the same.
  const bool coded =
      reason.code != websocket::close_code::none && reason.code != websocket::close_code::no_status;
  if (ec == websocket::error::closed || coded) {
    return make_error(ErrorKind::kClosed, "the peer closed the connection", coded ? reason.code : 0);
  }
  if (ec == websocket::error::message_too_big || ec == websocket::error::buffer_overflow) {
    return make_error(ErrorKind::kLimit, "a message over the limit");
  }
  if (ec == websocket::condition::protocol_violation) {
    return make_error(ErrorKind::kProtocol, "the peer broke RFC 6455: " + ec.message());
  }
  return make_error(ErrorKind::kClosed, "the connection broke: " + ec.message());
}

template class WebSocketCarrier<net::TcpStream>;
template class WebSocketCarrier<TlsStream>;
template class WebSocketCarrier<AnswerGate<net::TcpStream>>;
template class WebSocketCarrier<AnswerGate<TlsStream>>;

}  // namespace zks::carrier
