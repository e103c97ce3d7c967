// SPDX-License-Identifier: MIT
//
// The SOCKS5 parser against RFC 1928 and RFC 1929, with every message cut at every length.
#include "frontdoor/socks5_parser.hpp"

#include <gmock/gmock.h>

namespace zks::frontdoor {
namespace {

using session::Destination;
using ParserStep = Socks5Parser::Step;
using testing::ElementsAre;

const Bytes kGreeting{5, 1, 0};
const Bytes kRefusalHead{5, 0};  // what kGreeting is answered with

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

Bytes password_message(std::string_view user, std::string_view password) {
  Bytes out{1, static_cast<std::uint8_t>(user.size())};
  out.insert(out.end(), user.begin(), user.end());
  out.push_back(static_cast<std::uint8_t>(password.size()));
  out.insert(out.end(), password.begin(), password.end());
  return out;
}

Bytes name_request(std::string_view name, std::uint8_t command = 1) {
  Bytes out{5, command, 0, 3, static_cast<std::uint8_t>(name.size())};
  out.insert(out.end(), name.begin(), name.end());
  out.insert(out.end(), {0x1f, 0x90});
  return out;
}

const Bytes kIpv4Request{5, 1, 0, 1, 192, 0, 2, 7, 0, 80};
const Bytes kIpv6Request{5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 187};

Bytes refusal(std::uint8_t code) {
  return {5, code, 0, 1, 0, 0, 0, 0, 0, 0};
}

const Credentials& known_credentials() {
  static const Credentials known(as_bytes("alice"), as_bytes("secret"));
  return known;
}

struct Parsed {
  ParserStep step{};
  Bytes replies;
  Bytes rest;  // not taken
  Destination destination;

  friend bool operator==(const Parsed&, const Parsed&) = default;
};

// The outcome of `input` when it arrives in the pieces that end at `cuts`.
Parsed parse(const Bytes& input, const Credentials* wanted = nullptr, std::vector<std::size_t> cuts = {}) {
  Socks5Parser parser(wanted);
  cuts.push_back(input.size());
  Parsed out;
  std::size_t from = 0;
  for (const std::size_t to : cuts) {
    ByteView piece(input.data() + from, to - from);
    out.step = parser.feed(piece);
    const Bytes replies = parser.take_replies();
    EXPECT_LE(replies.size(), Socks5Parser::kMaxReplyBytes);
    out.replies.insert(out.replies.end(), replies.begin(), replies.end());
    out.rest.insert(out.rest.end(), piece.begin(), piece.end());
    from = to;
  }
  if (out.step == ParserStep::kRequest) out.destination = parser.destination();
  return out;
}

TEST(Socks5ParserTest, Ipv4) {
  const Parsed out = parse(join({kGreeting, kIpv4Request}));
  EXPECT_EQ(out.step, ParserStep::kRequest);
  EXPECT_THAT(out.replies, ElementsAre(5, 0));
  EXPECT_EQ(out.destination.kind, Destination::Kind::kIpv4);
  EXPECT_EQ(out.destination.address, (std::array<std::uint8_t, 16>{192, 0, 2, 7}));
  EXPECT_EQ(out.destination.port, 80);
}

TEST(Socks5ParserTest, Ipv6) {
  const Parsed out = parse(join({kGreeting, kIpv6Request}));
  EXPECT_EQ(out.step, ParserStep::kRequest);
  EXPECT_EQ(out.destination.kind, Destination::Kind::kIpv6);
  EXPECT_EQ(out.destination.address,
            (std::array<std::uint8_t, 16>{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}));
  EXPECT_EQ(out.destination.port, 443);
}

TEST(Socks5ParserTest, NamesOfEveryLengthAsTheyWereSent) {
  for (std::size_t length = 1; length <= 255; ++length) {
    const std::string name(length, 'X');
    const Parsed out = parse(join({kGreeting, name_request(name)}));
    ASSERT_EQ(out.step, ParserStep::kRequest) << length;
    EXPECT_EQ(out.destination.kind, Destination::Kind::kName);
    EXPECT_EQ(out.destination.name, name);
    EXPECT_EQ(out.destination.port, 8080);
  }
}

TEST(Socks5ParserTest, DataBehindTheRequestIsLeft) {
  const Bytes data{'G', 'E', 'T'};
  for (const Bytes& request : {kIpv4Request, kIpv6Request, name_request("a.test")}) {
    const Parsed out = parse(join({kGreeting, request, data}));
    EXPECT_EQ(out.step, ParserStep::kRequest);
    EXPECT_EQ(out.rest, data);
  }
}

TEST(Socks5ParserTest, MethodIsFoundAmongAllThatAreOffered) {
  Bytes greeting{5, 255};
  for (int method = 255; method > 0; --method) greeting.push_back(static_cast<std::uint8_t>(method));
  EXPECT_THAT(parse(greeting).replies, ElementsAre(5, 0xff));
  EXPECT_EQ(parse(greeting).step, ParserStep::kRefused);
  greeting.back() = 0;
  EXPECT_THAT(parse(greeting).replies, ElementsAre(5, 0));
  EXPECT_EQ(parse(greeting).step, ParserStep::kMore);
}

TEST(Socks5ParserTest, NoAcceptableMethod) {
  for (const Bytes& greeting : {Bytes{5, 0}, Bytes{5, 1, 2}, Bytes{5, 2, 1, 0x80}}) {
    const Parsed out = parse(greeting);
    EXPECT_EQ(out.step, ParserStep::kRefused);
    EXPECT_THAT(out.replies, ElementsAre(5, 0xff));
  }
  const Parsed without_password = parse(Bytes{5, 1, 0}, &known_credentials());
  EXPECT_EQ(without_password.step, ParserStep::kRefused);
  EXPECT_THAT(without_password.replies, ElementsAre(5, 0xff));
}

TEST(Socks5ParserTest, PasswordAccepted) {
  const Parsed out =
      parse(join({{5, 2, 0, 2}, password_message("alice", "secret"), kIpv4Request}), &known_credentials());
  EXPECT_EQ(out.step, ParserStep::kRequest);
  EXPECT_THAT(out.replies, ElementsAre(5, 2, 1, 0));
}

TEST(Socks5ParserTest, PasswordRefused) {
  const std::string longest(255, 'x');
  const std::pair<std::string, std::string> guesses[] = {
      {"alice", "Secret"}, {"alice", "secre"},  {"alice", "secrets"},
      {"bob", "secret"},   {"alices", "ecret"}, {"", ""},
      {"alicesecret", ""}, {"", "alicesecret"}, {longest, longest}};
  for (const auto& [user, password] : guesses) {
    const Parsed out =
        parse(join({{5, 1, 2}, password_message(user, password), kIpv4Request}), &known_credentials());
    EXPECT_EQ(out.step, ParserStep::kRefused) << user << ':' << password;
    EXPECT_THAT(out.replies, ElementsAre(5, 2, 1, 1));
    EXPECT_EQ(out.rest, kIpv4Request) << "nothing is taken after a refusal";
  }
}

TEST(Socks5ParserTest, UdpAssociate) {
  Socks5Parser parser(nullptr);
  const Bytes input = join({kGreeting, {5, 3, 0, 1, 0, 0, 0, 0, 0x12, 0x34}});
  ByteView left = input;
  EXPECT_EQ(parser.feed(left), Socks5Parser::Step::kRequest);
  EXPECT_TRUE(parser.associates());
  EXPECT_EQ(parser.destination().port, 0x1234);
}

TEST(Socks5ParserTest, OtherCommands) {
  for (int command = 0; command < 256; ++command) {
    if (command == 1 || command == 3) continue;  // CONNECT, UDP ASSOCIATE
    Bytes request = kIpv4Request;
    request[1] = static_cast<std::uint8_t>(command);
    for (const Bytes& one : {request, name_request("a.test", static_cast<std::uint8_t>(command))}) {
      const Parsed out = parse(join({kGreeting, one}));
      EXPECT_EQ(out.step, ParserStep::kRefused);
      EXPECT_EQ(out.replies, join({kRefusalHead, refusal(7)})) << command;
      EXPECT_TRUE(out.rest.empty()) << "the request is read to its end, so that the reply arrives";
    }
  }
}

TEST(Socks5ParserTest, OtherAddressTypes) {
  for (int type = 0; type < 256; ++type) {
    if (type == 1 || type == 3 || type == 4) continue;
    const Parsed out = parse(join({kGreeting, {5, 1, 0, static_cast<std::uint8_t>(type)}}));
    EXPECT_EQ(out.step, ParserStep::kRefused);
    EXPECT_EQ(out.replies, join({kRefusalHead, refusal(8)})) << type;
  }
}

TEST(Socks5ParserTest, NamesThatCanNotBe) {
  for (const std::string& name :
       {std::string(), std::string("\0", 1), std::string("a.test\0", 7), std::string("a\0.test", 7)}) {
    const Parsed out = parse(join({kGreeting, name_request(name)}));
    EXPECT_EQ(out.step, ParserStep::kRefused);
    EXPECT_EQ(out.replies, join({kRefusalHead, refusal(1)}));
  }
}

TEST(Socks5ParserTest, OtherProtocolsAreNotAnswered) {
  for (int version = 0; version < 256; ++version) {
    if (version == 5) continue;
    const Parsed out = parse(Bytes{static_cast<std::uint8_t>(version), 1, 0});
    EXPECT_EQ(out.step, ParserStep::kRefused) << version;
    EXPECT_TRUE(out.replies.empty());
  }
  const Parsed request = parse(join({kGreeting, {4, 1}}));
  EXPECT_EQ(request.step, ParserStep::kRefused);
  EXPECT_EQ(request.replies, kRefusalHead);
  const Parsed password = parse(Bytes{5, 1, 2, 5}, &known_credentials());
  EXPECT_EQ(password.step, ParserStep::kRefused);
  EXPECT_THAT(password.replies, ElementsAre(5, 2));
}

struct Conversation {
  const char* name;
  Bytes input;
  const Credentials* credentials;
};

std::vector<Conversation> conversations() {
  const Bytes login = join({{5, 3, 0, 1, 2}, password_message("alice", "secret")});
  return {
      {"ipv4", join({kGreeting, kIpv4Request, {'x', 'y'}}), nullptr},
      {"ipv6", join({kGreeting, kIpv6Request}), nullptr},
      {"name", join({kGreeting, name_request("host.example"), {0, 5, 1}}), nullptr},
      {"login", join({login, name_request("host.example"), {'z'}}), &known_credentials()},
      {"wrong login", join({{5, 1, 2}, password_message("alice", "no"), kIpv4Request}), &known_credentials()},
      {"command", join({kGreeting, name_request("host.example", 2), {'z'}}), nullptr},
      {"type", join({kGreeting, {5, 1, 0, 9, 1, 2, 3}}), nullptr},
      {"method", {5, 2, 1, 2, 5, 1}, nullptr},
      {"http", join({Bytes{'G', 'E', 'T', ' ', '/'}}), nullptr},
  };
}

TEST(Socks5ParserTest, SameOutcomeWhereverItIsCut) {
  for (const Conversation& one : conversations()) {
    const Parsed whole = parse(one.input, one.credentials);
    EXPECT_NE(whole.step, ParserStep::kMore) << one.name;
    for (std::size_t cut = 0; cut <= one.input.size(); ++cut) {
      EXPECT_EQ(parse(one.input, one.credentials, {cut}), whole) << one.name << " cut at " << cut;
    }
    std::vector<std::size_t> every(one.input.size());
    for (std::size_t i = 0; i < every.size(); ++i) every[i] = i;
    EXPECT_EQ(parse(one.input, one.credentials, every), whole) << one.name << " byte by byte";
  }
}

TEST(Socks5ParserTest, WaitsForMoreUntilTheMessageIsWhole) {
  const Bytes whole = join({{5, 1, 2}, password_message("alice", "secret"), name_request("host.example")});
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const Bytes start(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    const Parsed out = parse(start, &known_credentials());
    EXPECT_EQ(out.step, ParserStep::kMore) << length;
    EXPECT_TRUE(out.rest.empty());
  }
}

TEST(Socks5ParserTest, EveryByteChangedEndsOneWayOrTheOther) {
  const Bytes whole = join({{5, 1, 2}, password_message("alice", "secret"), name_request("host.example")});
  const Bytes padding(600, 5);  // more than any message, so that no altered length waits for ever
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int change = 1; change < 256; ++change) {
      Bytes altered = whole;
      altered[at] ^= static_cast<std::uint8_t>(change);
      const Parsed out = parse(join({altered, padding}), &known_credentials());
      EXPECT_NE(out.step, ParserStep::kMore) << "byte " << at << " changed by " << change;
      const bool before_login_is_over = at < 3 + password_message("alice", "secret").size();
      // A greeting that offers more methods may end up with the same login; nothing else may.
      if (before_login_is_over && at > 2) {
        EXPECT_EQ(out.step, ParserStep::kRefused) << at << " " << change;
      }
    }
  }
}

TEST(Socks5ParserTest, RepliesCarryTheBoundAddress) {
  Destination bound;
  bound.kind = Destination::Kind::kIpv4;
  bound.address = {192, 0, 2, 1};
  bound.port = 0x1234;
  EXPECT_THAT(encode_socks5_reply(0, bound), ElementsAre(5, 0, 0, 1, 192, 0, 2, 1, 0x12, 0x34));
  bound.kind = Destination::Kind::kIpv6;
  EXPECT_THAT(encode_socks5_reply(0, bound),
              ElementsAre(5, 0, 0, 4, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34));
  bound.kind = Destination::Kind::kName;
  bound.name = "ab";
  EXPECT_THAT(encode_socks5_reply(0, bound), ElementsAre(5, 0, 0, 3, 2, 'a', 'b', 0x12, 0x34));
}

TEST(Socks5ParserTest, RefusalsCarryTheCodeOfTheReset) {
  using session::ResetCode;
  const std::pair<ResetCode, std::uint8_t> codes[] = {{ResetCode::kCancelled, 1},
                                                      {ResetCode::kGeneralFailure, 1},
                                                      {ResetCode::kNotAllowed, 2},
                                                      {ResetCode::kNetworkUnreachable, 3},
                                                      {ResetCode::kHostUnreachable, 4},
                                                      {ResetCode::kConnectionRefused, 5},
                                                      {ResetCode::kTimedOut, 6},
                                                      {ResetCode::kCommandNotSupported, 7},
                                                      {ResetCode::kAddressNotSupported, 8},
                                                      {ResetCode::kNameNotFound, 4},
                                                      {ResetCode::kConnectionReset, 1},
                                                      {ResetCode::kLimit, 1},
                                                      {ResetCode::kSessionLost, 1},
                                                      {static_cast<ResetCode>(99), 1}};
  for (const auto& [code, reply] : codes) {
    EXPECT_EQ(encode_socks5_refusal(code), refusal(reply)) << session::describe(code);
  }
}

TEST(CredentialsTest, ParsesUserAndPassword) {
  const auto parsed = parse_credentials("alice:se:cret");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_TRUE(parsed->match(as_bytes("alice"), as_bytes("se:cret")));
  EXPECT_FALSE(parsed->match(as_bytes("alice:se"), as_bytes("cret")));
}

TEST(CredentialsTest, RefusesWhatRfc1929CanNotCarryAndDoesNotRepeatIt) {
  const std::string long_part(256, 'q');
  for (const std::string& text : {std::string("alice"), std::string(":secret"), std::string("alice:"),
                                  std::string(), long_part + ":secret", "alice:" + long_part}) {
    const auto parsed = parse_credentials(text);
    ASSERT_TRUE(parsed.has_error()) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(parsed.error().text, testing::Not(testing::HasSubstr("secret")));
    EXPECT_THAT(parsed.error().text, testing::Not(testing::HasSubstr("qqq")));
  }
}

}  // namespace
}  // namespace zks::frontdoor
