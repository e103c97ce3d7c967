# SPDX-License-Identifier: MIT
"""What goes through the tunnel, and how, when vpn is told so: users, networks, MTU, offloads, silent flows. Whoever is
asked answers with the address that it was asked from: the exit's, or the client's own."""
import contextlib
import json
import os
import socket
import sys

import pytest
from harness import namespace
from harness.process import CLIENT_PROGRAM, wait_until
from harness.transfer import MIB, sha256_of, write_random
from harness.world import RELAY, SITE, TUN, World
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting
from scapy.packet import raw
from scapy.utils import RawPcapReader

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]
both = pytest.mark.parametrize("version", [4, 6])
CLIENT = {4: "192.0.2.2", 6: "2001:db8:1::2"}
EXIT = {4: "203.0.113.20", 6: "2001:db8:3::20"}
USER, OTHER_USER = 12345, 12346
SITE_NETWORK = {4: "93.184.216.0/24", 6: "2a0a::/64"}

SERVER = """
import functools, http.server, socket, sys, threading
class Who(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != '/who':
            return super().do_GET()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].removeprefix('::ffff:').encode())
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
def echo():
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(('::', 7001))
    while True:
        data, peer = udp.recvfrom(65535)
        udp.sendto(data, peer)
threading.Thread(target=echo, daemon=True).start()
Server(('::', 80), functools.partial(Who, directory=sys.argv[1])).serve_forever()
"""


def url(host, path="who"):
    return f"http://[{host}]/{path}" if ":" in host else f"http://{host}/{path}"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vpn")
    with World(directory) as world:
        root = directory / "www"
        root.mkdir()
        world.digest = write_random(root / "large", 16 * MIB)
        for host in ("site", "relay"):
            world.start(host, f"web-{host}", sys.executable, "-c", SERVER, root)
            wait_until(lambda: ":80 " in world.run(host, "ss", "-ltn").stdout, 20, f"{host} serves")
        world.start_relay()
        world.exit = world.start_exit("--allow", "198.51.100.0/24", "--allow", "2001:db8:2::/64")
        yield world


@contextlib.contextmanager
def running(world, *options):
    vpn = world.start_vpn(world.exit.link, *options)
    try:
        yield vpn
    finally:
        assert world.stop(vpn) == 0


def asked_from(world, host, user=0):
    answer = world.run("client", "setpriv", f"--reuid={user}", "--clear-groups", "curl", "-sS", "-m", "20", url(host))
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def status(world):
    answer = world.run("client", CLIENT_PROGRAM, "status", "--json", "--state-dir", world.directory / "vpn-state")
    return json.loads(answer.stdout)["tun"]


def test_uid_takes_one_user_and_leaves_another(world):
    with running(world, "--uid", str(USER)):
        for version in (4, 6):
            assert asked_from(world, SITE[version], USER) == EXIT[version]
            assert asked_from(world, SITE[version], OTHER_USER) == CLIENT[version]
            assert asked_from(world, SITE[version]) == CLIENT[version]
        assert status(world)["set_up"]["uids"] == [{"first": USER, "last": USER}]
    with running(world, "--uid", f"{USER}-{OTHER_USER}"):
        assert {asked_from(world, SITE[4], user) for user in (USER, OTHER_USER)} == {EXIT[4]}


def test_route_takes_one_network_and_leaves_the_rest(world):
    with running(world, "--route", SITE_NETWORK[4]):
        assert asked_from(world, SITE[4]) == EXIT[4]
        assert asked_from(world, SITE[6]) == CLIENT[6]
        assert asked_from(world, RELAY[4]) == CLIENT[4]
    with running(world, "--route", SITE_NETWORK[6], "--route", "198.51.100.0/24"):
        assert asked_from(world, SITE[4]) == CLIENT[4]
        assert asked_from(world, SITE[6]) == EXIT[6]
        assert asked_from(world, RELAY[4]) == EXIT[4]


def test_exclude_leaves_one_network_and_takes_the_rest(world):
    with running(world, "--exclude", SITE_NETWORK[4], "--exclude", RELAY[6]):
        assert asked_from(world, SITE[4]) == CLIENT[4]
        assert asked_from(world, SITE[6]) == EXIT[6]
        assert asked_from(world, RELAY[4]) == EXIT[4]
        assert asked_from(world, RELAY[6]) == CLIENT[6]


def test_it_works_without_a_kill_switch(world):
    """Its own connections are bound to the relay all the same (test_vpn_host.py)."""
    with running(world, "--no-kill-switch"):
        for version in (4, 6):
            assert asked_from(world, SITE[version]) == EXIT[version]
        assert status(world)["set_up"]["kill_switch"] is False
    assert asked_from(world, SITE[4]) == CLIENT[4]


def download(world, version):
    target = world.directory / "large"
    got = world.run("client", "curl", "-sS", "-m", "60", "-o", target, url(SITE[version], "large"), seconds=70)
    assert got.returncode == 0, got.stderr
    return sha256_of(target)


def echo(world, version, size, held=None):
    """A datagram there and back."""
    data = os.urandom(size)
    with namespace.entered(world.name("client")):
        sender = held or socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
    sender.settimeout(10)
    sender.sendto(data, (SITE[version], 7001))
    assert sender.recv(65535) == data
    return sender


class Longest:
    """tcpdump on the TUN device: how long the packets of a transfer are, as the program is given them."""

    def __init__(self, world, name):
        self.world, self.path = world, world.directory / f"{name}.pcap"
        self.program = world.start("client", name, "tcpdump", "-i", TUN, "-U", "-w", self.path, "-n", "--immediate-mode",
                                   "-Z", "root", "-s", "100", "ip or ip6")
        wait_until(lambda: "listening on" in self.program.stderr(), 20, "tcpdump listens")

    def packet(self):
        self.world.stop(self.program)
        return max(meta.wirelen for _, meta in RawPcapReader(str(self.path)))


@both
@pytest.mark.parametrize("offloads", [True, False], ids=["offloads", "no-offloads"])
@pytest.mark.parametrize("mtu", [1280, 1500, 65535])
def test_mtu_and_offloads(world, version, mtu, offloads):
    with running(world, "--mtu", str(mtu), *([] if offloads else ["--no-offloads"])):
        set_up = status(world)["set_up"]
        assert set_up["mtu"] == mtu and f"mtu {mtu} " in world.run("client", "ip", "link", "show", TUN).stdout
        assert set_up["offloads"]["tcp"] is offloads and (offloads or not set_up["offloads"]["udp"])
        capture = Longest(world, f"capture-{version}-{mtu}-{offloads}")
        assert download(world, version) == world.digest
        for size in (1, 1200, 9000):  # fragments where that is beyond the MTU
            echo(world, version, size).close()
        sent = world.run("client", "ping", "-c", "1", "-W", "5", "-s", "8000", SITE[version])
        assert sent.returncode == 0, sent.stdout
        longest = capture.packet()
        assert longest > 1500 if offloads else longest <= mtu
        assert status(world)["malformed"] == {}


def test_a_silent_flow_ends(world):
    with running(world, "--flow-timeout", "2s"):
        held = echo(world, 4, 100)
        assert status(world)["flows"] == 1
        wait_until(lambda: status(world)["flows"] == 0, 20, "the flow ends")
        echo(world, 4, 100, held).close()  # and the program's port has another
        assert status(world)["flows"] == 1


def malformed_packets():
    """What is wrong, as `status` names it, and packets that have that, and nothing else, wrong."""
    v4, v6 = IP(src="198.18.0.1", dst=SITE[4]), IPv6(src="2001:2::1", dst=SITE[6])
    good = raw(v4 / UDP(sport=9, dport=9) / b"data")
    return {
        "not IPv4 or IPv6": [b"\x55" + good[1:]],
        "impossible IP header length": [raw(IP(src="198.18.0.1", dst=SITE[4], ihl=4) / UDP(dport=9))],
        "impossible total length": [raw(IP(src="198.18.0.1", dst=SITE[4], len=999) / UDP(dport=9)),
                                    raw(IPv6(src="2001:2::1", dst=SITE[6], plen=999) / UDP(dport=9))],
        "wrong IPv4 header checksum": [raw(IP(src="198.18.0.1", dst=SITE[4], chksum=1) / UDP(dport=9))],
        "bad IPv6 extension header": [raw(v6 / IPv6ExtHdrDestOpt(len=200) / UDP(dport=9))],
        "source route": [raw(v6 / IPv6ExtHdrRouting(addresses=["2a0a::1"]) / UDP(dport=9))],
        "bad TCP header": [raw(v4 / TCP(dport=9, flags="S", dataofs=3)), raw(IP(src="198.18.0.1", dst=SITE[4], proto=6) / b"1234")],
        "impossible UDP length": [raw(v4 / UDP(dport=9, len=3)), raw(v6 / UDP(dport=9, len=99))],
        "wrong UDP checksum": [raw(v4 / UDP(dport=9, chksum=1) / b"x"), raw(v6 / UDP(dport=9, chksum=0) / b"x")],
        "wrong ICMP checksum": [raw(v4 / ICMP(chksum=1) / b"x"), raw(v6 / ICMPv6EchoRequest(cksum=1, data=b"x"))],
    }


def test_malformed_packets_are_counted_and_dropped(world):
    packets = malformed_packets()
    with running(world):
        with namespace.entered(world.name("client")), \
                socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as device:
            device.bind((TUN, 3))
            for kind in packets.values():
                for packet in kind:
                    device.send(packet)
        expected = {kind: len(which) for kind, which in packets.items()}
        wait_until(lambda: sum(status(world)["malformed"].values()) >= sum(expected.values()), 20, "all are counted")
        now = status(world)
        assert now["malformed"] == expected
        assert now["dropped"]["malformed"] == sum(expected.values())
        assert now["flows"] == 0 and now["opened"] == 0 and now["pings"] == 0
        assert asked_from(world, SITE[4]) == EXIT[4]
