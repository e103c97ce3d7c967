// SPDX-License-Identifier: MIT
#include "packet/reassembly.hpp"

#include <algorithm>
#include <random>

#include "packet/transport.hpp"
#include "packet_fixture.hpp"

namespace zks::packet {
namespace {

using std::chrono::seconds;

constexpr Reassembler::TimePoint kStart{};

Bytes part4(const Bytes& whole, std::size_t from, std::size_t size, std::size_t id = 1) {
  const bool more = from + size < whole.size();
  const Bytes data(whole.begin() + static_cast<std::ptrdiff_t>(from),
                   whole.begin() + static_cast<std::ptrdiff_t>(from + size));
  return ipv4(data, {.flags = (more ? 0x2000u : 0u) | from / 8, .id = id});
}
Bytes part6(const Bytes& whole, std::size_t from, std::size_t size, std::size_t id = 1) {
  const bool more = from + size < whole.size();
  const Bytes data(whole.begin() + static_cast<std::ptrdiff_t>(from),
                   whole.begin() + static_cast<std::ptrdiff_t>(from + size));
  return ipv6(kHopByHop, extension(kFragmentHeader) + fragment_header(kUdp, from, more, id) + data);
}

struct Reassembly : testing::Test {
  Reassembler reassembler;
  Reassembler::TimePoint now = kStart;

  std::optional<Bytes> add(const Bytes& bytes) {
    const auto whole = reassembler.add(parse(bytes).value(), now);
    if (!whole) return std::nullopt;
    return copy(*whole);
  }
};

TEST_F(Reassembly, AnyOrderMakesTheWhole) {
  const Bytes data = counted(100);
  const Bytes four = udp(ip("10.0.0.1"), ip("192.0.2.9"), data);
  const Bytes six = udp(ip("2001:db8::1"), ip("2001:db8::9"), data);
  std::vector<std::size_t> order{0, 1, 2, 3};
  const auto size = [&](std::size_t i) { return i < 3 ? std::size_t{32} : four.size() - 96; };
  do {
    for (const std::size_t i : order) {
      const auto whole4 = add(part4(four, 32 * i, size(i)));
      const auto whole6 = add(part6(six, 32 * i, size(i)));
      EXPECT_EQ(whole4.has_value(), i == order.back());
      EXPECT_EQ(whole6.has_value(), i == order.back());
      if (i != order.back()) continue;
      const auto packet4 = parse(*whole4);
      ASSERT_TRUE(packet4 && !packet4->fragment);
      EXPECT_EQ(copy(parse_udp(*packet4)->data), data);
      const auto packet6 = parse(*whole6);
      ASSERT_TRUE(packet6 && !packet6->fragment);
      EXPECT_EQ(copy(parse_udp(*packet6)->data), data);
      EXPECT_EQ(packet6->transport_at(), 48u);
    }
    EXPECT_EQ(reassembler.size(), 0u);
    EXPECT_EQ(reassembler.bytes(), 0u);
  } while (std::ranges::next_permutation(order).found);
  EXPECT_EQ(reassembler.counters().completed, 48u);
}

TEST_F(Reassembly, OptionsOfTheFirstFragmentStay) {
  const Bytes datagram = udp(ip("10.0.0.1"), ip("192.0.2.9"), counted(24));
  EXPECT_FALSE(add(part4(datagram, 16, 16)));
  const Bytes first = ipv4(Bytes(datagram.begin(), datagram.begin() + 16),
                           {.options = {1, 1, 1, 0}, .flags = 0x2000, .id = 1});
  const auto whole = add(first);
  ASSERT_TRUE(whole);
  EXPECT_EQ(parse(*whole)->transport_at(), 24u);
  EXPECT_EQ(copy(parse_udp(parse(*whole).value())->data), counted(24));
}

TEST_F(Reassembly, PacketsAreToldApart) {
  const Bytes whole = counted(32);
  EXPECT_FALSE(add(part4(whole, 0, 16, 1)));
  EXPECT_FALSE(add(part4(whole, 16, 16, 2)));
  EXPECT_FALSE(add(ipv4(counted(16), {.protocol = 47, .flags = 2, .id = 1})));
  EXPECT_FALSE(add(ipv4(counted(16), {.flags = 2, .id = 1, .source = "10.0.0.2"})));
  EXPECT_FALSE(add(ipv4(counted(16), {.flags = 2, .id = 1, .target = "10.0.0.2"})));
  EXPECT_FALSE(add(part6(whole, 16, 16, 1)));
  EXPECT_EQ(reassembler.size(), 6u);
  EXPECT_TRUE(add(part4(whole, 16, 16, 1)));
}

TEST_F(Reassembly, TheSameOnceMoreIsIgnored) {
  const Bytes whole = counted(32);
  EXPECT_FALSE(add(part6(whole, 16, 16)));
  const std::size_t before = reassembler.bytes();
  EXPECT_FALSE(add(part6(whole, 16, 16)));
  EXPECT_EQ(reassembler.bytes(), before);
  EXPECT_TRUE(add(part6(whole, 0, 16)));
}

TEST_F(Reassembly, AnOverlapEndsThePacketAndWhatComesLate) {
  const Bytes whole = counted(64);
  const auto spoils = [&](const Bytes& second, const Bytes& first) {
    reassembler = {};
    EXPECT_FALSE(add(first));
    EXPECT_FALSE(add(second));
    EXPECT_EQ(reassembler.counters().refused, 1u);
    EXPECT_EQ(reassembler.bytes(), 0u);
    EXPECT_FALSE(add(part4(whole, 0, 32)));
    EXPECT_FALSE(add(part4(whole, 32, 32)));
    EXPECT_EQ(reassembler.counters().completed, 0u);
  };
  spoils(part4(whole, 8, 16), part4(whole, 0, 16));    // its start
  spoils(part4(whole, 8, 16), part4(whole, 16, 16));   // its end
  spoils(part4(whole, 8, 32), part4(whole, 16, 16));   // all around
  spoils(part4(whole, 16, 8), part4(whole, 8, 32));    // within
  spoils(part4(whole, 16, 24), part4(whole, 16, 16));  // longer
  Bytes other = whole;
  other[20] ^= 1;
  spoils(part4(other, 16, 16), part4(whole, 16, 16));  // the same place, another byte
}

TEST_F(Reassembly, TwoEndsAreRefused) {
  const Bytes whole = counted(64);
  const Bytes shorter = counted(48);
  EXPECT_FALSE(add(part4(whole, 48, 16)));
  EXPECT_FALSE(add(part4(shorter, 32, 16)));
  EXPECT_EQ(reassembler.counters().refused, 1u);
  EXPECT_FALSE(add(part4(shorter, 32, 16, 2)));
  EXPECT_FALSE(add(part4(whole, 48, 16, 2)));
  EXPECT_EQ(reassembler.counters().refused, 2u);
}

TEST_F(Reassembly, TooLongWithItsHeaderIsRefused) {
  // Each fragment is possible with its own header; with the first one's options they are 65,536 bytes.
  const Bytes last = ipv4(counted(11), {.flags = 65'504 / 8});
  std::size_t at = 0;
  for (; at < 65'504; at += 8 * 1023) {
    const std::size_t size = std::min<std::size_t>(8 * 1023, 65'504 - at);
    const Bytes options = at == 0 ? Bytes{1, 1, 1, 0} : Bytes{};
    EXPECT_FALSE(add(ipv4(counted(size), {.options = options, .flags = 0x2000 | at / 8})));
  }
  EXPECT_FALSE(add(last));
  EXPECT_EQ(reassembler.counters().refused, 1u);
  EXPECT_EQ(reassembler.bytes(), 0u);
}

TEST_F(Reassembly, BoundsTheFragmentsOfAPacket) {
  const Bytes whole = counted(8 * (kMaxFragments + 1));
  for (std::size_t i = 0; i < kMaxFragments; ++i) EXPECT_FALSE(add(part4(whole, 8 * i, 8)));
  EXPECT_EQ(reassembler.counters().refused, 0u);
  EXPECT_FALSE(add(part4(whole, 8 * kMaxFragments, 8)));
  EXPECT_EQ(reassembler.counters().refused, 1u);
}

TEST_F(Reassembly, ForgetsAfterItsTime) {
  const Bytes whole = counted(32);
  EXPECT_FALSE(add(part4(whole, 0, 16)));
  now += kReassemblyTimeout - seconds(1);
  EXPECT_FALSE(add(part4(whole, 0, 16, 2)));
  now += seconds(1);
  EXPECT_FALSE(add(part4(whole, 16, 16)));  // begins anew
  EXPECT_EQ(reassembler.counters().timed_out, 1u);
  EXPECT_TRUE(add(part4(whole, 16, 16, 2)));
  now += kReassemblyTimeout;
  reassembler.expire(now);
  EXPECT_EQ(reassembler.size(), 0u);
  EXPECT_EQ(reassembler.bytes(), 0u);
  EXPECT_EQ(reassembler.counters().timed_out, 2u);
}

TEST_F(Reassembly, TheOldestMakesRoomInTheTable) {
  const Bytes whole = counted(32);
  for (std::size_t id = 0; id <= kMaxReassemblies; ++id) {
    now += std::chrono::milliseconds(1);
    EXPECT_FALSE(add(part4(whole, 0, 16, id)));
  }
  EXPECT_EQ(reassembler.size(), kMaxReassemblies);
  EXPECT_EQ(reassembler.counters().crowded_out, 1u);
  EXPECT_TRUE(add(part4(whole, 16, 16, 1)));   // the second oldest
  EXPECT_FALSE(add(part4(whole, 16, 16, 0)));  // the oldest is gone
}

TEST_F(Reassembly, BytesAreBoundedWhateverComes) {
  std::mt19937 random(7);
  const Bytes data = counted(65'000);
  for (int i = 0; i < 20'000; ++i) {
    now += std::chrono::milliseconds(random() % 5);
    const std::size_t from = random() % 8000 * 8;
    const std::size_t size = std::min<std::size_t>((1 + random() % 200) * 8, data.size() - from);
    const Bytes bytes =
        random() % 2 == 0 ? part4(data, from, size, random() % 100) : part6(data, from, size, random() % 100);
    add(bytes);
    ASSERT_LE(reassembler.bytes(), kMaxReassemblyBytes);
    ASSERT_LE(reassembler.size(), kMaxReassemblies);
  }
  // Large ones, so that bytes are what is short: nothing overlaps.
  reassembler = {};
  for (std::size_t id = 0; id < 40; ++id) {
    now += std::chrono::milliseconds(1);
    EXPECT_FALSE(add(part4(data, 0, 60'000, id)));
    ASSERT_LE(reassembler.bytes(), kMaxReassemblyBytes);
  }
  EXPECT_GT(reassembler.counters().crowded_out, 20u);
  now += kReassemblyTimeout;
  reassembler.expire(now);
  EXPECT_EQ(reassembler.bytes(), 0u);
}

TEST_F(Reassembly, WholePacketsAreNotItsBusiness) {
  EXPECT_FALSE(add(udp4({1})));
  EXPECT_EQ(reassembler.size(), 0u);
}

}  // namespace
}  // namespace zks::packet
