// SPDX-License-Identifier: MIT
#include "host/resolv_settings.hpp"

#include <gtest/gtest.h>

namespace zks::host {
namespace {

TEST(ResolverSettings, AreWhatAResolvConfSaysBesideItsServers) {
  EXPECT_EQ(
      resolver_settings("# the provider's\nsearch corp.example\tlan\nnameserver 192.0.2.1\n"
                        "options no-aaaa timeout:1 attempts:5 edns0\r\nsortlist 192.0.2.0/255.255.255.0\n"
                        "domain lan"),
      "search corp.example lan\noptions no-aaaa timeout:1 attempts:5 edns0\n"
      "sortlist 192.0.2.0/255.255.255.0\ndomain lan\n");
}

TEST(ResolverSettings, TrustAdIsNotForTheExitsServers) {
  EXPECT_EQ(resolver_settings("options edns0 trust-ad ndots:2\n"), "options edns0 ndots:2\n");
  EXPECT_EQ(resolver_settings("options trust-ad\nsearch trust-ad\n"), "search trust-ad\n");
}

TEST(ResolverSettings, OtherLinesAreNone) {
  EXPECT_EQ(resolver_settings(" search a\n;search a\nsearching a\nsearch\nSEARCH a\nlookup file\n\n"), "");
  EXPECT_EQ(resolver_settings(std::string_view("search a\0b\n", 11)), "");
}

TEST(ResolverSettings, AreBoundedAndTheSameAgain) {
  const std::string large = "search " + std::string(kMaxResolverSettings, 'a') + "\noptions rotate\n";
  EXPECT_EQ(resolver_settings(large), "options rotate\n");
  EXPECT_EQ(resolver_settings("options rotate\n"), "options rotate\n");
}

}  // namespace
}  // namespace zks::host
