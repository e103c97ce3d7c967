// SPDX-License-Identifier: MIT
#include "host/resolvers.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "../support/temporary_directory.hpp"

namespace zks::host {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> texts(const std::vector<NameServer>& servers) {
  std::vector<std::string> out;
  for (const NameServer& server : servers) out.push_back(server.text());
  return out;
}

std::vector<std::string> parsed(std::string_view text) {
  return texts(parse_name_servers(text));
}

TEST(Nameservers, AreReadAsGlibcDoes) {
  EXPECT_THAT(
      parsed("# a comment\nsearch lan\nnameserver 192.0.2.1\nnameserver\t2001:db8::1  # fast\noptions x"),
      ElementsAre("192.0.2.1", "2001:db8::1"));
  EXPECT_THAT(parsed("nameserver 192.0.2.1"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(parsed("nameserver 192.0.2.1\r\n"), ElementsAre("192.0.2.1"));
  EXPECT_THAT(
      parsed(" nameserver 192.0.2.1\nnameserver192.0.2.1\nnameserver\nnameserver \n;nameserver 1.1.1.1\n"),
      IsEmpty());
  EXPECT_THAT(parsed("nameserver one.example\nnameserver 127.1\n"), IsEmpty());
  EXPECT_THAT(parsed(""), IsEmpty());
}

TEST(Nameservers, MayBeLinkLocalWithAZone) {
  EXPECT_THAT(parsed("nameserver fe80::1%eth0\nnameserver febf::2%br-0.7@x # b\nnameserver fe80::1%3\n"),
              ElementsAre("fe80::1%eth0", "febf::2%br-0.7@x", "fe80::1%3"));
  EXPECT_THAT(
      parsed("nameserver fe80::1%\nnameserver fe80::1%a/b\nnameserver fe80::1%a%b\n"
             "nameserver 192.0.2.1%eth0\nnameserver 2001:db8::1%eth0\nnameserver fe80::1%0123456789abcdef\n"),
      IsEmpty());
}

TEST(Nameservers, AreThreeAtMost) {
  EXPECT_THAT(
      parsed("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n"),
      ElementsAre("192.0.2.1", "192.0.2.2", "192.0.2.3"));
}

class OutsideResolvers : public testing::Test {
 protected:
  std::string file(const char* name, const std::string& content) {
    std::ofstream(directory_.path() / name) << content;
    return directory_.path() / name;
  }

  test::TemporaryDirectory directory_;
};

TEST_F(OutsideResolvers, AreThoseOfTheFile) {
  EXPECT_THAT(texts(outside_resolvers(file("resolv.conf", "nameserver 192.0.2.7\n"), {})),
              ElementsAre("192.0.2.7"));
}

TEST_F(OutsideResolvers, AreThoseThatTheStubAsks) {
  const std::string stub = file("stub", "nameserver 127.0.0.53\noptions edns0 trust-ad\n");
  EXPECT_THAT(texts(outside_resolvers(stub, {}, {file("uplinks", "nameserver 192.0.2.8\n")})),
              ElementsAre("192.0.2.8"));
  EXPECT_THAT(outside_resolvers(stub, {}, {directory_.path() / "none"}), IsEmpty());
}

TEST_F(OutsideResolvers, AreThoseThatAnyForwarderAsksIfThatIsKnown) {
  for (const char* forwarder : {"127.0.0.1", "127.0.1.1", "::1"}) {
    const std::string conf = file("resolv.conf", std::string("nameserver ") + forwarder + "\n");
    const std::string itself = file("itself", "nameserver 127.0.0.53\n");
    EXPECT_THAT(texts(outside_resolvers(conf, {}, {itself, file("manager", "nameserver 192.0.2.8\n")})),
                ElementsAre("192.0.2.8"));
    EXPECT_THAT(texts(outside_resolvers(conf, {}, {itself})), ElementsAre(forwarder));
  }
}

TEST_F(OutsideResolvers, AreNeverTheTunnelsOwn) {
  const std::vector<IpAddress> ours{*parse_ip_address("198.18.0.2"), *parse_ip_address("2001:2::2")};
  const std::string tunnel = "nameserver 198.18.0.2\nnameserver 2001:2::2\n";
  EXPECT_THAT(outside_resolvers(file("resolv.conf", tunnel), ours), IsEmpty());
  const std::string stub = file("stub", "nameserver 127.0.0.53\n");
  const std::string uplinks = file("uplinks", tunnel + "nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
  EXPECT_THAT(texts(outside_resolvers(stub, ours, {uplinks})), ElementsAre("192.0.2.1", "192.0.2.2"));
}

TEST_F(OutsideResolvers, AreNoneWithoutAFileToRead) {
  EXPECT_THAT(outside_resolvers(directory_.path() / "none", {}), IsEmpty());
  EXPECT_THAT(outside_resolvers(directory_.path(), {}), IsEmpty());
  const std::string large = file("large", std::string(70'000, '\n') + "nameserver 192.0.2.1\n");
  EXPECT_THAT(outside_resolvers(large, {}), IsEmpty());
}

}  // namespace
}  // namespace zks::host
