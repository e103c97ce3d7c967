// SPDX-License-Identifier: MIT
#include "dns_server.hpp"

#include <algorithm>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "base/ip_address.hpp"

namespace zks::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;

constexpr std::uint16_t kTypeA = 1;
constexpr std::size_t kHeaderBytes = 12;
constexpr std::uint8_t kResponseFlags = 0x85;  // QR, AA, RD
constexpr std::uint8_t kTruncatedFlag = 0x02;

struct Question {
  std::string name;
  std::uint16_t type = 0;
  std::size_t end = 0;
};

Question parse_question(ByteView query) {
  Question out;
  std::size_t at = kHeaderBytes;
  while (query[at] != 0) {
    if (!out.name.empty()) out.name += '.';
    out.name += std::string(as_text(query.subspan(at + 1, query[at])));
    at += 1 + query[at];
  }
  std::transform(out.name.begin(), out.name.end(), out.name.begin(), ::tolower);
  out.type = load_be<std::uint16_t>(query.data() + at + 1);
  out.end = at + 5;
  return out;
}

Bytes message(ByteView query, const Question& question, const std::vector<std::string>& addresses,
              std::uint8_t code, bool truncated) {
  Bytes out(query.begin(), query.begin() + static_cast<std::ptrdiff_t>(question.end));
  out[2] = static_cast<std::uint8_t>(kResponseFlags | (truncated ? kTruncatedFlag : 0));
  out[3] = static_cast<std::uint8_t>(0x80 | code);
  store_be(static_cast<std::uint16_t>(1), out.data() + 4);
  store_be(static_cast<std::uint16_t>(addresses.size()), out.data() + 6);
  std::fill(out.begin() + 8, out.begin() + 12, std::uint8_t{0});
  for (const std::string& text : addresses) {
    const IpAddress address = parse_ip_address(text).value();
    const auto length = static_cast<std::uint8_t>(address.bits() / 8);
    const auto type = static_cast<std::uint8_t>(question.type);
    out.insert(out.end(), {0xc0, kHeaderBytes, 0, type, 0, 1, 0, 0, 0, 60, 0, length});
    out.insert(out.end(), address.bytes.begin(), address.bytes.begin() + length);
  }
  return out;
}

}  // namespace

// A port that is free for TCP may be taken for UDP.
DnsServer::DnsServer(asio::io_context& context) : udp_(context, udp::v4()), tcp_(context) {
  const auto loopback = asio::ip::address_v4::loopback();
  error_code ec = asio::error::address_in_use;
  while (ec == asio::error::address_in_use) {
    tcp_ = tcp::acceptor(context, tcp::endpoint(loopback, 0));
    udp_.bind(udp::endpoint(loopback, tcp_.local_endpoint().port()), ec);
  }
  if (ec) throw boost::system::system_error(ec);
  receive();
  accept();
}

std::string DnsServer::address() const {
  return "127.0.0.1:" + std::to_string(udp_.local_endpoint().port());
}

void DnsServer::receive() {
  udp_.async_receive_from(asio::buffer(buffer_), peer_, [this](const error_code& ec, std::size_t size) {
    if (ec) return;
    ++queries_;
    const Bytes reply = answer(ByteView(buffer_.data(), size), false);
    error_code ignored;
    if (!reply.empty()) udp_.send_to(asio::buffer(reply), peer_, 0, ignored);
    receive();
  });
}

void DnsServer::accept() {
  tcp_.async_accept([this](const error_code& ec, tcp::socket socket) {
    if (ec) return;
    serve_tcp(this, std::make_shared<tcp::socket>(std::move(socket)));
    accept();
  });
}

void DnsServer::serve_tcp(DnsServer* self, std::shared_ptr<tcp::socket> socket) {
  auto bytes = std::make_shared<Bytes>(2);
  asio::async_read(*socket, asio::buffer(*bytes), [self, socket, bytes](const error_code& ec, std::size_t) {
    if (ec) return;
    bytes->resize(load_be<std::uint16_t>(bytes->data()));
    asio::async_read(*socket, asio::buffer(*bytes),
                     [self, socket, bytes](const error_code& failed, std::size_t) {
                       if (failed) return;
                       ++self->tcp_queries_;
                       const Bytes reply = self->answer(*bytes, true);
                       auto framed = std::make_shared<Bytes>(2 + reply.size());
                       store_be(static_cast<std::uint16_t>(reply.size()), framed->data());
                       std::copy(reply.begin(), reply.end(), framed->begin() + 2);
                       asio::async_write(*socket, asio::buffer(*framed),
                                         [self, socket, framed](const error_code& e, std::size_t) {
                                           if (!e) serve_tcp(self, socket);
                                         });
                     });
  });
}

Bytes DnsServer::answer(ByteView query, bool over_tcp) {
  constexpr std::uint8_t kNxDomainCode = 3;
  constexpr std::uint8_t kServFailCode = 2;
  constexpr std::uint8_t kRefusedCode = 5;
  const Question question = parse_question(query);
  const auto known = names.find(question.name);
  if (known == names.end()) return message(query, question, {}, kNxDomainCode, false);
  const bool a = question.type == kTypeA;
  const auto& addresses = a ? known->second.ipv4 : known->second.ipv6;
  Bytes out = message(query, question, addresses, 0, false);
  switch (a ? known->second.on_a : known->second.on_aaaa) {
    case Behaviour::kAnswer:
      return out;
    case Behaviour::kNxDomain:
      return message(query, question, {}, kNxDomainCode, false);
    case Behaviour::kServFail:
      return message(query, question, {}, kServFailCode, false);
    case Behaviour::kRefused:
      out = message(query, question, {}, kRefusedCode, false);
      out[11] = 1;
      out.insert(out.end(), {0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 6, 0, 15, 0, 2, 0, 18});
      return out;
    case Behaviour::kRefusedBare:
      out = message(query, question, {}, kRefusedCode, false);
      out.resize(kHeaderBytes);
      out[5] = 0;
      return out;
    case Behaviour::kOldServer:
      return query[11] == 0 ? out : message(query, question, {}, 1, false);
    case Behaviour::kLong:
      if (over_tcp) return {};
      out.insert(out.end(), 700, 0);
      return out;
    case Behaviour::kSilent:
      return {};
    case Behaviour::kGarbage:
      return Bytes(40, 0xff);
    case Behaviour::kWrongId:
      out[0] ^= 0xff;
      return out;
    case Behaviour::kTruncated:
      return over_tcp ? out : message(query, question, {}, 0, true);
    case Behaviour::kCutAnswer:
      out.resize(out.size() - 3);
      return out;
  }
  return out;
}

}  // namespace zks::test
