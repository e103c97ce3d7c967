// SPDX-License-Identifier: MIT
#include "frontdoor/socks_door.hpp"

#include "base/log.hpp"
#include "frontdoor/socks4.hpp"
#include "frontdoor/socks5_parser.hpp"

namespace zks::frontdoor {
namespace {

Bytes success(std::uint8_t version, const session::Destination& bound) {
  return version == kSocks4Version ? encode_socks4_reply(true, bound)
                                   : encode_socks5_reply(kSucceeded, bound);
}

Bytes refusal(std::uint8_t version, session::ResetCode code) {
  return version == kSocks4Version ? encode_socks4_reply(false, {}) : encode_socks5_refusal(code);
}

}  // namespace

asio::awaitable<std::optional<SocksRequest>> read_socks5(std::shared_ptr<tunnel::Connection> client,
                                                         std::shared_ptr<const Credentials> credentials) {
  Socks5Parser parser(credentials.get());
  while (true) {
    ByteView input = client->input();
    const Socks5Parser::Step step = parser.feed(input);
    client->take(client->input().size() - input.size());
    Bytes replies = parser.take_replies();
    if (step == Socks5Parser::Step::kRefused) {
      log::debug(
          "a SOCKS5 client, {}, is refused: its request is malformed or asks for what there is not, or its "
          "password is wrong",
          client->remote_text());
      co_await tunnel::Connection::refuse(client, std::move(replies));
      co_return std::nullopt;
    }
    const bool sent = co_await tunnel::Connection::write(client, std::move(replies));
    if (!sent) co_return std::nullopt;
    if (step == Socks5Parser::Step::kRequest) {
      SocksRequest request;
      request.destination = parser.destination();
      request.associates = parser.associates();
      co_return request;
    }
    const bool more = co_await tunnel::Connection::read(client);
    if (!more) co_return std::nullopt;
  }
}

asio::awaitable<std::optional<SocksRequest>> read_socks4(std::shared_ptr<tunnel::Connection> client,
                                                         std::shared_ptr<const Credentials> credentials) {
  while (true) {
    Socks4Request parsed = parse_socks4(client->input());
    if (credentials || parsed.step == Socks4Request::Step::kRefused) {
      log::debug("a SOCKS4 client, {}, is refused: {}", client->remote_text(),
                 credentials ? "this proxy asks for a password, which SOCKS4 does not have"
                             : "its request is malformed");
      Bytes reply = encode_socks4_reply(false, {});
      co_await tunnel::Connection::refuse(client, std::move(reply));
      co_return std::nullopt;
    }
    if (parsed.step == Socks4Request::Step::kRequest) {
      client->take(parsed.taken);
      SocksRequest request;
      request.version = kSocks4Version;
      request.destination = std::move(parsed.destination);
      co_return request;
    }
    const bool more = co_await tunnel::Connection::read(client);
    if (!more) co_return std::nullopt;
  }
}

asio::awaitable<void> serve_socks(std::shared_ptr<tunnel::Connection> client,
                                  std::shared_ptr<tunnel::StreamOpener> opener, SocksRequest request) {
  tunnel::OpenOutcome outcome = co_await tunnel::Connection::open(
      client, std::move(opener), request.destination, tunnel::Connection::End::kLeaves);
  if (client->gone()) co_return;
  if (!outcome.stream) {
    Bytes reply = refusal(request.version, outcome.code);
    co_await tunnel::Connection::refuse(client, std::move(reply));
    co_return;
  }
  Bytes reply = success(request.version, outcome.bound);
  const bool sent = co_await tunnel::Connection::write(client, std::move(reply));
  if (sent) {
    co_await tunnel::Connection::splice(client, std::move(outcome.stream));
  } else {
    tunnel::cancel(outcome.stream, session::ResetCode::kCancelled);
  }
}

}  // namespace zks::frontdoor
