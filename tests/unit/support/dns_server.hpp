// SPDX-License-Identifier: MIT
//
// A DNS server (RFC 1035) on a free loopback port, UDP and TCP, that answers on the test's own executor in
// the ways that servers and attackers do.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>

#include "base/bytes.hpp"

namespace zks::test {

class DnsServer {
 public:
  enum class Behaviour {
    kAnswer,       // the records; NODATA without any of the type
    kNxDomain,     // no such name
    kServFail,     // SERVFAIL
    kRefused,      // REFUSED with an OPT of INFO-CODE 18 (RFC 8914)
    kRefusedBare,  // REFUSED without the question
    kOldServer,    // FORMERR to a query with EDNS, else the records
    kLong,         // the records, and 700 bytes that nobody reads, over UDP only
    kSilent,       // nothing
    kGarbage,      // bytes that are no DNS message
    kWrongId,      // an answer to a question with another id, then nothing
    kTruncated,    // over UDP the TC bit and no records; the records over TCP
    kCutAnswer,    // the answer without its last bytes
  };
  struct Name {
    std::vector<std::string> ipv4 = {};
    std::vector<std::string> ipv6 = {};
    Behaviour on_a = Behaviour::kAnswer;
    Behaviour on_aaaa = Behaviour::kAnswer;
  };

  explicit DnsServer(boost::asio::io_context& context);

  std::map<std::string, Name> names;  // any other name does not exist
  std::string address() const;        // 127.0.0.1:PORT
  std::size_t queries() const { return queries_; }
  std::size_t tcp_queries() const { return tcp_queries_; }

 private:
  void receive();
  void accept();
  static void serve_tcp(DnsServer* self, std::shared_ptr<boost::asio::ip::tcp::socket> socket);
  Bytes answer(ByteView query, bool over_tcp);

  boost::asio::ip::udp::socket udp_;
  boost::asio::ip::tcp::acceptor tcp_;
  boost::asio::ip::udp::endpoint peer_;
  std::array<std::uint8_t, 1500> buffer_{};
  std::size_t queries_ = 0;
  std::size_t tcp_queries_ = 0;
};

}  // namespace zks::test
