// SPDX-License-Identifier: MIT
#include "carrier/relay_control.hpp"

#include <gtest/gtest.h>

namespace zks::carrier {
namespace {

Key counting_key() {
  Key key;
  for (std::size_t i = 0; i < Key::kSize; ++i) key.data()[i] = static_cast<std::uint8_t>(i);
  return key;
}

template <std::size_t N>
std::array<std::uint8_t, N> filled(std::uint8_t with) {
  std::array<std::uint8_t, N> out;
  out.fill(with);
  return out;
}

struct Golden {
  Control message;
  std::string text;
};

// The spelling on the wire, which every relay and peer of version 1 shares.
std::vector<Golden> goldens() {
  const std::string key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
  std::vector<Golden> out;
  out.push_back({Challenge{filled<32>(0)},
                 R"({"type":"challenge","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})"});
  out.push_back(
      {Register{filled<32>(0xff), filled<64>(0)},
       R"({"type":"register","room_key":"__________________________________________8","signature":")" +
           std::string(86, 'A') + R"("})"});
  out.push_back({Registered{}, R"({"type":"registered"})"});
  out.push_back({Knock{filled<16>(0)}, R"({"type":"knock","pair":"AAAAAAAAAAAAAAAAAAAAAA"})"});
  out.push_back(
      {Paired{1, 0, counting_key(), 16777216},
       R"({"type":"paired","version":1,"epoch":0,"remote_key":")" + key + R"(","window":16777216})"});
  out.push_back({NewKey{7, counting_key()}, R"({"type":"key","epoch":7,"remote_key":")" + key + R"("})"});
  out.push_back({KeySeen{7}, R"({"type":"key_seen","epoch":7})"});
  out.push_back({Mark{"aZ09-_"}, R"({"type":"mark","id":"aZ09-_"})"});
  out.push_back({Ping{}, "ping"});
  out.push_back({Pong{}, "pong"});
  return out;
}

TEST(RelayControl, EncodesAsAgreed) {
  for (const Golden& golden : goldens()) EXPECT_EQ(encode_control(golden.message), golden.text);
}

TEST(RelayControl, DecodesWhatItEncodes) {
  for (const Golden& golden : goldens()) {
    const auto decoded = decode_control(golden.text);
    ASSERT_TRUE(decoded) << golden.text;
    EXPECT_EQ(decoded->index(), golden.message.index());
    EXPECT_EQ(encode_control(*decoded), golden.text);
  }
}

TEST(RelayControl, EveryCutIsRefused) {
  for (const Golden& golden : goldens()) {
    for (std::size_t size = 0; size < golden.text.size(); ++size) {
      const auto decoded = decode_control(golden.text.substr(0, size));
      ASSERT_FALSE(decoded) << golden.text.substr(0, size);
      EXPECT_EQ(decoded.error().kind, ErrorKind::kProtocol);
    }
  }
}

// Every byte to every value: refused, or understood so that it encodes to something that reads the same
// again.
TEST(RelayControl, EveryChangedByteIsRefusedOrSound) {
  for (const Golden& golden : goldens()) {
    for (std::size_t at = 0; at < golden.text.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string text = golden.text;
        text[at] = static_cast<char>(value);
        const auto decoded = decode_control(text);
        if (!decoded) continue;
        const auto again = decode_control(encode_control(*decoded));
        ASSERT_TRUE(again) << text;
        ASSERT_EQ(encode_control(*again), encode_control(*decoded));
      }
    }
  }
}

TEST(RelayControl, IgnoresExtraMembersAndTheirOrder) {
  const auto mark = decode_control(R"( { "later":{"a":[1]}, "id":"x", "type":"mark" } )");
  ASSERT_TRUE(mark);
  EXPECT_EQ(std::get<Mark>(*mark).id, "x");
}

TEST(RelayControl, RefusesWhatTwoReadersCouldReadDifferently) {
  for (const std::string text : {R"({"type":"mark","id":"x","id":"y"})",
                                 R"({"type":"mark","type":"knock","id":"x"})",
                                 R"({"type":"mark","id":""})",
                                 R"({"type":"mark","id":"a b"})",
                                 R"({"type":"mark","id":7})",
                                 R"({"type":"key_seen","epoch":-1})",
                                 R"({"type":"key_seen","epoch":1.0})",
                                 R"({"type":"key_seen","epoch":"1"})",
                                 R"({"type":"key_seen","epoch":9007199254740992})",
                                 R"({"type":"key_seen","epoch":18446744073709551616})",
                                 R"({"type":"key_seen"})",
                                 R"({"type":"unknown"})",
                                 R"({"type":7})",
                                 R"(["mark"])",
                                 R"("ping")",
                                 "ping ",
                                 "PING",
                                 "{}",
                                 "",
                                 "null",
                                 R"({"type":"mark","id":"x"}x)",
                                 R"({"type":"mark","id":"x","a":[[[[[1]]]]]})",
                                 R"({"type":"knock","pair":"AAAAAAAAAAAAAAAAAAAAAB"})",
                                 R"({"type":"knock","pair":"AAAAAAAAAAAAAAAAAAAA"})"}) {
    EXPECT_FALSE(decode_control(text)) << text;
  }
  EXPECT_FALSE(decode_control(R"({"type":"mark","id":")" + std::string(kMaxMarkIdBytes + 1, 'a') + R"("})"));
  EXPECT_FALSE(
      decode_control(R"({"type":"registered","a":")" + std::string(kMaxControlBytes, 'a') + R"("})"));
  EXPECT_FALSE(decode_control(std::string(kMaxControlBytes, '[')));
  EXPECT_FALSE(decode_control("{\"type\":\"mark\",\"id\":\"\xff\"}"));
}

TEST(RelayControl, RegistrationCoversRelayRoomAndInstance) {
  const auto message = [](const std::string& authority, std::uint8_t room, std::uint8_t instance) {
    return registration_message(filled<32>(1), authority, filled<20>(room), filled<8>(instance));
  };
  const Bytes one = message("relay.example", 2, 3);
  EXPECT_EQ(one.size(), 14U + 32 + 32 + 20 + 8);
  EXPECT_EQ(as_text(ByteView(one).first(14)), "zks/1 register");
  EXPECT_NE(one, message("relay.example:444", 2, 3));
  EXPECT_NE(one, message("relay.example", 3, 3));
  EXPECT_NE(one, message("relay.example", 2, 4));
}

}  // namespace
}  // namespace zks::carrier
