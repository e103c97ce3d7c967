// SPDX-License-Identifier: MIT
#include "carrier/upstream_proxy.hpp"

#include <map>

#include <gtest/gtest.h>

namespace zks::carrier {
namespace {

RelayUrl relay(const std::string& host, bool tls = true) {
  return RelayUrl{.tls = tls, .host = host, .port = 443, .prefix = {}};
}

TEST(UpstreamProxy, ReadsHostPortAndCredentials) {
  const auto plain = parse_upstream_proxy("http://proxy.corp.example:3128");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->text(), "proxy.corp.example:3128");
  EXPECT_EQ(plain->authorization, nullptr);
  // RFC 7617, section 2.
  const auto known = parse_upstream_proxy("HTTP://Aladdin:open%20sesame@[2001:DB8::1]:8080/");
  ASSERT_TRUE(known);
  EXPECT_EQ(known->text(), "[2001:db8::1]:8080");
  ASSERT_NE(known->authorization, nullptr);
  EXPECT_EQ(*known->authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

TEST(UpstreamProxy, TakesWhatCurlTakes) {
  EXPECT_EQ(parse_upstream_proxy("proxy.example:3128")->text(), "proxy.example:3128");
  EXPECT_EQ(parse_upstream_proxy("http://proxy.example")->port, 80);
  EXPECT_EQ(*parse_upstream_proxy("http://u:a%40b%3Ac@h:1")->authorization, "Basic dTphQGI6Yw==");
  EXPECT_EQ(*parse_upstream_proxy("http://u:a@b@h:1")->authorization, "Basic dTphQGI=");
  EXPECT_EQ(*parse_upstream_proxy("http://u:a/b@h:1")->authorization, "Basic dTphL2I=");
  EXPECT_EQ(*parse_upstream_proxy("http://:@h:1")->authorization, "Basic Og==");
}

TEST(UpstreamProxy, RefusesTheRestWithoutRepeatingIt) {
  for (const char* url :
       {"", "http://", "https://u:secret@h:1", "socks5://u:secret@h:1", "http://u:secret@",
        "http://secret@h:1", "http://u:secret@h:0", "http://u:secret@h:99999", "http://u:secret@h:1/path",
        "http://u:secret@h:1?q", "http://u:secret%@h:1", "http://u:secret%zz@h:1",
        "http://u:secret%0d%0a@h:1", "http://u:secret@::1:80", "http://u:secret@h h:1"}) {
    const auto read = parse_upstream_proxy(url);
    ASSERT_FALSE(read) << url;
    EXPECT_EQ(read.error().kind, ErrorKind::kUsage);
    EXPECT_EQ(read.error().text.find("secret"), std::string::npos) << read.error().text;
  }
  EXPECT_FALSE(parse_upstream_proxy("http://u:" + std::string(3000, 'a') + "@h:1"));
  UpstreamProxy proxy;
  EXPECT_FALSE(set_credentials(proxy, "u:" + std::string(600, 'a')));
  EXPECT_FALSE(set_credentials(proxy, "no colon"));
  EXPECT_EQ(proxy.authorization, nullptr);
}

TEST(NoProxy, MatchesAsCurlDoes) {
  const NoProxy some(
      " example.com, .corp.test\tLocalhost,10.0.0.0/8, 192.0.2.7 [2001:db8::]/32,2001:db8:1::/48 [::1]");
  for (const char* host :
       {"example.com", "EXAMPLE.com", "a.example.com", "a.b.example.com", "example.com.", "corp.test",
        "x.corp.test", "localhost", "10.1.2.3", "192.0.2.7", "2001:db8:1::9", "::1", "[::1]"}) {
    EXPECT_TRUE(some.matches(host)) << host;
  }
  for (const char* host : {"badexample.com", "example.com.evil", "com", "test", "11.0.0.1", "192.0.2.70",
                           "192.0.2.8", "2001:db8:2::9", "::2", "1.10.0.0.0"}) {
    EXPECT_FALSE(some.matches(host)) << host;
  }
  EXPECT_TRUE(NoProxy("*").matches("anything"));
  EXPECT_TRUE(NoProxy(" * ").matches("192.0.2.1"));
  EXPECT_FALSE(NoProxy("*,a").matches("b"));  // "*" counts alone only
  EXPECT_FALSE(NoProxy("").matches("a"));
  EXPECT_FALSE(NoProxy(",., ,").matches("a"));
  for (const char* broken : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "10/8", "::/129"})
    EXPECT_FALSE(NoProxy(broken).matches("10.0.0.1") || NoProxy(broken).matches("::1")) << broken;
  EXPECT_TRUE(NoProxy("0.0.0.0/0").matches("198.51.100.1"));
  EXPECT_FALSE(NoProxy("0.0.0.0/0").matches("::1"));
}

TEST(NoProxy, IsBounded) {
  std::string list;
  for (std::size_t i = 0; i < NoProxy::kMaxEntries; ++i) list += "a" + std::to_string(i) + ",";
  EXPECT_TRUE(NoProxy(list + "last").matches("a1023"));
  EXPECT_FALSE(NoProxy(list + "last").matches("last"));
}

class Environment : public testing::Test {
 protected:
  Result<ProxyRules> read() {
    return proxies_of_environment([this](const char* name) -> const char* {
      const auto at = variables_.find(name);
      return at == variables_.end() ? nullptr : at->second.c_str();
    });
  }
  // The proxy for a relay, "" for none.
  std::string choice(const RelayUrl& url) {
    const auto rules = read();
    const auto* proxy = rules->choose(url);
    return proxy == nullptr ? "" : proxy->text();
  }
  std::map<std::string, std::string> variables_;
};

TEST_F(Environment, ChoosesByScheme) {
  EXPECT_EQ(choice(relay("a")), "");
  variables_ = {{"https_proxy", "http://s:1"}, {"http_proxy", "http://p:2"}};
  EXPECT_EQ(choice(relay("a")), "s:1");
  EXPECT_EQ(choice(relay("a", false)), "p:2");
}

TEST_F(Environment, LowerCaseWinsAndUpperCaseHttpProxyIsNotRead) {
  variables_ = {{"HTTPS_PROXY", "http://upper:1"}, {"HTTP_PROXY", "http://upper:2"}};
  EXPECT_EQ(choice(relay("a")), "upper:1");
  EXPECT_EQ(choice(relay("a", false)), "");
  variables_["https_proxy"] = "http://lower:1";
  EXPECT_EQ(choice(relay("a")), "lower:1");
  variables_["https_proxy"] = "";
  EXPECT_EQ(choice(relay("a")), "");
}

TEST_F(Environment, NoProxyExcepts) {
  variables_ = {{"https_proxy", "http://s:1"}, {"NO_PROXY", "a.test"}};
  EXPECT_EQ(choice(relay("a.test")), "");
  EXPECT_EQ(choice(relay("b.test")), "s:1");
  variables_["no_proxy"] = "b.test";
  EXPECT_EQ(choice(relay("a.test")), "s:1");
  EXPECT_EQ(choice(relay("b.test")), "");
}

TEST_F(Environment, AWrongVariableIsNamed) {
  variables_ = {{"https_proxy", "socks5h://u:secret@127.0.0.1:1080"}};
  const auto rules = read();
  ASSERT_FALSE(rules);
  EXPECT_NE(rules.error().text.find("https_proxy"), std::string::npos);
  EXPECT_NE(rules.error().text.find("--http-proxy none"), std::string::npos);
  EXPECT_EQ(rules.error().text.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace zks::carrier
