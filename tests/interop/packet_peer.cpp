// SPDX-License-Identifier: MIT
//
// The packets of packet/ on stdin and stdout, for tests/e2e/test_packets_independent.py, where Scapy reads
// what is built here and builds what is read here. A line is a command and its arguments, bytes in hex, "-"
// for none; the answer is "ok" and words or bytes in hex, or "refused" and why.
//
//   read PACKET                           source target protocol, and what is above IP
//   udp SOURCE PORT TARGET PORT DATA      a packet
//   fragments MTU ID SOURCE PORT TARGET PORT DATA
//   reply PACKET                          the answer to an echo request
//   reset PACKET                          RST in answer to a segment
//   error TYPE CODE MTU FROM PACKET       an ICMP error
//   whole PACKET...                       fragments put together
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "packet/build.hpp"
#include "packet/reassembly.hpp"

namespace zks::packet {
namespace {

using Arguments = std::vector<std::string>;

Bytes bytes_of(const std::string& text) {
  return text == "-" ? Bytes{} : from_hex(text).value();
}

std::string hex_of(ByteView bytes) {
  return bytes.empty() ? "-" : to_hex(bytes);
}

Endpoint endpoint(const std::string& address, const std::string& port) {
  return {parse_ip_address(address).value(), static_cast<std::uint16_t>(std::stoul(port))};
}

std::string built(std::size_t size, const Bytes& out) {
  return size == 0 ? "refused nothing" : "ok " + to_hex(ByteView(out).first(size));
}

std::string read(const Bytes& bytes) {
  const auto packet = parse(bytes);
  if (!packet) return std::string("refused ") + describe(packet.error());
  std::ostringstream out;
  out << "ok " << packet->source.text() << ' ' << packet->target.text() << ' ' << int{packet->protocol};
  if (const auto segment = parse_tcp(*packet)) {
    out << " tcp " << segment->source_port << ' ' << segment->target_port << ' ' << segment->sequence << ' '
        << segment->acknowledgment << ' ' << segment->syn << segment->ack << segment->fin << segment->rst
        << ' ' << hex_of(segment->data);
  } else if (const auto datagram = parse_udp(*packet)) {
    out << " udp " << datagram->source_port << ' ' << datagram->target_port << ' ' << hex_of(datagram->data);
  } else if (const auto request = parse_echo(*packet)) {
    out << " echo " << request->id << ' ' << request->sequence << ' ' << hex_of(request->data);
  } else {
    out << " other " << describe(parse_udp(*packet).error());
  }
  return out.str();
}

std::string fragments(const Arguments& words) {
  const Bytes data = bytes_of(words.at(7));
  const auto message =
      udp_message(endpoint(words.at(3), words.at(4)), endpoint(words.at(5), words.at(6)), data);
  Fragments parts(message.value(), std::stoul(words.at(1)),
                  static_cast<std::uint32_t>(std::stoul(words.at(2))));
  std::string answer = "ok";
  Bytes out(kMaxPacket);
  while (const std::size_t size = parts.next(out)) answer += ' ' + to_hex(ByteView(out).first(size));
  return answer;
}

std::string whole(const Arguments& words) {
  Reassembler reassembler;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const Bytes bytes = bytes_of(words[i]);
    if (const auto complete = reassembler.add(parse(bytes).value(), {})) return "ok " + to_hex(*complete);
  }
  return "refused incomplete";
}

std::string answer(const Arguments& words) {
  Bytes out(kIpv6Header + kMaxPacket);
  const std::string& command = words.at(0);
  if (command == "read") return read(bytes_of(words.at(1)));
  if (command == "fragments") return fragments(words);
  if (command == "whole") return whole(words);
  if (command == "udp") {
    const Bytes data = bytes_of(words.at(5));
    const auto message =
        udp_message(endpoint(words.at(1), words.at(2)), endpoint(words.at(3), words.at(4)), data);
    return built(build(message.value(), out), out);
  }
  const Bytes bytes = bytes_of(words.back());
  const Packet packet = parse(bytes).value();
  if (command == "reply") {
    const auto message = echo_reply(packet.target, packet.source, parse_echo(packet).value());
    return built(build(message.value(), out), out);
  }
  if (command == "reset") return built(build_reset(packet, parse_tcp(packet).value(), out), out);
  const IcmpMessage message{static_cast<std::uint8_t>(std::stoul(words.at(1))),
                            static_cast<std::uint8_t>(std::stoul(words.at(2))),
                            static_cast<std::uint32_t>(std::stoul(words.at(3)))};
  return built(build_icmp_error(packet, message, parse_ip_address(words.at(4)).value(), out), out);
}

}  // namespace
}  // namespace zks::packet

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    std::cout << zks::packet::answer(words) << std::endl;
  }
}
