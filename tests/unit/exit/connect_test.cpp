// SPDX-License-Identifier: MIT
//
// Connecting to loopback listeners that accept, refuse or never answer, under rules that open just those.
#include "exit/connect.hpp"

#include <gmock/gmock.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "../support/dns_server.hpp"
#include "../support/run.hpp"

namespace zks::exit {
namespace {

using asio::ip::tcp;
using session::Destination;
using session::ResetCode;
using std::chrono::milliseconds;
using test::run;
using testing::HasSubstr;

Destination to_name(std::string name, std::uint16_t port) {
  return {.kind = Destination::Kind::kName, .name = std::move(name), .address = {}, .port = port};
}

Destination to_address(const char* text, std::uint16_t port) {
  const IpAddress address = parse_ip_address(text).value();
  Destination out;
  out.kind = address.is_ipv4() ? Destination::Kind::kIpv4 : Destination::Kind::kIpv6;
  out.address = address.bytes;
  out.port = port;
  return out;
}

// A port that nothing listens on while this lives: bound, but not listening.
class ClosedPort {
 public:
  explicit ClosedPort(asio::io_context& context, const char* address = "127.0.0.1")
      : socket_(context, tcp::endpoint(asio::ip::make_address(address), 0)) {}
  std::uint16_t port() const { return socket_.local_endpoint().port(); }

 private:
  tcp::socket socket_;
};

// A listener whose backlog is full, so that the kernel drops every further SYN.
class BlackHole {
 public:
  BlackHole(asio::io_context& context, const char* address, std::uint16_t port = 0)
      : acceptor_(context, tcp::endpoint(asio::ip::make_address(address), port), true) {
    acceptor_.listen(0);
    // With a backlog of 0 the kernel takes one connection; the second try to connect is left without answer.
    for (int i = 0; i < 4; ++i) {
      auto filler = std::make_unique<tcp::socket>(context);
      filler->open(acceptor_.local_endpoint().protocol());
      filler->non_blocking(true);
      // Asio's connect() would wait for the answer that never comes.
      const auto endpoint = acceptor_.local_endpoint();
      ::connect(filler->native_handle(), endpoint.data(), static_cast<socklen_t>(endpoint.size()));
      fillers_.push_back(std::move(filler));
    }
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  tcp::acceptor acceptor_;
  std::vector<std::unique_ptr<tcp::socket>> fillers_;
};

class ConnectTest : public testing::Test {
 protected:
  std::shared_ptr<const Policy> policy(std::initializer_list<const char*> allow,
                                       std::initializer_list<const char*> deny = {}) {
    std::vector<Rule> rules[2];
    for (const char* text : allow) rules[0].push_back(parse_rule(text).value());
    for (const char* text : deny) rules[1].push_back(parse_rule(text).value());
    return std::make_shared<Policy>(Rules{rules[0], rules[1]});
  }

  ConnectOutcome connect_to(Destination destination, std::shared_ptr<const Policy> rules,
                            milliseconds timeout = std::chrono::seconds(30)) {
    net::LookupOptions options;
    options.servers = dns.address();
    const auto resolver =
        std::make_shared<GuestResolver>(net::Resolver::create(context.get_executor(), options).value());
    ConnectOptions limits;
    limits.timeout = timeout;
    return run(context, connect(context.get_executor(), std::move(destination), rules, resolver, limits));
  }

  tcp::acceptor listener(const char* address, std::uint16_t port = 0) {
    return tcp::acceptor(context, tcp::endpoint(asio::ip::make_address(address), port));
  }

  // A listener on 127.0.0.1 whose port nobody uses on ::1.
  tcp::acceptor ipv4_listener() {
    while (true) {
      auto target = listener("127.0.0.1");
      tcp::socket probe(context, tcp::v6());
      boost::system::error_code taken;
      probe.bind(tcp::endpoint(asio::ip::address_v6::loopback(), target.local_endpoint().port()), taken);
      if (!taken) return target;
    }
  }

  asio::io_context context{1};
  test::DnsServer dns{context};
};

TEST_F(ConnectTest, ToAnAddress) {
  for (const char* address : {"127.0.0.1", "::1"}) {
    auto target = listener(address);
    const std::uint16_t port = target.local_endpoint().port();
    auto out = connect_to(to_address(address, port), policy({"127.0.0.1", "::1"}));
    ASSERT_TRUE(out.socket.has_value()) << address << ": " << out.reason;
    EXPECT_EQ(out.socket->remote_endpoint(), target.local_endpoint());
    tcp::no_delay no_delay;
    out.socket->get_option(no_delay);
    EXPECT_TRUE(no_delay.value());
    EXPECT_EQ(out.bound, to_address(address, out.socket->local_endpoint().port()));
  }
}

TEST_F(ConnectTest, MappedAddressesGoWhereTheyAreJudged) {
  auto target = listener("127.0.0.1");
  const auto out =
      connect_to(to_address("::ffff:127.0.0.1", target.local_endpoint().port()), policy({"127.0.0.1"}));
  ASSERT_TRUE(out.socket.has_value()) << out.reason;
  EXPECT_TRUE(out.socket->remote_endpoint().address().is_v4());
}

TEST_F(ConnectTest, ToANameThatSpellsAnAddress) {
  auto target = listener("127.0.0.1");
  const std::uint16_t port = target.local_endpoint().port();
  EXPECT_TRUE(connect_to(to_name("127.0.0.1", port), policy({"127.0.0.1"})).socket.has_value());
  EXPECT_EQ(connect_to(to_name("127.0.0.1", port), policy({})).code, ResetCode::kNotAllowed);
  EXPECT_EQ(dns.queries(), 0u);
}

TEST_F(ConnectTest, ToAName) {
  auto target = listener("127.0.0.1");
  dns.names["web.test"] = {.ipv4 = {"127.0.0.1"}};
  EXPECT_TRUE(connect_to(to_name("web.test", target.local_endpoint().port()), policy({"127.0.0.1"}))
                  .socket.has_value());
  EXPECT_TRUE(connect_to(to_name("web.test", target.local_endpoint().port()), policy({"web.test"}))
                  .socket.has_value());
}

TEST_F(ConnectTest, Refused) {
  const ClosedPort closed(context);
  dns.names["web.test"] = {.ipv4 = {"127.0.0.1"}};
  for (const Destination& destination :
       {to_address("127.0.0.1", closed.port()), to_name("web.test", closed.port())}) {
    const auto out = connect_to(destination, policy({"127.0.0.0/8"}));
    EXPECT_FALSE(out.socket.has_value());
    EXPECT_EQ(out.code, ResetCode::kConnectionRefused) << out.reason;
  }
}

TEST_F(ConnectTest, NetworkUnreachable) {
  // What the kernel says to TCP towards a broadcast address.
  const auto out = connect_to(to_address("127.255.255.255", 80), policy({"127.0.0.0/8"}));
  EXPECT_EQ(out.code, ResetCode::kNetworkUnreachable) << out.reason;
}

TEST_F(ConnectTest, BlackHoleTimesOut) {
  const BlackHole hole(context, "127.0.0.1");
  const auto out = connect_to(to_address("127.0.0.1", hole.port()), policy({"127.0.0.1"}), milliseconds(300));
  EXPECT_EQ(out.code, ResetCode::kTimedOut) << out.reason;
}

TEST_F(ConnectTest, Ipv4WhereIpv6Refuses) {
  auto target = ipv4_listener();
  dns.names["both.test"] = {.ipv4 = {"127.0.0.1"}, .ipv6 = {"::1"}};
  const auto out =
      connect_to(to_name("both.test", target.local_endpoint().port()), policy({"127.0.0.1", "::1"}));
  ASSERT_TRUE(out.socket.has_value()) << out.reason;
  EXPECT_TRUE(out.socket->remote_endpoint().address().is_v4());
}

TEST_F(ConnectTest, Ipv4WhereIpv6DoesNotAnswer) {
  auto target = ipv4_listener();
  const BlackHole hole(context, "::1", target.local_endpoint().port());
  dns.names["both.test"] = {.ipv4 = {"127.0.0.1"}, .ipv6 = {"::1"}};
  const auto out = connect_to(to_name("both.test", hole.port()), policy({"127.0.0.1", "::1"}));
  ASSERT_TRUE(out.socket.has_value()) << out.reason;
  EXPECT_TRUE(out.socket->remote_endpoint().address().is_v4());
}

TEST_F(ConnectTest, TheFirstAddressThatAnswersWins) {
  auto target = ipv4_listener();
  auto other = listener("::1", target.local_endpoint().port());
  dns.names["both.test"] = {.ipv4 = {"127.0.0.1"}, .ipv6 = {"::1"}};
  const auto out =
      connect_to(to_name("both.test", target.local_endpoint().port()), policy({"127.0.0.1", "::1"}));
  ASSERT_TRUE(out.socket.has_value()) << out.reason;
  EXPECT_TRUE(out.socket->remote_endpoint().address().is_v6());
  target.non_blocking(true);
  boost::system::error_code ec;
  target.accept(ec);
  EXPECT_EQ(ec, asio::error::would_block) << "the second was not tried";
}

TEST_F(ConnectTest, TheMostTellingFailureIsReported) {
  const ClosedPort closed(context);
  dns.names["both.test"] = {.ipv4 = {"127.255.255.255", "127.0.0.1"}, .ipv6 = {}};
  const auto out = connect_to(to_name("both.test", closed.port()), policy({"127.0.0.0/8"}));
  EXPECT_EQ(out.code, ResetCode::kConnectionRefused) << out.reason;
}

TEST_F(ConnectTest, BlockedAddressIsRefusedWithoutAPacket) {
  auto target = listener("127.0.0.1");
  const auto out = connect_to(to_address("127.0.0.1", target.local_endpoint().port()), policy({}));
  EXPECT_EQ(out.code, ResetCode::kNotAllowed);
  EXPECT_THAT(out.reason, HasSubstr("loopback"));
  target.non_blocking(true);
  boost::system::error_code ec;
  target.accept(ec);
  EXPECT_EQ(ec, asio::error::would_block);
}

TEST_F(ConnectTest, ReboundNameIsJudgedByItsAddress) {
  auto target = listener("127.0.0.1");
  const std::uint16_t port = target.local_endpoint().port();
  dns.names["rebound.test"] = {.ipv4 = {"127.0.0.1"}, .ipv6 = {"::ffff:127.0.0.1"}};
  const auto out = connect_to(to_name("rebound.test", port), policy({}));
  EXPECT_EQ(out.code, ResetCode::kNotAllowed);
  EXPECT_EQ(connect_to(to_name("localhost", port), policy({})).code, ResetCode::kNotAllowed);
}

TEST_F(ConnectTest, NumericSpellingsAreTheAddressesThatTheyMean) {
  auto target = listener("127.0.0.1");
  for (const char* name : {"127.1", "127.0.0.1.", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1",
                           "[127.0.0.1]", "[::ffff:127.0.0.1]", "::ffff:127.0.0.1", "017700000001"}) {
    const auto closed = connect_to(to_name(name, target.local_endpoint().port()), policy({}));
    EXPECT_FALSE(closed.socket.has_value()) << name;
    EXPECT_EQ(closed.code, ResetCode::kNotAllowed) << name;
    EXPECT_EQ(closed.reason, "loopback, 127.0.0.0/8") << name;
    const auto open = connect_to(to_name(name, target.local_endpoint().port()), policy({"127.0.0.1"}));
    EXPECT_TRUE(open.socket.has_value()) << name;
  }
  for (const char* name : {"256.1.1.1", "1.2.3.4.5", "127.0.0.1 x", "127.0.0.0x", "09.1", "0x1ffffffff"}) {
    dns.names[name] = {.ipv4 = {"127.0.0.1"}};
    const auto out = connect_to(to_name(name, target.local_endpoint().port()), policy({"127.0.0.1"}));
    EXPECT_FALSE(out.socket.has_value()) << name;
  }
  EXPECT_EQ(dns.queries(), 0u);
}

TEST_F(ConnectTest, BlockedAddressesOfANameAreSkipped) {
  auto target = listener("127.0.0.1");
  dns.names["mixed.test"] = {.ipv4 = {"10.1.2.3", "127.0.0.2", "127.0.0.1"}, .ipv6 = {"fd00::1"}};
  const auto out = connect_to(to_name("mixed.test", target.local_endpoint().port()), policy({"127.0.0.1"}));
  ASSERT_TRUE(out.socket.has_value()) << out.reason;
  EXPECT_EQ(out.socket->remote_endpoint(), target.local_endpoint());
}

TEST_F(ConnectTest, DeniedNameIsNotLookedUp) {
  dns.names["bad.test"] = {.ipv4 = {"127.0.0.1"}};
  const auto out = connect_to(to_name("Bad.test", 80), policy({"127.0.0.1"}, {"bad.test"}));
  EXPECT_EQ(out.code, ResetCode::kNotAllowed);
  EXPECT_EQ(out.reason, "--deny bad.test");
  EXPECT_EQ(dns.queries(), 0u);
}

TEST_F(ConnectTest, UnknownNames) {
  EXPECT_EQ(connect_to(to_name("nobody.test", 80), policy({})).code, ResetCode::kNameNotFound);
  EXPECT_EQ(connect_to(to_name("no name", 80), policy({})).code, ResetCode::kNameNotFound);
}

// Each attempt is a packet to whom the name's owner chose.
TEST_F(ConnectTest, NoMoreAttemptsThanItsBound) {
  const auto target = listener("127.0.1.20");
  const auto outcome = [&](int refusals) {
    test::DnsServer::Name many{.on_a = test::DnsServer::Behaviour::kTruncated};
    for (int i = 0; i < refusals; ++i) many.ipv4.push_back("127.0.2." + std::to_string(i + 1));
    many.ipv4.emplace_back("127.0.1.20");
    const std::string name = "many" + std::to_string(refusals) + ".test";
    dns.names[name] = many;
    return connect_to(to_name(name, target.local_endpoint().port()), policy({"127.0.0.0/16"}));
  };
  EXPECT_TRUE(outcome(31).socket);
  EXPECT_EQ(outcome(32).code, ResetCode::kConnectionRefused) << "the thirty-third would have accepted";
}

TEST(ResetCodeTest, OfErrnos) {
  const auto code = [](int number) {
    return tunnel::reset_code_of(boost::system::error_code(number, boost::system::system_category()));
  };
  EXPECT_EQ(code(ECONNREFUSED), ResetCode::kConnectionRefused);
  EXPECT_EQ(code(ENETUNREACH), ResetCode::kNetworkUnreachable);
  EXPECT_EQ(code(EADDRNOTAVAIL), ResetCode::kNetworkUnreachable);
  EXPECT_EQ(code(EHOSTUNREACH), ResetCode::kHostUnreachable);
  EXPECT_EQ(code(ETIMEDOUT), ResetCode::kTimedOut);
  EXPECT_EQ(code(EACCES), ResetCode::kNotAllowed);
  EXPECT_EQ(code(EPERM), ResetCode::kNotAllowed);
  EXPECT_EQ(code(EAFNOSUPPORT), ResetCode::kAddressNotSupported);
  EXPECT_EQ(code(EMFILE), ResetCode::kGeneralFailure);
}

}  // namespace
}  // namespace zks::exit
