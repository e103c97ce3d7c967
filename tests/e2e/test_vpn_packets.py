# SPDX-License-Identifier: MIT
"""What vpn says of packets that it does not just carry, and in whose name: hop limits that end at the tunnel, segments of
no connection, more pings than the exit sends. And another VPN inside of it."""
import contextlib
import hashlib
import json
import re
import socket
import struct
import sys
import time

import pytest
from harness import namespace
from harness.process import CLIENT_PROGRAM, wait_until
from harness.world import SITE, TUN, World
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import raw

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]
both = pytest.mark.parametrize("version", [4, 6])
OWN = {4: "198.18.0.2", 6: "2001:2::2"}  # what answers in the tunnel's name
SOURCE = {4: "198.18.0.1", 6: "2001:2::1"}
ROUTER = {4: "203.0.113.1", 6: "2001:db8:3::1"}  # the first behind the exit, in its network
NOBODY = {4: "93.184.216.99", 6: "2a0a::99"}
SIZE = 3_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory, authority):
    directory = tmp_path_factory.mktemp("vpn")
    with World(directory) as world:
        root = directory / "www"
        root.mkdir()
        data = bytes(range(251)) * (SIZE // 251 + 1)
        (root / "large").write_bytes(data[:SIZE])
        world.digest = hashlib.sha256(data[:SIZE]).hexdigest()
        world.authority = authority
        world.start("site", "web", sys.executable, "-m", "http.server", "--bind", "::", "--directory", root, "80")
        wait_until(lambda: ":80 " in world.run("site", "ss", "-ltn").stdout, 20, "the site serves")
        world.start_relay()
        world.exit = world.start_exit("--allow", ROUTER[6])  # its IPv4 address is closed, as all of the exit's network
        yield world


@pytest.fixture(scope="module")
def vpn(world):
    inside, local = ["10.9.0.0/24"], ["192.0.2.0/24", "224.0.0.0/4", "ff02::/16"]  # a VPN's network; discovery
    vpn = world.start_vpn(world.exit.link, *(word for prefix in inside + local for word in ("--exclude", prefix)))
    yield vpn
    assert world.stop(vpn) == 0


def status(world):
    answer = world.run("client", CLIENT_PROGRAM, "status", "--json", "--state-dir", world.directory / "vpn-state")
    return json.loads(answer.stdout)["tun"]


def hops(world, version, *options):
    """Who answered at each hop limit."""
    answer = world.run("client", "traceroute", f"-{version}", "-n", "-w", "5", "-q", "1", "-m", "5", *options, SITE[version],
                       seconds=60)
    return [line.split()[1] for line in answer.stdout.splitlines()[1:]]


@both
def test_the_tunnel_is_the_first_hop(world, vpn, version):
    before = status(world)["expired"]
    # TCP and UDP begin anew at the exit, with a hop limit of its own.
    assert hops(world, version, "-T", "-p", "80") == [OWN[version], SITE[version]]
    assert hops(world, version, "-U", "-p", "9999") == [OWN[version], SITE[version]]
    router = {4: OWN[4], 6: ROUTER[6]}[version]  # whose address the policy closes is not named
    assert hops(world, version, "-I") == [OWN[version], router, SITE[version]]
    assert status(world)["expired"] == before + 3


@both
def test_scanners_see_no_hosts_that_do_not_exist(world, vpn, version):
    """nmap takes RST for a host that is there."""
    six = ["-6"] if version == 6 else []
    for kind in ("-sA", "-sF", "-sW"):
        for target in (NOBODY[version], SITE[version]):
            answer = world.run("client", "nmap", *six, kind, "-Pn", "-n", "--max-retries", "1", "-p", "80,81,4444", target,
                               seconds=120)
            assert "filtered" in answer.stdout, (kind, answer.stdout)
            assert "unfiltered" not in answer.stdout and "closed" not in answer.stdout, (kind, answer.stdout)


@both
def test_segments_of_no_connection_are_counted(world, vpn, version):
    layer = IP if version == 4 else IPv6
    before = status(world)
    with namespace.entered(world.name("client")), \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as device:
        device.bind((TUN, 3))
        for port, flags in enumerate(("A", "R", "FA", "SA", "", "FPU", "PA")):
            device.send(raw(layer(src=SOURCE[version], dst=SITE[version]) / TCP(sport=5000 + port, dport=80, flags=flags)))
    wait_until(lambda: status(world)["dropped"]["stray"] >= before["dropped"]["stray"] + 7, 20, "all are counted")
    assert status(world)["malformed"] == before["malformed"]


@both
def test_what_is_older_than_the_tunnel_ends_quickly(tmp_path, version):
    with World(tmp_path) as world:
        world.start_relay()
        exit_peer = world.start_exit()
        with namespace.entered(world.name("site")):
            listener = socket.create_server((SITE[version], 0), family=socket.AF_INET6 if version == 6 else socket.AF_INET)
        with namespace.entered(world.name("client")):
            older = socket.create_connection(listener.getsockname()[:2], 20)
        far, _ = listener.accept()
        with listener, older, far:
            vpn = world.start_vpn(exit_peer.link)
            older.settimeout(30)
            older.sendall(b"is anybody there?")
            with pytest.raises(OSError) as ended:
                older.recv(1)
            assert not isinstance(ended.value, TimeoutError)
            assert world.stop(vpn) == 0


def test_pings_are_counted_to_the_last(world, vpn):
    """More than the exit sends: each is answered, by the host or by the tunnel, and ping's figures are the truth."""
    count = 3000
    before = status(world)
    answer = world.run("client", "ping", "-f", "-q", "-c", str(count), "-W", "10", SITE[4], seconds=120)
    said = re.search(r"(\d+) packets transmitted, (\d+) received(?:, \+(\d+) errors)?", answer.stdout)
    sent, received, errors = (int(part or 0) for part in said.groups())
    after = status(world)
    told = after["dropped"]["ping_limit"] - before["dropped"]["ping_limit"]
    assert after["pings"] - before["pings"] == sent == count
    assert received + errors == sent, answer.stdout
    assert errors == told + after["dropped"]["ping"] - before["dropped"]["ping"]
    assert received == after["pings_answered"] - before["pings_answered"] >= 500
    if told:
        vpn.says("more pings than the exit sends")


def test_pings_without_an_answer_are_bounded_and_forgotten(world, vpn):
    silent = "93.184.216.98"
    world.sh("router", "ip", "route", "add", "blackhole", silent)
    before = status(world)
    began = time.monotonic()

    def unanswered():
        """Sent by the exit, once it has told of those that it did not send."""
        now = status(world)
        return sum(sign * (now[key] - before[key]) for key, sign in (("pings", 1), ("pings_answered", -1))) - \
            sum(now["dropped"][key] - before["dropped"][key] for key in ("ping_limit", "ping"))

    def asked():
        world.run("client", "ping", "-f", "-q", "-l", "200", "-c", "200", "-W", "1", silent)
        return unanswered()

    wait_until(lambda: asked() >= 512, 60, "the exit sends no more")
    asked()
    # After 10 s the first of them are forgotten.
    wait_until(lambda: unanswered() == 512 or time.monotonic() - began > 9, 20, "the exit sends 512")
    wait_until(lambda: world.run("client", "ping", "-c", "1", "-W", "5", SITE[4]).returncode == 0, 60, "it sends again")


def test_local_discovery_where_it_is_excluded(world, vpn):
    """As docs/guide/operating.md says: multicast leaves by the uplink, and who hears it can answer."""
    group = "224.0.0.251"
    with namespace.entered(world.name("router")):
        printer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        index = socket.if_nametoindex("client")
    with namespace.entered(world.name("client")):
        seeker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with printer, seeker:
        printer.bind(("", 5353))
        printer.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + struct.pack("@ii", 0, index))
        for one in (printer, seeker):
            one.settimeout(20)
        seeker.sendto(b"who prints?", (group, 5353))
        question, peer = printer.recvfrom(99)
        assert question == b"who prints?"
        printer.sendto(b"I do", peer)
        assert seeker.recv(99) == b"I do"


OPENVPN = {"udp": ("udp", "udp"), "tcp": ("tcp-server", "tcp-client")}


@contextlib.contextmanager
def openvpn(world, protocol):
    """Its server at the site, its client on the machine with vpn; 10.9.0.1 and 10.9.0.2."""
    ends = {"site": world.authority.issue("server.example"), "client": world.authority.issue("client.example")}
    programs = []
    for (host, certificate), kind in zip(ends.items(), OPENVPN[protocol], strict=True):
        own, other = ("10.9.0.1", "10.9.0.2") if host == "site" else ("10.9.0.2", "10.9.0.1")
        role = ["--tls-server", "--dh", "none", "--local", SITE[4]] if host == "site" else \
            ["--tls-client", "--remote", SITE[4], "--nobind"]
        programs.append(world.start(
            host, f"openvpn-{host}-{protocol}", "openvpn", "--dev", "inner", "--dev-type", "tun", "--proto", kind, "--port",
            "1194", "--ifconfig", own, other, "--ca", world.authority.ca_file, "--cert", certificate.cert, "--key",
            certificate.key, "--data-ciphers", "AES-256-GCM", "--verb", "3", "--ping", "5", *role))
        if host == "site":
            wait_until(lambda: re.search("link local|Listening for", programs[0].stdout()), 20, "openvpn listens")
    try:
        for program in programs:
            wait_until(lambda: "Initialization Sequence Completed" in program.stdout(), 60, "openvpn is up")
        yield
    finally:
        for program in programs:
            world.stop(program)


@pytest.mark.parametrize("protocol", list(OPENVPN))
def test_openvpn_inside(world, vpn, protocol):
    with openvpn(world, protocol):
        pinged = world.run("client", "ping", "-c", "3", "-i", "0.3", "-W", "5", "-s", "1400", "10.9.0.1")
        assert " 0 received" not in pinged.stdout, pinged.stdout
        got = world.run("client", "sh", "-c", "curl -sS -m 60 http://10.9.0.1/large | sha256sum", seconds=70)
        assert got.stdout.split()[0] == world.digest
