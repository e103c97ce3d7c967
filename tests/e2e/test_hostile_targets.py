# SPDX-License-Identifier: MIT
"""What a user of an exit must not reach by default, through every door: each target is refused, by the rule that the
exit's log then names, and each is let through by an exit that allows it, so that the test can fail.

All of it runs in a network namespace without a way out: what is let through reaches nobody.
"""
import contextlib
import ipaddress
import socket
import tempfile

import pytest
from harness import namespace, socks
from harness.dns import DnsServer
from harness.process import SAY_SECONDS, wait_until
from harness.tunnel import start_client, start_exit, start_relay
from harness.udp import Association, UdpServer

pytestmark = pytest.mark.skipif(not namespace.possible(), reason="takes root, for a network namespace")

PORT = 9  # closed, wherever it is
UDP_WITHIN_SECONDS = 3
OWN, OWN_IPV6, NEIGHBOUR = "93.184.216.34", "2a00:1450:4001::22", "93.184.216.50"
SETTING = (f"addr add {OWN}/24 dev lo", f"addr add {OWN_IPV6}/64 dev lo nodad")
PUBLIC = "9.9.9.9"  # without a route here

NAMES = {
    "loopback.test": ["127.0.0.1"], "loopback6.test": ["::1"], "private.test": ["192.168.1.1"], "meta.test": ["169.254.169.254"],
    "mapped.test": ["::ffff:127.0.0.1"], "nat64.test": ["64:ff9b::7f00:1"], "both.test": ["10.1.2.3", "fd00::1"],
    "several.test": ["10.1.2.3", "127.0.0.1", "::1"], "own.test": [OWN], "own6.test": [OWN_IPV6], "zero.test": ["0.0.0.0"],
    "１２７.０.０.１": ["127.0.0.1"], "127。0。0。1": ["127.0.0.1"], "xn--80ak6aa92e.test": ["127.0.0.1"],
    "127.0.0.1.nip.test": ["127.0.0.1"], "a" * 63 + ".test": ["127.0.0.1"], "_srv.test": ["127.0.0.1"],
}
ALIASES = {"alias.test": "alias2.test", "alias2.test": "alias3.test", "alias3.test": "loopback.test",
           "metadata.google.internal": "meta.test"}

LOOPBACK, LOOPBACK6 = "loopback, 127.0.0.0/8", "loopback, ::1"
PRIVATE, LOCAL = "private use, ", "link-local, "
METADATA = "cloud metadata, "
OWN_NETWORK = "this exit's own network on lo"

# (target, the rule that refuses it). Names are for the exit's resolver or for its parser; what is no address to
# Python goes through the doors as a name.
TARGETS = [
    ("127.0.0.1", LOOPBACK), ("127.0.0.2", LOOPBACK), ("127.255.255.254", LOOPBACK), ("127.255.255.255", LOOPBACK),
    ("127.1", LOOPBACK), ("127.0.1", LOOPBACK), ("0x7f.1", LOOPBACK), ("0x7f000001", LOOPBACK), ("2130706433", LOOPBACK),
    ("0177.0.0.1", LOOPBACK), ("017700000001", LOOPBACK), ("0x7F.0.0.0x1", LOOPBACK), ("127.0.0.1.", LOOPBACK),
    ("0", "this network"), ("0.0.0.0", "this network"), ("0.1.2.3", "this network"), ("0x0", "this network"),
    ("::1", LOOPBACK6), ("::", "unspecified, ::"), ("::ffff:127.0.0.1", LOOPBACK), ("::ffff:7f00:1", LOOPBACK),
    ("::ffff:169.254.169.254", METADATA), ("::ffff:10.0.0.1", PRIVATE), ("::ffff:0:127.0.0.1", "IPv4-translated"),
    ("::127.0.0.1", "IPv4-compatible"), ("64:ff9b::127.0.0.1", LOOPBACK), ("64:ff9b::a9fe:a9fe", METADATA),
    ("64:ff9b::10.0.0.1", PRIVATE), ("64:ff9b:1::127.0.0.1", "local NAT64"), ("2002:7f00:1::", "6to4"),
    ("2002:a9fe:a9fe::1", "6to4"), ("2001:0:7f00:1::1", "Teredo"), ("169.254.169.254", METADATA), ("0xa9fea9fe", METADATA),
    ("2852039166", METADATA), ("169.254.1.1", LOCAL), ("169.254.170.2", LOCAL), ("168.63.129.16", METADATA),
    ("100.100.100.200", "carrier-grade NAT"), ("192.0.0.192", "IETF protocol"), ("fd00:ec2::254", METADATA),
    ("fd20:ce::254", "unique local"), ("10.0.0.1", PRIVATE), ("10.1", PRIVATE), ("167772161", PRIVATE), ("172.16.0.1", PRIVATE),
    ("172.31.255.255", PRIVATE), ("192.168.0.1", PRIVATE), ("192.168.1", PRIVATE), ("192.0.2.1", "documentation"),
    ("192.88.99.1", "6to4 relay"), ("192.31.196.1", "AS112"), ("192.52.193.1", "AMT"), ("192.175.48.1", "AS112"),
    ("198.18.0.1", "benchmarking"), ("198.51.100.1", "documentation"), ("203.0.113.1", "documentation"),
    ("224.0.0.1", "multicast"), ("239.255.255.250", "multicast"), ("240.0.0.1", "reserved"), ("255.255.255.255", "broadcast"),
    ("4294967295", "broadcast"), ("fe80::1", LOCAL), ("fec0::1", "site-local"), ("fc00::1", "unique local"),
    ("fd12:3456::1", "unique local"), ("ff02::1", "multicast"), ("ff05::2", "multicast"), ("100::1", "discard"),
    ("100:0:0:1::1", "dummy"), ("2001:2::1", "benchmarking"), ("2001:10::1", "ORCHID"), ("2001:20::1", "ORCHIDv2"),
    ("2001:30::1", "drone"), ("2001:db8::1", "documentation"), ("2620:4f:8000::1", "AS112"), ("3fff::1", "documentation"),
    ("5f00::1", "segment routing"), ("4000::1", "outside 2000::/3"),
    (OWN, OWN_NETWORK), (OWN_IPV6, OWN_NETWORK), (NEIGHBOUR, OWN_NETWORK), (f"::ffff:{OWN}", OWN_NETWORK),
    ("localhost", "loopback"), ("localhost.", "loopback"), ("LOCALHOST", "loopback"),
    ("loopback.test", LOOPBACK), ("LoopBack.Test.", LOOPBACK), ("loopback6.test", LOOPBACK6), ("private.test", PRIVATE),
    ("meta.test", METADATA), ("metadata.google.internal", METADATA), ("mapped.test", LOOPBACK), ("nat64.test", LOOPBACK),
    ("both.test", "unique local"), ("several.test", "loopback"), ("own.test", OWN_NETWORK), ("own6.test", OWN_NETWORK),
    ("zero.test", "this network"), ("alias.test", LOOPBACK), ("xn--80ak6aa92e.test", LOOPBACK),
    ("127.0.0.1.nip.test", LOOPBACK), ("a" * 63 + ".test", LOOPBACK), ("_srv.test", LOOPBACK),
    ("１２７.０.０.１", LOOPBACK), ("127。0。0。1", LOOPBACK),
]
# What only SOCKS5 can carry: to the HTTP proxy it is no host at all.
SOCKS_ONLY = [
    ("[::ffff:127.0.0.1]", LOOPBACK), ("[::1]", LOOPBACK6), ("[127.0.0.1]", LOOPBACK), ("fe80::1%lo", LOCAL),
    ("fe80::1%25eth0", LOCAL), ("[fe80::1%lo]", LOCAL), ("::1%lo", LOOPBACK6),
]


def _authority(host):
    try:
        return f"[{host}]:{PORT}" if ipaddress.ip_address(host).version == 6 else f"{host}:{PORT}"
    except ValueError:
        return f"{host}:{PORT}"


def _socks_target(host):
    name = host.encode()
    if "%" in host or host.startswith("["):  # an address to Python, but a name to SOCKS5
        return b"\x03" + bytes([len(name)]) + name + PORT.to_bytes(2, "big")
    return socks.request(host, PORT)[3:]


class Socks5:
    """Says how a door answered: "refused" by rule, "invalid" before the exit was asked, "failed" later, "connected"."""

    said = "stream: "

    def knock(self, exit_peer, host):
        with socks.greet(exit_peer.client.proxy) as sock:
            sock.sendall(b"\x05\x01\x00" + _socks_target(host))
            code = socks.read_reply(sock)
        return {0: "connected", socks.NOT_ALLOWED: "refused"}.get(code, "failed")


class Http:
    said = "stream: "

    def __init__(self, request):
        self._request = request

    def knock(self, exit_peer, host):
        authority = _authority(host)
        with socket.create_connection(exit_peer.client.proxy, 30) as sock:
            sock.sendall(self._request.format(authority).encode() + f" HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            status = int(sock.recv(4096).split()[1])
        return {200: "connected", 403: "refused", 400: "invalid"}.get(status, "failed")


class Udp:
    """A datagram is refused without an answer: the exit's log says it, or a later datagram has come back meanwhile."""

    said = "datagram: "

    def knock(self, exit_peer, host):
        asked = len(exit_peer.dns.asked)
        with Association(exit_peer.client.proxy) as association:
            association.socket.sendto(b"\0\0\0" + _socks_target(host) + b"?", association.relay)
            if exit_peer.echo is None:
                with contextlib.suppress(AssertionError):
                    wait_until(lambda: self.said in exit_peer.log(), UDP_WITHIN_SECONDS, "a refusal")
                    return "refused"
                return "failed"
            for _ in range(2):
                association.ask(*exit_peer.echo.address, b"later")
                if host in exit_peer.dns.names:
                    wait_until(lambda: len(exit_peer.dns.asked) > asked + 1, UDP_WITHIN_SECONDS, "a query for each family")
        return "failed"


class Forward:
    """-L: a unix socket here for each target, which was given when the client began. Its log has the answer's words."""

    said = "stream: "

    def knock(self, exit_peer, host):
        of_this = f"forward on {exit_peer.forwards[host]} failed"
        before = exit_peer.client.stderr().count(of_this)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(str(exit_peer.forwards[host]))
            with contextlib.suppress(ConnectionResetError):
                if sock.recv(1):
                    return "connected"
        exit_peer.client.says(of_this, times=before + 1)
        words = [line for line in exit_peer.client.stderr().splitlines() if of_this in line][-1]
        return "refused" if "not allowed by the exit's policy" in words else "failed"


# What a new door takes: an entry here.
DOORS = {"socks5": Socks5(), "connect": Http("CONNECT {}"), "absolute": Http("GET http://{}/"), "udp": Udp(),
         "forward": Forward()}
SOCKS_DOORS, HTTP_DOORS = ("socks5", "udp"), ("connect", "absolute")


class Exit:
    """An exit with a client of its own, and what its log says from one moment on."""

    def __init__(self, directory, relay, dns, name, allowed, echo=None):
        self.dns, self.echo = dns, echo
        self.program = start_exit(directory, relay.url, resolver=dns.address, name=name, allowed=allowed)
        # Short paths: 107 bytes are the most.
        self._sockets = tempfile.TemporaryDirectory(prefix="zks-", dir="/tmp")
        hosts = [host for host, _ in TARGETS] + ["rebind-forward.test", "rebind-open-forward.test"]
        self.forwards = {host: f"{self._sockets.name}/{number}" for number, host in enumerate(hosts)}
        options = [part for host, path in self.forwards.items() for part in ("-L", f"{path}:{_authority(host)}")]
        self.client = start_client(directory, self.program.link(), *options, name=f"{name}-client")

    def knock(self, door, host):
        """(how it was answered, what the exit's log says about it)"""
        self._before = self.program.stderr_path.stat().st_size
        return DOORS[door].knock(self, host), self.log()

    def log(self):
        """What it said since the last knock."""
        with open(self.program.stderr_path, encoding="utf-8") as log:
            log.seek(self._before)
            return log.read()

    def stop(self):
        self.client.stop()
        self.program.stop()
        self._sockets.cleanup()


@pytest.fixture(scope="module")
def exits(workspace):
    """One that is closed as it is by default, and one that allows every address."""
    with namespace.inside(SETTING):
        dns = DnsServer(dict(NAMES), dict(ALIASES))
        relay = start_relay(workspace)
        closed = Exit(workspace, relay, dns, "closed", allowed=())
        echo = UdpServer()
        opened = Exit(workspace, relay, dns, "open", allowed=("0.0.0.0/0", "::/0"), echo=echo)
        yield closed, opened, dns
        echo.close()
        closed.stop()
        opened.stop()
        relay.stop()
        dns.close()


def assert_refused(exit_peer, door, host, rule):
    answer, log = exit_peer.knock(door, host)
    assert answer == "refused", (host, log)
    said = DOORS[door].said
    with contextlib.suppress(AssertionError):  # what it says instead is shown below
        wait_until(lambda: said in exit_peer.log() and rule in exit_peer.log(), SAY_SECONDS, "the rule is told")
    log = exit_peer.log()
    assert said in log and rule in log, (host, log)
    assert log.count("\n") == 1 or door == "udp", "one line; a datagram has one for each address of its name"
    assert ".test" not in log and str(PORT) not in log.split(said)[1].split(), "the destination is not logged"


def test_the_list_is_long_enough():
    assert len({host for host, _ in TARGETS + SOCKS_ONLY}) >= 60


@pytest.mark.parametrize("door", DOORS)
def test_hostile_targets_are_refused_by_rule(exits, door):
    closed, _, _ = exits
    for host, rule in TARGETS + (SOCKS_ONLY if door in SOCKS_DOORS else []):
        assert_refused(closed, door, host, rule)


@pytest.mark.parametrize("door", DOORS)
def test_each_is_let_through_where_it_is_allowed(exits, door):
    _, opened, _ = exits
    for host, rule in TARGETS + (SOCKS_ONLY if door in SOCKS_DOORS else []):
        answer, log = opened.knock(door, host)
        assert answer == "failed", (host, log)  # nobody is there
        assert rule not in log, (host, log)


@pytest.mark.parametrize("door", HTTP_DOORS)
def test_what_is_no_host_in_http_does_not_get_to_the_exit(exits, door):
    closed, _, dns = exits
    for host in ("fe80::1%lo", "loop back.test", "127.0.0.1\\.test", *(["user@127.0.0.1"] if door == "connect" else [])):
        asked = len(dns.asked)
        answer, log = closed.knock(door, host)
        assert answer == "invalid" and log == "" and len(dns.asked) == asked, host


@pytest.mark.parametrize("door", DOORS)
def test_a_name_that_turns_to_loopback_on_the_second_query(exits, door):
    """DNS rebinding: public when it is asked for first, loopback from then on."""
    closed, opened, dns = exits
    for exit_peer, name in ((closed, f"rebind-{door}.test"), (opened, f"rebind-open-{door}.test")):
        dns.turns[name] = [[PUBLIC], ["127.0.0.1"]]
        answer, log = exit_peer.knock(door, name)
        assert answer == "failed" and "loopback" not in log, "there is no route to the public address"
        if exit_peer is closed:
            for _ in range(2):
                assert_refused(exit_peer, door, name, LOOPBACK)
        else:
            assert exit_peer.knock(door, name)[0] == "failed"


def test_mixed_answers_reach_only_what_is_public(exits):
    """One address of the name is public: that one is tried, the loopback one is not."""
    closed, _, dns = exits
    dns.names["mixed.test"] = ["127.0.0.1", PUBLIC, "::1"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.3)
        for _ in range(3):
            with socks.greet(closed.client.proxy) as sock:
                sock.sendall(socks.request("mixed.test", listener.getsockname()[1]))
                assert socks.read_reply(sock) == socks.NETWORK_UNREACHABLE
        with pytest.raises(socket.timeout):
            listener.accept()


def test_mail_ports_are_closed(exits):
    closed, opened, _ = exits
    for port in (25, 465):
        before = closed.program.stderr_path.stat().st_size
        for host in (PUBLIC, "2a00:1450:9::1"):
            with pytest.raises(socks.SocksError) as refused:
                socks.connect(closed.client.proxy, host, port)
            assert refused.value.code == socks.NOT_ALLOWED
            with pytest.raises(socks.SocksError) as unreachable:
                socks.connect(opened.client.proxy, host, port)
            assert unreachable.value.code == socks.NETWORK_UNREACHABLE
        wait_until(lambda: closed.program.stderr_path.read_text()[before:].count(f"mail port {port}") == 2, SAY_SECONDS,
                   "both are told")
