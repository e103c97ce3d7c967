// SPDX-License-Identifier: MIT
#include "session/frames.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "frame_fixture.hpp"
#include "session/lane_state.hpp"

namespace zks::session {
namespace {

using test::encoded;
using test::golden_frames;

Bytes hex(std::string_view text) {
  return from_hex(text).value();
}

// What decode_frame() promises of every frame, whatever the bytes were.
bool in_range(const DataFrame& f) {
  return !f.bytes.empty() && f.offset + f.bytes.size() <= kVarintMax;
}
bool in_range(const Destination& d) {
  if (d.kind != Destination::Kind::kName) return d.name.empty();
  return !d.name.empty() && d.name.size() <= kMaxNameBytes && d.name.find('\0') == std::string::npos;
}
bool in_range(const OpenFrame& f) {
  return in_range(f.destination);
}
bool in_range(const OpenedFrame& f) {
  return in_range(f.bound);
}
bool in_range(const FinFrame& f) {
  return f.final_offset < kVarintMax;
}
bool in_range(const HelloFrame& f) {
  return static_cast<int>(f.mode) <= 2;
}
bool in_range(const WelcomeFrame& f) {
  return static_cast<int>(f.mode) <= 2;
}
bool in_range(const GoawayFrame& f) {
  return static_cast<int>(f.scope) <= 1 && static_cast<int>(f.code) <= 2 && f.text.size() <= kMaxGoawayText;
}
bool in_range(const DatagramFrame& f) {
  return in_range(f.address) && f.bytes.size() <= kMaxDatagram;
}
bool in_range(const FlowErrorFrame& f) {
  return in_range(f.address);
}
bool in_range(const ResolveFrame& f) {
  return f.message.size() <= kMaxDnsQuery;
}
bool in_range(const EchoFrame& f) {
  return f.address.kind != Destination::Kind::kName && f.bytes.size() <= kMaxEchoData;
}
bool in_range(const EchoReplyFrame& f) {
  return f.address.kind != Destination::Kind::kName && f.bytes.size() <= kMaxEchoData;
}
bool in_range(const TableFrame& f) {
  return f.entries.size() <= kMaxTableEntries;
}
bool in_range(const LaneDownFrame& f) {
  return !f.lanes.empty() && f.lanes.size() <= kMaxLanes;
}
template <class Other>
bool in_range(const Other&) {
  return true;
}

TEST(Frames, EncodeToGoldenBytes) {
  for (const auto& golden : golden_frames())
    EXPECT_EQ(to_hex(encoded(golden.frame)), golden.hex) << golden.name;
}

TEST(Frames, DecodeFromGoldenBytes) {
  for (const auto& golden : golden_frames()) {
    const Bytes bytes = hex(golden.hex);
    ByteReader in(bytes);
    const auto frame = decode_frame(in);
    ASSERT_TRUE(frame) << golden.name;
    EXPECT_TRUE(in.empty()) << golden.name;
    EXPECT_EQ(frame->index(), golden.frame.index()) << golden.name;
    EXPECT_EQ(to_hex(encoded(*frame)), golden.hex) << golden.name;
  }
}

TEST(Frames, DecodeFillsTheRightFields) {
  const Bytes bytes = hex("0c04413080040130");
  ByteReader in(bytes);
  const auto frame = decode_frame(in);
  ASSERT_TRUE(frame);
  const auto& credit = std::get<CreditFrame>(*frame);
  EXPECT_EQ(credit.stream, 4U);
  EXPECT_EQ(credit.consumed, 304U);
  EXPECT_EQ(credit.limit, 262'448U);
}

TEST(Frames, FollowEachOtherInARecord) {
  Bytes record;
  for (const auto& golden : golden_frames()) {
    const Bytes bytes = hex(golden.hex);
    record.insert(record.end(), bytes.begin(), bytes.end());
  }
  ByteReader in(record);
  for (const auto& golden : golden_frames()) {
    const auto frame = decode_frame(in);
    ASSERT_TRUE(frame) << golden.name;
    EXPECT_EQ(to_hex(encoded(*frame)), golden.hex);
  }
  EXPECT_TRUE(in.empty());
}

TEST(Frames, PaddingTakesTheRestOfTheRecord) {
  const Bytes record = hex("00deadbeef06");
  ByteReader in(record);
  const auto frame = decode_frame(in);
  ASSERT_TRUE(frame);
  EXPECT_TRUE(std::holds_alternative<PaddingFrame>(*frame));
  EXPECT_TRUE(in.empty());
  EXPECT_EQ(to_hex(encoded(PaddingFrame{})), "00");
}

TEST(Frames, CutAtEveryLengthAreRefusedAndNotConsumed) {
  for (const auto& golden : golden_frames()) {
    const Bytes whole = hex(golden.hex);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      ByteReader in(cut);
      const auto frame = decode_frame(in);
      ASSERT_FALSE(frame) << golden.name << " cut at " << size;
      EXPECT_EQ(frame.error().kind, ErrorKind::kProtocol);
      EXPECT_EQ(in.remaining(), size);
    }
  }
}

TEST(Frames, EveryByteChangedFailsOrStaysInRange) {
  for (const auto& golden : golden_frames()) {
    const Bytes whole = hex(golden.hex);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (int change = 1; change < 256; ++change) {
        Bytes altered = whole;
        altered[at] = static_cast<std::uint8_t>(altered[at] ^ change);
        ByteReader in(altered);
        const auto frame = decode_frame(in);
        if (!frame) {
          EXPECT_EQ(in.remaining(), altered.size());
          continue;
        }
        ASSERT_TRUE(std::visit([](const auto& f) { return in_range(f); }, *frame)) << golden.name;
        if (std::holds_alternative<PaddingFrame>(*frame)) continue;
        const Bytes again = encoded(*frame);
        ByteReader second(again);
        const auto twice = decode_frame(second);
        ASSERT_TRUE(twice) << golden.name << " byte " << at << " changed by " << change;
        EXPECT_EQ(encoded(*twice), again);
      }
    }
  }
}

TEST(Frames, UnknownTypesAreRefused) {
  constexpr std::array<int, 27> kKnown = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                          0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x10, 0x11, 0x12,
                                          0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1f};
  for (int type = 0; type < 256; ++type) {
    Bytes bytes(300, 1);  // as fields: stream 1, offset 1, one byte, and so on
    bytes[0] = static_cast<std::uint8_t>(type);
    ByteReader in(bytes);
    const bool known = std::find(kKnown.begin(), kKnown.end(), type) != kKnown.end();
    EXPECT_EQ(decode_frame(in).has_value(), known) << type;
  }
}

TEST(Frames, FieldsOutOfRangeAreRefused) {
  const std::string session = "000102030405060708090a0b0c0d0e0f";
  const std::string instance = "0000000000000000";
  const std::string name256 = [] {
    std::string out;
    for (int i = 0; i < 256; ++i) out += "61";
    return out;
  }();
  const std::string text257 = name256 + "61";
  const std::array<std::pair<const char*, std::string>, 18> cases = {{
      {"mode 3", "01" + session +
                     "01"
                     "03" +
                     instance + "00"},
      {"17 parameters", "01" + session +
                            "01"
                            "00" +
                            instance + "11" + std::string(34 * 2, '0')},
      {"no lanes", "0400"},
      {"17 lanes", "0411" + std::string(34, '0')},
      {"table more 2", "030200"},
      {"table state 3", "03000100030000"},
      {"table of 4,097 entries", "03005001" + std::string(4097 * 2 * 4, '0')},
      {"address kind 0",
       "0804"
       "00"
       "c0000201"
       "0050"
       "00"},
      {"address kind 2",
       "0804"
       "02"
       "c0000201"
       "0050"
       "00"},
      {"empty name",
       "0804"
       "03"
       "00"
       "0050"
       "00"},
      {"name of 256 bytes",
       "0804"
       "03"
       "4100" +
           name256 +
           "0050"
           "00"},
      {"NUL in a name",
       "0804"
       "03"
       "03"
       "610061"
       "0050"
       "00"},
      {"empty data",
       "0a"
       "04"
       "00"
       "00"},
      {"data past 2^62",
       "0a"
       "04"
       "ffffffffffffffff"
       "01"
       "61"},
      {"final offset without room for FIN",
       "0b"
       "04"
       "ffffffffffffffff"},
      {"goaway scope 2",
       "1f"
       "02"
       "00"
       "00"},
      {"goaway code 3",
       "1f"
       "01"
       "03"
       "00"},
      {"goaway text of 257 bytes",
       "1f"
       "01"
       "00"
       "4101" +
           text257},
  }};
  for (const auto& [what, text] : cases) {
    const Bytes bytes = hex(text);
    ByteReader in(bytes);
    EXPECT_FALSE(decode_frame(in)) << what;
    EXPECT_EQ(in.remaining(), bytes.size()) << what;
  }
}

TEST(Frames, LongestNameAndTextAreTaken) {
  const Frame open = OpenFrame{0, test::to_name(std::string(kMaxNameBytes, 'n'), 1), kVarintMax};
  const Frame goaway =
      GoawayFrame{GoawayScope::kLane, GoawayCode::kShutdown, std::string(kMaxGoawayText, 't')};
  for (const Frame& frame : {open, goaway}) {
    const Bytes bytes = encoded(frame);
    ByteReader in(bytes);
    const auto decoded = decode_frame(in);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(encoded(*decoded), bytes);
  }
}

TEST(Frames, TheLongestDatagramIsTakenAndNoLongerOne) {
  for (const std::size_t size : {kMaxDatagram, kMaxDatagram + 1}) {
    const Bytes payload(size, 'x');
    Bytes record(kMostFrames + 1);
    ByteWriter out(record);
    const Destination longest = test::to_name(std::string(kMaxNameBytes, 'n'), 1);
    ASSERT_TRUE(encode_frame(out, DatagramFrame{kVarintMax, longest, payload}));
    ByteReader in(ByteView(record).first(out.written()));
    EXPECT_EQ(decode_frame(in).has_value(), size == kMaxDatagram);
    EXPECT_EQ(out.written() <= kMostFrames, size == kMaxDatagram);
  }
}

TEST(Frames, RequestsAndAnswersAreBounded) {
  const auto is_taken = [](const Frame& frame) {
    Bytes record(kMostFrames + 100);
    ByteWriter out(record);
    EXPECT_TRUE(encode_frame(out, frame));
    ByteReader in(ByteView(record).first(out.written()));
    return decode_frame(in).has_value();
  };
  const Bytes bytes(kMaxDnsAnswer + 1, 'x');
  const auto first = [&](std::size_t size) { return ByteView(bytes).first(size); };
  const Destination host = test::to_ipv6({1}, 0);
  EXPECT_TRUE(is_taken(ResolveFrame{kVarintMax, first(kMaxDnsQuery)}));
  EXPECT_FALSE(is_taken(ResolveFrame{0, first(kMaxDnsQuery + 1)}));
  EXPECT_TRUE(is_taken(ResolvedFrame{kVarintMax, first(kMaxDnsAnswer)}));
  EXPECT_FALSE(is_taken(ResolvedFrame{0, first(kMaxDnsAnswer + 1)}));
  EXPECT_TRUE(is_taken(EchoFrame{kVarintMax, host, 0, first(kMaxEchoData)}));
  EXPECT_FALSE(is_taken(EchoFrame{0, host, 0, first(kMaxEchoData + 1)}));
  EXPECT_FALSE(is_taken(EchoFrame{0, test::to_name("host.example", 0), 0, {}}));
  EXPECT_TRUE(is_taken(EchoReplyFrame{kVarintMax, host, {255, 255}, 255, first(kMaxEchoData)}));
  EXPECT_FALSE(is_taken(EchoReplyFrame{0, host, {0, 0}, 0, first(kMaxEchoData + 1)}));
  EXPECT_FALSE(is_taken(EchoReplyFrame{0, test::to_name("host.example", 0), {0, 0}, 0, {}}));
}

TEST(Frames, CapabilitiesAreBitsOfAParameter) {
  WelcomeFrame welcome = test::golden_welcome();
  const Bytes without = encoded(welcome);
  for (unsigned bits = 0; bits < 32; ++bits) {
    ExitCapabilities& to = welcome.parameters.capabilities;
    to = {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0, (bits & 16) != 0};
    const Bytes bytes = encoded(welcome);
    EXPECT_EQ(bytes == without, to == ExitCapabilities{});
    if (bytes != without) {
      EXPECT_EQ(Bytes(bytes.end() - 2, bytes.end()), (Bytes{6, static_cast<std::uint8_t>(bits)}));
    }
    ByteReader in(bytes);
    const auto decoded = decode_frame(in);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<WelcomeFrame>(*decoded).parameters.capabilities, to);
  }
}

TEST(Frames, UnknownParametersAndResetCodesAreTaken) {
  const Bytes hello =
      hex("01"
          "000102030405060708090a0b0c0d0e0f"
          "01"
          "00"
          "0000000000000000"
          "03"
          "02"
          "ffffffffffffffff"
          "01"
          "10"
          "7fff"
          "00");
  ByteReader in(hello);
  const auto frame = decode_frame(in);
  ASSERT_TRUE(frame);
  EXPECT_EQ(std::get<HelloFrame>(*frame).parameters.max_streams, 16U);
  const Bytes reset = encoded(ResetFrame{4, static_cast<ResetCode>(kVarintMax)});
  ByteReader second(reset);
  EXPECT_TRUE(decode_frame(second));
}

TEST(Frames, WithoutRoomNothingIsWritten) {
  for (const auto& golden : golden_frames()) {
    const std::size_t size = hex(golden.hex).size();
    for (std::size_t room = 0; room < size; ++room) {
      Bytes buffer(room);
      ByteWriter out(buffer);
      ASSERT_FALSE(encode_frame(out, golden.frame)) << golden.name;
      EXPECT_EQ(out.written(), 0U) << golden.name;
    }
  }
}

}  // namespace
}  // namespace zks::session
