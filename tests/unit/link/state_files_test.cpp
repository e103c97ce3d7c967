// SPDX-License-Identifier: MIT
//
// The JSON of the state directory: whatever is cut off, changed or of the wrong shape is refused or means the
// same kind of thing; nothing crashes.
#include "link/state_files.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "link/access_link.hpp"

namespace zks::link {
namespace {

using testing::HasSubstr;

std::vector<Invite> sample_invites() {
  std::vector<Invite> invites(2);
  invites[0].name = "alice";
  invites[0].id.fill(1);
  invites[0].psk = Key::random();
  invites[0].created = 1'700'000'000;
  invites[0].expires = 1'800'000'000;
  invites[0].devices.push_back(random_array<32>());
  invites[1].name = "bob";
  invites[1].id.fill(2);
  invites[1].psk = Key::random();
  invites[1].terms = {{"10.0.0.0/8:22", "*.lab.example"},
                      {"*:6667"},
                      {"8080", "0.0.0.0:9000-9099"},
                      20,
                      5,
                      1'000'000,
                      std::uint64_t{1} << 40};
  return invites;
}

struct Format {
  std::string text;
  std::function<bool(std::string_view)> accepts;
};

std::vector<Format> formats() {
  std::vector<Format> out;
  out.push_back({encode_exit_identity(derive_exit_identity(Key::random(), Key::random())).view(),
                 [](std::string_view json) { return decode_exit_identity(json).has_value(); }});
  out.push_back({encode_client_key(Key::random()).view(),
                 [](std::string_view json) { return decode_client_key(json).has_value(); }});
  RelayList relays;
  relays.relays.push_back(RelayUrl{.tls = true, .host = "a.example", .port = 8443, .prefix = "/x"});
  relays.pin = random_array<32>();
  out.push_back(
      {encode_relays(relays).view(), [](std::string_view json) { return decode_relays(json).has_value(); }});
  out.push_back({encode_invites(sample_invites()).view(),
                 [](std::string_view json) { return decode_invites(json).has_value(); }});
  out.push_back({encode_usage({{InviteId{1}, 5}, {InviteId{2}, kMaxUsedBytes}}).view(),
                 [](std::string_view json) { return decode_usage(json).has_value(); }});
  return out;
}

TEST(StateFiles, CutAtEveryLengthIsRefused) {
  for (const Format& format : formats()) {
    ASSERT_TRUE(format.accepts(format.text));
    const std::size_t whole = format.text.find_last_of('}') + 1;  // a newline follows
    for (std::size_t size = 0; size < whole; ++size) {
      EXPECT_FALSE(format.accepts(std::string_view(format.text).substr(0, size))) << size;
    }
  }
}

TEST(StateFiles, EveryByteChangedIsSafe) {
  for (const Format& format : formats()) {
    std::size_t refused = 0;
    for (std::size_t i = 0; i < format.text.size(); ++i) {
      for (const int change : {0x01, 0x20, 0x80, 0xff}) {
        std::string changed = format.text;
        changed[i] = static_cast<char>(changed[i] ^ change);
        refused += format.accepts(changed) ? 0U : 1U;
      }
    }
    EXPECT_GT(refused, format.text.size() * 2);  // all that is not within a key, a number or a name
  }
}

TEST(StateFiles, InvitesComeBackAsWritten) {
  const std::vector<Invite> invites = sample_invites();
  const auto back = decode_invites(encode_invites(invites).view());
  ASSERT_TRUE(back) << back.error().text;
  ASSERT_EQ(back->size(), invites.size());
  for (std::size_t i = 0; i < invites.size(); ++i) {
    EXPECT_EQ((*back)[i].id, invites[i].id);
    EXPECT_EQ((*back)[i].name, invites[i].name);
    EXPECT_TRUE((*back)[i].psk.equals(invites[i].psk.view()));
    EXPECT_EQ((*back)[i].created, invites[i].created);
    EXPECT_EQ((*back)[i].expires, invites[i].expires);
    EXPECT_EQ((*back)[i].max_devices, invites[i].max_devices);
    EXPECT_EQ((*back)[i].devices, invites[i].devices);
  }
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(StateFiles, WrongShapesAreRefused) {
  const std::string good = encode_invites(sample_invites()).view();
  const std::vector<std::pair<std::string, std::string>> changes = {
      {R"("name": "alice")", R"("name": "bob")"},  // twice
      {R"("name": "alice")", R"("name": "a b")"},
      {R"("name": "alice")", R"("name": 7)"},
      {R"("created": 1700000000)", R"("created": -1)"},
      {R"("created": 1700000000)", R"("created": 18446744073709551615)"},
      {R"("created": 1700000000)", R"("created": 1e9)"},
      {R"("created": 1700000000)", R"("created": null)"},
      {R"("max_devices": 5)", R"("max_devices": 0)"},
      {R"("max_devices": 5)", R"("max_devices": 65)"},
      {R"("version": 1)", R"("version": "1")"},
      {R"("invites": [)", R"("invites": [7,)"},
  };
  for (const auto& [from, to] : changes) {
    EXPECT_FALSE(decode_invites(replaced(good, from, to))) << to;
  }
}

TEST(StateFiles, TermsAndUseComeBackAsWritten) {
  const std::vector<Invite> invites = sample_invites();
  const std::string text(encode_invites(invites).view());
  const auto back = decode_invites(text);
  ASSERT_TRUE(back);
  EXPECT_EQ((*back)[0].terms, Terms{});
  EXPECT_EQ((*back)[1].terms, invites[1].terms);
  EXPECT_EQ(text.find("terms"), text.rfind("terms")) << "not where there are none";
  const Usage usage = {{InviteId{1}, 5}, {InviteId{2}, kMaxUsedBytes}};
  const auto usage_back = decode_usage(encode_usage(usage).view());
  ASSERT_TRUE(usage_back);
  EXPECT_EQ(*usage_back, usage);
}

TEST(StateFiles, WrongTermsAreRefused) {
  const std::string good(encode_invites(sample_invites()).view());
  const std::size_t at = good.find("\"terms\"");
  ASSERT_NE(at, std::string::npos);
  const std::size_t begin = good.find('{', at);
  const std::size_t end = good.find('}', begin) + 1;
  const auto with = [&](const std::string& terms) {
    return decode_invites(good.substr(0, begin) + terms + good.substr(end)).has_value();
  };
  EXPECT_TRUE(with(R"({"rate":1})"));
  for (const char* terms :
       {"{}", "[]", "null", R"({"rate":0})", R"({"rate":-1})", R"({"rate":"1"})", R"({"rate":1.5})",
        R"({"rate":18446744073709551615})", R"({"allow":[]})", R"({"allow":"x"})", R"({"deny":[1]})",
        R"({"allow_listen":[]})", R"({"allow_listen":8080})", R"({"quota":1152921504606846977})",
        R"({"max_streams":1048577})"}) {
    EXPECT_FALSE(with(terms)) << terms;
  }
}

TEST(StateFiles, WhatANewerVersionWroteIsKept) {
  std::vector<Invite> invites = sample_invites();
  std::string newer(encode_invites(invites).view());
  newer = replaced(newer, R"("version": 1)", R"("version": 1, "hint": {"a": ["of a newer version"]})");
  newer = replaced(newer, R"("name": "alice")", R"("name": "alice", "colour": "red")");
  newer = replaced(newer, R"("terms": {)", R"("terms": {"max_flows": 7, )");
  const auto read = decode_invites(newer);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), invites.size());
  EXPECT_FALSE((*read)[0].unknown_terms);
  EXPECT_TRUE((*read)[1].unknown_terms);
  EXPECT_EQ((*read)[1].terms, invites[1].terms);
  invites[0].name = "renamed";
  invites[1].terms = {};
  const auto again = nlohmann::json::parse(encode_invites(invites, newer).view());
  EXPECT_EQ(again["hint"]["a"][0], "of a newer version");
  EXPECT_EQ(again["invites"][0]["colour"], "red");
  EXPECT_EQ(again["invites"][0]["name"], "renamed");
  EXPECT_EQ(again["invites"][1]["terms"].dump(), R"({"max_flows":7})");
  EXPECT_FALSE(again["invites"][1].contains("colour"));
  invites.erase(invites.begin());
  EXPECT_EQ(std::string(encode_invites(invites, newer).view()).find("colour"), std::string::npos);

  const std::string usage = R"({"version":1,"used":{},"since":5})";
  ASSERT_TRUE(decode_usage(usage));
  EXPECT_EQ(nlohmann::json::parse(encode_usage({}, usage).view())["since"], 5);
  const RelayList list{{*parse_relay_url("wss://relay.test")}, {}};
  const std::string relays =
      replaced(encode_relays(list).view(), R"("version": 1)", R"("version": 1, "order": "any")");
  ASSERT_TRUE(decode_relays(relays));
  EXPECT_EQ(nlohmann::json::parse(encode_relays(list, relays).view())["order"], "any");
  EXPECT_TRUE(decode_client_key(
      replaced(encode_client_key(Key::random()).view(), R"("version": 1)", R"("version": 1, "x": 1)")));
  for (const char* damaged : {"", "{", "[]", R"({"version":2,"hint":1})", R"({"version":1,"invites":7})"}) {
    EXPECT_TRUE(decode_invites(encode_invites(invites, damaged).view())) << damaged;
  }
}

TEST(StateFiles, AnotherVersionIsNamedAsSuch) {
  const std::string later =
      replaced(encode_client_key(Key::random()).view(), R"("version": 1)", R"("version": 2)");
  const auto key = decode_client_key(later);
  ASSERT_FALSE(key);
  EXPECT_THAT(key.error().text, HasSubstr("another version"));
}

TEST(StateFiles, DeepNestingIsRefused) {
  for (const std::size_t depth : {9U, 100'000U}) {
    std::string text = R"({"version":1,"invites":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
    EXPECT_FALSE(decode_invites(text)) << depth;
    EXPECT_FALSE(decode_invites(std::string(depth, '['))) << depth;
  }
}

}  // namespace
}  // namespace zks::link
