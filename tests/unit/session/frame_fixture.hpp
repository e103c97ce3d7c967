// SPDX-License-Identifier: MIT
//
// One frame of every kind beside its bytes as PROTOCOL.md ("Frames") writes them, for the tests of the codec.
#pragma once

#include <vector>

#include "session/frames.hpp"

namespace zks::session::test {

struct Golden {
  const char* name;
  Frame frame;
  const char* hex;
};

inline Destination to_ipv4(std::array<std::uint8_t, 4> address, std::uint16_t port) {
  Destination out;
  out.kind = Destination::Kind::kIpv4;
  std::copy(address.begin(), address.end(), out.address.begin());
  out.port = port;
  return out;
}

inline Destination to_ipv6(std::array<std::uint8_t, 16> address, std::uint16_t port) {
  Destination out;
  out.kind = Destination::Kind::kIpv6;
  out.address = address;
  out.port = port;
  return out;
}

inline Destination to_name(std::string name, std::uint16_t port) {
  Destination out;
  out.name = std::move(name);
  out.port = port;
  return out;
}

inline HelloFrame golden_hello() {
  HelloFrame hello;
  for (std::uint8_t i = 0; i < 16; ++i) hello.session[i] = i;
  hello.lane = 1;
  hello.parameters.max_streams = 2048;
  return hello;
}

inline WelcomeFrame golden_welcome() {
  WelcomeFrame welcome{golden_hello()};
  welcome.instance.fill(0xa5);
  welcome.parameters.max_lanes = kMaxLanes;
  welcome.parameters.max_flows = 1024;
  return welcome;
}

inline const Bytes& golden_data() {
  static const Bytes bytes = {'a', 'b', 'c'};
  return bytes;
}

inline std::vector<Golden> golden_frames() {
  const Token token = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::array<std::uint8_t, 4> ipv4 = {192, 0, 2, 1};
  const std::array<std::uint8_t, 16> ipv6 = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return {
      {"hello", golden_hello(),
       "01"
       "000102030405060708090a0b0c0d0e0f"
       "01"
       "00"
       "0000000000000000"
       "01"
       "01"
       "4800"},
      {"welcome", golden_welcome(),
       "02"
       "000102030405060708090a0b0c0d0e0f"
       "01"
       "00"
       "a5a5a5a5a5a5a5a5"
       "04"
       "01"
       "4800"
       "02"
       "4078"
       "03"
       "10"
       "04"
       "4400"},
      {"table",
       TableFrame{true,
                  {{4, TableEntry::State::kOpen, 70'006, 332'150}, {6, TableEntry::State::kReset, 0, 0}}},
       "03"
       "01"
       "02"
       "04"
       "01"
       "80011176"
       "80051176"
       "06"
       "02"
       "00"
       "00"},
      {"lane_down", LaneDownFrame{{3, 5}},
       "04"
       "02"
       "03"
       "05"},
      {"lane_ack", LaneAckFrame{262'144},
       "05"
       "80040000"},
      {"ping", PingFrame{token},
       "06"
       "0102030405060708"},
      {"pong", PongFrame{token},
       "07"
       "0102030405060708"},
      {"open_name", OpenFrame{4, to_name("example.org", 443), 262'144},
       "08"
       "04"
       "03"
       "0b"
       "6578616d706c652e6f7267"
       "01bb"
       "80040000"},
      {"open_ipv4", OpenFrame{6, to_ipv4(ipv4, 80), 16'384},
       "08"
       "06"
       "01"
       "c0000201"
       "0050"
       "80004000"},
      {"open_ipv6", OpenFrame{64, to_ipv6(ipv6, 22), 63},
       "08"
       "4040"
       "04"
       "20010db8000000000000000000000001"
       "0016"
       "3f"},
      {"opened", OpenedFrame{4, 262'144, to_ipv4(ipv4, 50'000)},
       "09"
       "04"
       "80040000"
       "01"
       "c0000201"
       "c350"},
      {"data", DataFrame{4, 300, golden_data()},
       "0a"
       "04"
       "412c"
       "03"
       "616263"},
      {"fin", FinFrame{4, 303},
       "0b"
       "04"
       "412f"},
      {"credit", CreditFrame{4, 304, 262'448},
       "0c"
       "04"
       "4130"
       "80040130"},
      {"reset", ResetFrame{4, ResetCode::kConnectionRefused},
       "0d"
       "04"
       "05"},
      {"done", DoneFrame{4},
       "0e"
       "04"},
      {"flow_open", FlowOpenFrame{8},
       "10"
       "08"},
      {"datagram_name", DatagramFrame{8, to_name("example.org", 53), golden_data()},
       "11"
       "08"
       "03"
       "0b"
       "6578616d706c652e6f7267"
       "0035"
       "03"
       "616263"},
      {"datagram_ipv4", DatagramFrame{300, to_ipv4(ipv4, 123), golden_data()},
       "11"
       "412c"
       "01"
       "c0000201"
       "007b"
       "03"
       "616263"},
      {"datagram_empty_ipv6", DatagramFrame{7, to_ipv6(ipv6, 443), {}},
       "11"
       "07"
       "04"
       "20010db8000000000000000000000001"
       "01bb"
       "00"},
      {"flow_error", FlowErrorFrame{8, to_ipv4(ipv4, 123), {3, 3}},
       "12"
       "08"
       "01"
       "c0000201"
       "007b"
       "03"
       "03"},
      {"flow_close", FlowCloseFrame{8},
       "13"
       "08"},
      {"open_of_exit", OpenFrame{5, to_ipv4(ipv4, 50'000), 16'384, 2},
       "08"
       "05"
       "02"
       "01"
       "c0000201"
       "c350"
       "80004000"},
      {"listen", ListenFrame{2, ListenKind::kTcp, to_ipv4({127, 0, 0, 1}, 8080)},
       "14"
       "02"
       "00"
       "01"
       "7f000001"
       "1f90"},
      {"listen_udp", ListenFrame{64, ListenKind::kUdp, to_ipv6(ipv6, 53)},
       "14"
       "4040"
       "01"
       "04"
       "20010db8000000000000000000000001"
       "0035"},
      {"listening", ListeningFrame{2, to_ipv4({127, 0, 0, 1}, 8080)},
       "15"
       "02"
       "01"
       "7f000001"
       "1f90"},
      {"unlisten", UnlistenFrame{2, ResetCode::kNotAllowed},
       "16"
       "02"
       "02"},
      {"resolve", ResolveFrame{300, golden_data()},
       "17"
       "412c"
       "03"
       "616263"},
      {"resolved", ResolvedFrame{300, golden_data()},
       "18"
       "412c"
       "03"
       "616263"},
      {"echo_ipv4", EchoFrame{7, to_ipv4(ipv4, 0), 64, golden_data()},
       "19"
       "07"
       "01"
       "c0000201"
       "0000"
       "40"
       "03"
       "616263"},
      {"echo_reply_ipv6", EchoReplyFrame{7, to_ipv6(ipv6, 0), {129, 0}, 57, golden_data()},
       "1a"
       "07"
       "04"
       "20010db8000000000000000000000001"
       "0000"
       "81"
       "00"
       "39"
       "03"
       "616263"},
      {"goaway", GoawayFrame{GoawayScope::kSession, GoawayCode::kRevoked, "revoked"},
       "1f"
       "01"
       "01"
       "07"
       "7265766f6b6564"},
  };
}

inline Bytes encoded(const Frame& frame) {
  Bytes out(1024);
  ByteWriter writer(out);
  if (!encode_frame(writer, frame)) return {};
  out.resize(writer.written());
  return out;
}

}  // namespace zks::session::test
