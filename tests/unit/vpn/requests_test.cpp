// SPDX-License-Identifier: MIT
#include "vpn/requests.hpp"

#include <gtest/gtest.h>

namespace zks::vpn {
namespace {

using Json = nlohmann::json;

template <class T>
std::optional<T> of_worker(const char* text) {
  const auto message = read_worker_message(Json::parse(text));
  const T* is = message ? std::get_if<T>(&*message) : nullptr;
  return is != nullptr ? std::optional<T>(*is) : std::nullopt;
}
template <class T>
std::optional<T> of_names(const Json& body) {
  const auto message = read_name_message(body);
  const T* is = message ? std::get_if<T>(&*message) : nullptr;
  return is != nullptr ? std::optional<T>(*is) : std::nullopt;
}

TEST(Requests, OfTheWorker) {
  const auto socket = of_worker<SocketRequest>(R"({"id":7,"do":"socket","family":6,"udp":false})");
  ASSERT_TRUE(socket);
  EXPECT_TRUE(socket->id == 7 && !socket->ipv4 && !socket->udp);
  const auto look_up =
      of_worker<LookUpRequest>(R"({"id":8,"do":"look_up","host":"relay.example","port":443})");
  ASSERT_TRUE(look_up);
  EXPECT_EQ(look_up->target, (HostPort{"relay.example", 443}));
  const auto up = of_worker<UpNotice>(R"({"do":"up","lines":["127.0.0.1:1080","/run/x\u00e9"]})");
  ASSERT_TRUE(up);
  EXPECT_EQ(up->lines.size(), 2U);
  EXPECT_TRUE(of_worker<AliveNotice>(R"({"do":"alive"})"));
}

TEST(Requests, WhatTheWorkerMayNotSayIsNothing) {
  for (const char* text :
       {R"({})", R"({"do":7})", R"({"do":["socket"]})", R"({"do":"undo","id":1})",
        R"({"do":"socket","family":4})", R"({"do":"socket","id":-1,"family":4})",
        R"({"do":"socket","id":1,"family":5})", R"({"do":"socket","id":1.5,"family":4})",
        R"({"do":"socket","id":1,"family":"4"})", R"({"do":"look_up","id":1,"host":"a"})",
        R"({"do":"look_up","id":1,"host":"a","port":65536})",
        R"({"do":"look_up","id":1,"host":"a","port":-1})", R"({"do":"look_up","id":1,"host":["a"],"port":1})",
        R"({"do":"up"})", R"({"do":"up","lines":"zks0"})", R"({"do":"up","lines":[7,null,{}]})",
        R"({"do":"up","lines":["zks0\n0"]})", R"({"do":"up","lines":["\u001b[2J"]})",
        R"({"id":1,"addresses":["192.0.2.1"]})"}) {
    EXPECT_FALSE(read_worker_message(Json::parse(text))) << text;
  }
  Json many = {{"do", "up"}, {"lines", Json::array()}};
  for (std::size_t i = 0; i <= kMaxReadyLines; ++i) many["lines"].push_back("x");
  EXPECT_FALSE(read_worker_message(many));
}

TEST(Requests, OfTheNameProcess) {
  const auto answer =
      of_names<NameAnswer>({{"id", 3U}, {"addresses", {"192.0.2.1", "2001:db8::1"}}, {"failure", 0U}});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->id, 3U);
  ASSERT_EQ(answer->addresses.size(), 2U);
  EXPECT_EQ(answer->addresses[1].text(), "2001:db8::1");
  const auto none = of_names<NameAnswer>({{"id", 4U}, {"addresses", Json::array()}, {"failure", 9U}});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->failure, 9U);
  const auto socket = of_names<SocketRequest>({{"id", 5U}, {"do", "socket"}, {"family", 4U}, {"udp", true}});
  ASSERT_TRUE(socket);
  EXPECT_TRUE(socket->udp && socket->ipv4);
}

TEST(Requests, WhatTheNameProcessMayNotSayIsNothing) {
  for (const char* text :
       {R"({})", R"({"addresses":["192.0.2.1"]})", R"({"id":1})", R"({"id":1,"addresses":{}})",
        R"({"id":1,"addresses":"192.0.2.1"})", R"({"id":1,"addresses":[1]})",
        R"({"id":1,"addresses":["192.0.2.1","127.1"]})", R"({"id":1,"addresses":["fe80::1%eth0"]})",
        R"({"id":1,"addresses":["0.0.0.0/0"]})", R"({"id":1,"do":"socket","family":17})"}) {
    EXPECT_FALSE(read_name_message(Json::parse(text))) << text;
  }
  Json many = {{"id", 1U}, {"addresses", Json::array()}};
  for (std::size_t i = 0; i <= kMaxAnswerAddresses; ++i) many["addresses"].push_back("192.0.2.1");
  EXPECT_FALSE(read_name_message(many));
}

TEST(Requests, ABodyIsAnObjectOfBoundedLength) {
  EXPECT_TRUE(read_body("{}"));
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[1]"), std::string("\xff\xfe"), std::string(9'000, '['),
        "{\"a\":\"" + std::string(kMaxMessageBytes, 'x') + "\"}"}) {
    EXPECT_FALSE(read_body(text)) << text.substr(0, 20);
  }
}

}  // namespace
}  // namespace zks::vpn
