# SPDX-License-Identifier: MIT
"""The packets of src/packet against Scapy, which shares no code with them: it builds what is read here, and reads,
and computes anew, what is built here. Our end is build/packet_peer (tests/interop/packet_peer.cpp), spoken to in hex
lines."""
import os
import random
import subprocess
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Timestamp, defragment, fragment
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6,
                                IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, defragment6, fragment6)
from scapy.packet import raw

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ZKS_BUILD_DIR", REPOSITORY / "build" / "release")).resolve()
ADDRESSES = {4: ("10.0.0.1", "192.0.2.9"), 6: ("2001:db8::1", "2001:db8::9")}


@pytest.fixture(scope="module")
def peer():
    process = subprocess.Popen([BUILD / "packet_peer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(command, *arguments):
        words = [command]
        for argument in arguments:
            words.append(argument.hex() or "-" if isinstance(argument, bytes) else str(argument))
        process.stdin.write(" ".join(words) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline().split()
        assert answer, f"packet_peer ended at {command}"
        return answer if command == "read" or answer[0] == "refused" else [bytes.fromhex(word) for word in answer[1:]]

    yield ask
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


def ip(version, **fields):
    source, target = ADDRESSES[version]
    return (IP if version == 4 else IPv6)(src=source, dst=target, **fields)


def understood(packet, version):
    """As Scapy reads it. Every checksum and length is what Scapy would have put there."""
    layer = IP if version == 4 else IPv6
    read = layer(packet)
    anew = layer(packet)
    for part in anew.iterpayloads():
        for name in ("chksum", "cksum", "len", "plen"):
            if name in part.fields and not (part.name.endswith("in ICMP") or part.name.endswith("in ICMPv6")):
                del part.fields[name]
        if "in ICMP" in part.name:
            break
    assert raw(anew) == packet, (read.show(dump=True), anew.show2(dump=True))
    return read


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000, 1471, 40001])
def test_datagrams_that_are_built(peer, version, size):
    data = random.Random(size).randbytes(size)
    source, target = ADDRESSES[version]
    (packet,) = peer("udp", source, 53, target, 5353, data)
    read = understood(packet, version)
    assert (read.src, read.dst, read[UDP].sport, read[UDP].dport) == (source, target, 53, 5353)
    assert raw(read[UDP].payload) == data


@pytest.mark.parametrize("version", [4, 6])
def test_packets_that_are_read(peer, version):
    source, target = ADDRESSES[version]
    for size in (0, 1, 7, 900):
        data = random.Random(size).randbytes(size)
        assert peer("read", raw(ip(version) / UDP(sport=1, dport=2) / data)) == [
            "ok", source, target, "17", "udp", "1", "2", data.hex() or "-"]
        segment = TCP(sport=3, dport=4, seq=2**32 - 1, ack=9, flags="SA", options=[("MSS", 1460), ("WScale", 7)])
        assert peer("read", raw(ip(version) / segment / data)) == [
            "ok", source, target, "6", "tcp", "3", "4", str(2**32 - 1), "9", "1100", data.hex() or "-"]
        echo = ICMP(id=7, seq=8) / data if version == 4 else ICMPv6EchoRequest(id=7, seq=8, data=data)
        assert peer("read", raw(ip(version) / echo))[4:] == ["echo", "7", "8", data.hex() or "-"]


def test_options_and_extension_headers(peer):
    with_option = raw(ip(4, options=[IPOption_Timestamp()]) / UDP(sport=1, dport=2) / b"x")
    assert peer("read", with_option)[4:] == ["udp", "1", "2", "78"]
    chain = ip(6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / b"x"
    assert peer("read", raw(chain))[3:] == ["17", "udp", "1", "2", "78"]


@pytest.mark.parametrize("version", [4, 6])
def test_wrong_checksums(peer, version):
    packet = bytearray(raw(ip(version) / UDP(sport=1, dport=2) / b"abc"))
    packet[-1] ^= 1
    assert peer("read", bytes(packet))[4:] == ["other", "wrong", "UDP", "checksum"]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("mtu", [1280, 1500, 9000])
def test_fragments_that_are_built(peer, version, mtu):
    data = random.Random(mtu).randbytes(20_000)
    source, target = ADDRESSES[version]
    packets = peer("fragments", mtu, 77, source, 53, target, 5353, data)
    assert len(packets) > 1 and all(len(packet) <= mtu for packet in packets)
    if version == 4:
        (whole,) = defragment([understood(packet, 4) for packet in packets])
    else:
        whole = defragment6([IPv6(packet) for packet in packets])
    assert raw(whole[UDP].payload) == data


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_that_are_put_together(peer, version):
    data = random.Random(version).randbytes(5_000)
    if version == 4:
        parts = fragment(ip(4, id=9) / UDP(sport=1, dport=2) / data, fragsize=1000)
    else:
        parts = fragment6(ip(6) / IPv6ExtHdrFragment(id=9) / UDP(sport=1, dport=2) / data, 1280)
    packets = [raw(part) for part in parts]
    random.Random(1).shuffle(packets)
    assert len(packets) > 3
    (whole,) = peer("whole", *packets)
    assert peer("read", whole)[4:] == ["udp", "1", "2", data.hex()]
    assert raw(understood(whole, version)[UDP].payload) == data
    assert peer("whole", *packets[1:]) == ["refused", "incomplete"]


@pytest.mark.parametrize("version", [4, 6])
def test_echo_replies(peer, version):
    data = random.Random(5).randbytes(57)
    request = ICMP(id=7, seq=8) / data if version == 4 else ICMPv6EchoRequest(id=7, seq=8, data=data)
    (packet,) = peer("reply", raw(ip(version) / request))
    reply = understood(packet, version)
    assert (reply.dst, reply.src) == ADDRESSES[version]
    if version == 4:
        assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq, raw(reply[ICMP].payload)) == (0, 7, 8, data)
    else:
        answer = reply[ICMPv6EchoReply]
        assert (answer.id, answer.seq, answer.data) == (7, 8, data)


@pytest.mark.parametrize("version", [4, 6])
def test_resets(peer, version):
    for flags, fields in (("S", (0, 1001, "RA")), ("PA", (2000, 0, "R"))):
        segment = TCP(sport=40000, dport=443, flags=flags, seq=1000, ack=2000)
        (packet,) = peer("reset", raw(ip(version) / segment))
        reset = understood(packet, version)
        assert (reset.dst, reset.src, reset[TCP].sport, reset[TCP].dport) == (*ADDRESSES[version], 443, 40000)
        assert (reset[TCP].seq, reset[TCP].ack, str(reset[TCP].flags)) == fields
    assert peer("reset", raw(ip(version) / TCP(flags="R"))) == ["refused", "nothing"]


@pytest.mark.parametrize("version", [4, 6])
def test_icmp_errors(peer, version):
    router = "10.0.0.254" if version == 4 else "2001:db8::fe"
    for size in (0, 30, 3000):
        offending = raw(ip(version) / UDP(sport=1, dport=2) / (b"x" * size))
        kind = (3, 3) if version == 4 else (1, 4)
        (packet,) = peer("error", *kind, 0, router, offending)
        error = understood(packet, version)
        assert (error.src, error.dst) == (router, ADDRESSES[version][0])
        body = error[ICMP] if version == 4 else error[ICMPv6DestUnreach]
        assert (body.type, body.code) == kind
        header = 28 if version == 4 else 48
        assert packet[header:] == offending[:(576 if version == 4 else 1280) - header]
        (packet,) = peer("error", *((3, 4) if version == 4 else (2, 0)), 1300, router, offending)
        error = understood(packet, version)
        assert (error[ICMP].nexthopmtu if version == 4 else error[ICMPv6PacketTooBig].mtu) == 1300
