// SPDX-License-Identifier: MIT
//
// The end of a body, however it comes: every cut, every byte changed, and the bounds of what is framing.
#include "frontdoor/http_body.hpp"

#include <gtest/gtest.h>

namespace zks::frontdoor {
namespace {

using Kind = BodyFraming::Kind;

struct Outcome {
  std::string body;
  std::string rest;
  bool done = false;
  bool failed = false;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// What becomes of `input` when it arrives in the pieces that end at `cut` and at its end.
using LineEnd = BodyReader::LineEnd;

Outcome read(BodyFraming framing, std::string_view input, std::size_t cut = 0,
             LineEnd line_end = LineEnd::kCrLf) {
  BodyReader reader(framing, line_end);
  Outcome out;
  for (const std::string_view piece : {input.substr(0, cut), input.substr(cut)}) {
    ByteView bytes = as_bytes(piece);
    while (!bytes.empty() && !reader.done() && !reader.failed()) out.body += as_text(reader.next(bytes));
    out.rest += as_text(bytes);
  }
  out.done = reader.done();
  out.failed = reader.failed();
  return out;
}

std::string followed(std::string_view text) {
  std::string out(text);
  out.append("next");
  return out;
}

constexpr BodyFraming kChunked{Kind::kChunked, 0};
constexpr std::string_view kWhole =
    "4\r\nWiki\r\n6;a=\"b\"\r\npedia \r\n00E \t\r\nin \r\n\r\nchunks.\r\n0;x\r\nTrailer: 1\r\nB: 2\r\n\r\n";
constexpr std::string_view kWikipedia = "Wikipedia in \r\n\r\nchunks.";

TEST(HttpBodyTest, None) {
  EXPECT_EQ(read({}, "next"), (Outcome{"", "next", true, false}));
  EXPECT_EQ(read({Kind::kLength, 0}, "next"), (Outcome{"", "next", true, false}));
}

TEST(HttpBodyTest, Length) {
  for (std::size_t cut = 0; cut <= 9; ++cut)
    EXPECT_EQ(read({Kind::kLength, 5}, "12345next", cut), (Outcome{"12345", "next", true, false}));
  EXPECT_EQ(read({Kind::kLength, ~0ULL}, "12345"), (Outcome{"12345", "", false, false}));
}

TEST(HttpBodyTest, UntilClose) {
  EXPECT_EQ(read({Kind::kUntilClose, 0}, "12345"), (Outcome{"12345", "", false, false}));
}

TEST(HttpBodyTest, TheEndOfTheOtherSideEndsOnlyABodyThatWaitsForIt) {
  for (const auto kind : {Kind::kLength, Kind::kChunked, Kind::kUntilClose}) {
    BodyReader reader({kind, 5});
    reader.end();
    EXPECT_EQ(reader.done(), kind == Kind::kUntilClose);
    EXPECT_EQ(reader.failed(), kind != Kind::kUntilClose);
  }
  BodyReader complete({});
  complete.end();
  EXPECT_TRUE(complete.done());
}

TEST(HttpBodyTest, ChunksCutAnywhere) {
  const std::string input = followed(kWhole);
  for (std::size_t cut = 0; cut <= input.size(); ++cut)
    EXPECT_EQ(read(kChunked, input, cut), (Outcome{std::string(kWikipedia), "next", true, false})) << cut;
  for (std::size_t size = 0; size < kWhole.size(); ++size) {
    const Outcome out = read(kChunked, kWhole.substr(0, size));
    EXPECT_FALSE(out.done) << size;
    EXPECT_FALSE(out.failed) << size;
  }
}

// A change may alter data, extensions and trailers. It never moves the end without a size having been
// changed.
TEST(HttpBodyTest, EveryByteChanged) {
  const std::string input = followed(kWhole);
  const std::size_t data = input.find("in \r\n");  // 14 bytes with line ends of their own
  for (std::size_t at = 0; at < kWhole.size(); ++at) {
    for (const char with : {'\0', '\r', '\n', ' ', '0', '1', 'f', 'x', ';', '\x7f', '\xff'}) {
      std::string changed = input;
      changed[at] = with;
      const Outcome whole = read(kChunked, changed);
      const Outcome cut = read(kChunked, changed, at);
      EXPECT_EQ(whole.body, cut.body);
      EXPECT_EQ(whole.done, cut.done);
      EXPECT_EQ(whole.failed, cut.failed);
      const bool is_line_end = input[at] == '\n' && (at < data || at >= data + 14);
      if (is_line_end && with != '\n') {
        EXPECT_FALSE(whole.done) << at;
      }
    }
  }
}

TEST(HttpBodyTest, WhatIsNotChunked) {
  for (const char* text : {"\r\n", "g\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1\n", "1\rx", "1;a\nx",
                           "1\r\na\nx", "1\r\nab", "1\r\na\r\r", "1234567890123456\r\n", "0\r\n\n",
                           "0\r\nA: b\n\r\n", "0\r\nA: b\r\r\n", "0\r\n\r\r", "0\r\n\x01"}) {
    EXPECT_TRUE(read(kChunked, text).failed) << text;
  }
}

// Lines that end in LF alone, mixed with others, cut anywhere. Data keeps its LF and CR.
TEST(HttpBodyTest, AnswersMayHaveLineFeedsAlone) {
  for (const std::string_view text :
       {"5\nhello\n3;a=b\n\r\na\n0\n\n", "5\r\nhello\n3 \n\r\na\r\n0;x\nA: b\nB: c\r\n\n",
        "5\nhello\r\n3\r\n\r\na\n0\r\nA: b\n\r\n"}) {
    const std::string input = followed(text);
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {
      EXPECT_EQ(read(kChunked, input, cut, LineEnd::kLfToo), (Outcome{"hello\r\na", "next", true, false}))
          << text << " cut at " << cut;
    }
    EXPECT_TRUE(read(kChunked, text).failed) << "not in a request: " << text;
  }
  for (const char* text : {"\n", "g\n", "1\rx", "1\n\n\n\n", "1\nab", "1\na\r\r", "0\n\rx", "0\nA: b\r\r"})
    EXPECT_TRUE(read(kChunked, text, 0, LineEnd::kLfToo).failed) << text;
}

// Where a sender may pause: within data, and between chunks, before or behind the line end of the data.
TEST(HttpBodyTest, ALineIsBegunFromItsFirstByteToItsLast) {
  constexpr std::string_view kInput = "2;x\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n";
  constexpr std::string_view kWithin = "111100010111000000000000000001011111111110";  // behind each byte
  static_assert(kInput.size() == kWithin.size());
  BodyReader reader(kChunked);
  for (std::size_t at = 0; at < kInput.size(); ++at) {
    ByteView byte = as_bytes(kInput.substr(at, 1));
    reader.next(byte);
    EXPECT_EQ(reader.within_line(), kWithin[at] == '1') << at;
  }
  EXPECT_TRUE(reader.done());
  BodyReader plain({Kind::kLength, 2});
  ByteView one = as_bytes("a");
  plain.next(one);
  EXPECT_FALSE(plain.within_line());
}

TEST(HttpBodyTest, FramingIsBounded) {
  const std::string fits(BodyReader::kMaxLineBytes - 1, 'x');
  EXPECT_TRUE(read(kChunked, "0;" + fits + "\r\n\r\n").done);
  EXPECT_TRUE(read(kChunked, "0;" + fits + "xx").failed);
  EXPECT_TRUE(read(kChunked, "0\r\n" + fits + "\r\n\r\n").done);
  EXPECT_TRUE(read(kChunked, "0\r\n" + fits + "\r\nab").failed) << "trailer fields count together";
  EXPECT_TRUE(read(kChunked, "000000000000000\r\n\r\n").done);
  EXPECT_TRUE(read(kChunked, "0000000000000000").failed);
}

std::string reframed(BodyFraming from, std::string_view input, Kind to) {
  BodyReader reader(from);
  ByteView bytes = as_bytes(input);
  const Bytes out = reframe(reader, bytes, to);
  return std::string(as_text(out));
}

TEST(HttpBodyTest, ReframesAsOneChunk) {
  EXPECT_EQ(reframed(kChunked, kWhole, Kind::kChunked), "18\r\n" + std::string(kWikipedia) + "\r\n0\r\n\r\n");
  EXPECT_EQ(reframed(kChunked, "4\r\nWiki\r\n", Kind::kChunked), "4\r\nWiki\r\n");
  EXPECT_EQ(reframed(kChunked, "4\r\n", Kind::kChunked), "");
  EXPECT_EQ(reframed(kChunked, "0\r\n\r\n", Kind::kChunked), "0\r\n\r\n");
  EXPECT_EQ(reframed(kChunked, kWhole, Kind::kUntilClose), kWikipedia);
  EXPECT_EQ(reframed({Kind::kLength, 3}, "abcd", Kind::kLength), "abc");
}

}  // namespace
}  // namespace zks::frontdoor
