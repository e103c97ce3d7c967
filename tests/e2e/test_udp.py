# SPDX-License-Identifier: MIT
"""UDP through SOCKS5 UDP ASSOCIATE: programs from Debian, the mapping that NATs are asked for (RFC 4787), what is
refused, what expires, and that it works again by itself."""
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest
import socks as pysocks
from conftest import SITE, SITE_IPV6
from harness import socks
from harness.process import ReadyProgram, run, wait_until
from harness.tunnel import client_command, start_client
from harness.udp import Association, UdpServer, associate_request, header

NAME = "answer.exit-only.test"


@pytest.fixture(scope="module")
def echo():
    with UdpServer() as server:
        yield server


@pytest.fixture
def association(tunnel):
    with Association(tunnel.proxy) as made:
        yield made


# --- real programs


class UdpForwarder:
    """A local UDP port whose datagrams go to `target` through the proxy by PySocks, an independent implementation."""

    def __init__(self, proxy, target):
        self.target = target
        self.local = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.local.bind(("127.0.0.1", 0))
        self.port = self.local.getsockname()[1]
        self.far = pysocks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.set_proxy(pysocks.SOCKS5, *proxy)
        self.far.bind(("127.0.0.1", 0))
        self.peer = None
        for loop in (self._out, self._back):
            threading.Thread(target=loop, daemon=True).start()

    def _out(self):
        while True:
            payload, self.peer = self.local.recvfrom(70_000)
            if not payload:
                return
            self.far.sendto(payload, self.target)

    def _back(self):
        try:
            while True:
                payload, _ = self.far.recvfrom(70_000)
                self.local.sendto(payload, self.peer)
        except OSError:
            return

    def close(self):
        self.local.sendto(b"", self.local.getsockname())
        self.far.close()


@pytest.fixture(scope="module")
def dnsmasq(workspace):
    """A DNS server from Debian on a port of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    texts = ",".join("x" * 200 for _ in range(5))
    command = [shutil.which("dnsmasq") or "/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
               "--no-resolv", "--no-hosts", f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces",
               "--user=root", "--group=root", "--pid-file=", f"--address=/{NAME}/192.0.2.80",
               f"--txt-record={NAME},{texts}", "--log-facility=-"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while run(["dig", "+short", "+time=1", "+tries=1", "-p", str(port), "@127.0.0.1", NAME]).stdout != "192.0.2.80\n":
        assert time.monotonic() < deadline and server.poll() is None, "dnsmasq does not serve"
    yield port
    server.terminate()
    server.wait(10)


@pytest.mark.parametrize("program", ["dig", "kdig"])
def test_dns_clients_through_pysocks(tunnel, dnsmasq, program):
    forwarder = UdpForwarder(tunnel.proxy, ("127.0.0.1", dnsmasq))
    try:
        plain = run([program, "+short", "+notcp", "-p", str(forwarder.port), "@127.0.0.1", NAME])
        assert plain.stdout == "192.0.2.80\n", plain.stdout + plain.stderr
        large = run([program, "+short", "+bufsize=4096", "+ignore", "-p", str(forwarder.port), "@127.0.0.1", NAME, "TXT"])
        assert large.stdout.count("x") == 1000
    finally:
        forwarder.close()


# --- the mapping (RFC 4787)


def test_two_destinations_see_one_port(association):
    def reflexive(payload, peer):  # as a STUN server answers
        return struct.pack("!H", peer[1])

    with UdpServer(answer=reflexive) as first, UdpServer(answer=reflexive) as second:
        source, mapped = association.ask(*first.address, b"where am I?")
        assert source == first.address
        source, again = association.ask(*second.address, b"where am I?")
        assert source == second.address
        assert mapped == again


def test_a_third_party_may_send_to_the_mapped_port(association, echo):
    association.ask(*echo.address, b"hello")
    mapped = echo.seen[-1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.sendto(b"unasked", mapped)
        assert association.receive() == (stranger.getsockname(), b"unasked")


def test_associations_have_mappings_of_their_own(tunnel, echo):
    with Association(tunnel.proxy) as one, Association(tunnel.proxy) as two:
        one.ask(*echo.address, b"1")
        two.ask(*echo.address, b"2")
        assert echo.seen[-1] != echo.seen[-2]


# --- addresses and sizes


def test_names_are_resolved_by_the_exit(association, echo):
    assert association.ask(SITE, echo.address[1], b"by name") == (echo.address, b"by name")


def test_ipv6(association):
    with UdpServer("::1") as server:
        assert association.ask("::1", server.address[1], b"six") == (server.address, b"six")
        assert association.ask(SITE_IPV6, server.address[1], b"by name") == (server.address, b"by name")


def test_a_proxy_on_ipv6(tunnel, tmp_path, echo, programs):
    command = client_command(tmp_path, tunnel.exit.link(), ca_file=tunnel.authority.ca_file)
    command[command.index("127.0.0.1:0")] = "[::1]:0"
    client = ReadyProgram("six", command, tmp_path)
    programs.append(client)
    with Association(client.address()) as association:
        assert ":" in association.relay[0]
        assert association.ask(*echo.address, b"over six") == (echo.address, b"over six")


# 65,507 bytes are the most that UDP over IPv4 carries, and SOCKS5's header takes 10 of them.
@pytest.mark.parametrize("size", [0, 1, 1472, 9_000, 32_768, 65_497])
def test_sizes(association, echo, size):
    payload = bytes(i * 7 % 256 for i in range(size))
    assert association.ask(*echo.address, payload) == (echo.address, payload)


def test_the_largest_datagram(association):
    """One that only just fits comes back without the bytes that the header needs."""
    with UdpServer(answer=lambda payload, _: struct.pack("!I", len(payload))) as server:
        for size in (65_000, 65_497):
            assert association.ask(*server.address, bytes(size))[1] == struct.pack("!I", size)


# --- what is dropped


def test_fragments_are_dropped(association, echo):
    before = len(echo.seen)
    association.send(*echo.address, b"a piece", fragment=1)
    association.send(*echo.address, b"the last piece", fragment=0x82)
    assert association.is_silent()
    assert len(echo.seen) == before
    assert association.ask(*echo.address, b"whole")[1] == b"whole"


def test_malformed_datagrams_are_dropped(association, echo):
    for junk in (b"", b"\x00", b"\x00\x00\x00", b"\x00\x00\x00\x02abcd", header("127.0.0.1", 0) + b"x",
                 b"\x00\x00\x00\x03\x00\x00\x35", b"\x00\x00\x00\x03\xffshort"):
        association.socket.sendto(junk, association.relay)
    assert association.is_silent()
    assert association.ask(*echo.address, b"fine")[1] == b"fine"


def test_only_the_announced_port_is_heard_once_it_speaks(association, echo):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(10)
        other.sendto(header(*echo.address) + b"before it", association.relay)
        assert other.recv(100).endswith(b"before it")
        assert association.ask(*echo.address, b"its own")[1] == b"its own"
        before = len(echo.seen)
        other.sendto(header(*echo.address) + b"not mine", association.relay)
        assert association.is_silent()
        assert len(echo.seen) == before


@pytest.mark.parametrize("named", ["ipv4", "ipv4 of nobody", "ipv6", "name"])
def test_a_request_that_names_the_destination(tunnel, echo, named):
    """RFC 1928 has the client say where it sends from; many programs say where to."""
    port = struct.pack("!H", echo.address[1])
    asked = {"ipv4": b"\x01\x7f\x00\x00\x01", "ipv4 of nobody": b"\x01\xcb\x00\x71\x09", "ipv6": b"\x04" + bytes(16),
             "name": b"\x03\x0bexample.org"}[named] + port
    with Association(tunnel.proxy, request=b"\x05\x03\x00" + asked) as association:
        assert association.ask(*echo.address, b"ping")[1] == b"ping"


def test_without_an_announced_port_the_first_datagram_decides(tunnel, echo):
    with Association(tunnel.proxy, announce=0) as association, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        assert association.ask(*echo.address, b"first")[1] == b"first"
        other.bind(("127.0.0.1", 0))
        before = len(echo.seen)
        other.sendto(header(*echo.address) + b"second", association.relay)
        assert association.is_silent()
        assert len(echo.seen) == before


def test_another_address_is_not_heard(tunnel, echo):
    before = len(echo.seen)
    with Association(tunnel.proxy, announce=0, bind="127.0.0.3") as association:
        association.send(*echo.address, b"from elsewhere")
        assert association.is_silent()
    assert len(echo.seen) == before


def is_refused(address):
    """Whether nobody has that UDP port any more, by the word of ICMP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.05)
        probe.connect(address)
        probe.send(b"")
        try:
            probe.recv(1)
        except (ConnectionRefusedError, TimeoutError) as why:
            return isinstance(why, ConnectionRefusedError)
    return False


def test_an_association_ends_with_its_connection(tunnel, echo):
    association = Association(tunnel.proxy)
    try:
        association.ask(*echo.address, b"alive")
        association.control.close()
        wait_until(lambda: is_refused(association.relay), 5, "the socket is closed")
        before = len(echo.seen)
        association.send(*echo.address, b"too late")
        assert association.is_silent()
        assert len(echo.seen) == before
    finally:
        association.close()


# --- policy


@pytest.mark.parametrize("host", ["127.0.0.2", "closed.exit-only.test"])
def test_a_closed_target_gets_nothing_and_the_log_names_the_rule(tunnel, dns, association, host):
    dns.names["closed.exit-only.test"] = ["127.0.0.2"]
    with UdpServer("127.0.0.2") as closed:
        already = tunnel.exit.stderr().count("datagram: loopback")
        association.send(host, closed.address[1], b"knock knock")
        assert association.is_silent()
        assert closed.seen == []
    tunnel.exit.says("datagram: loopback", times=already + 1)
    assert "127.0.0.2" not in tunnel.exit.stderr()


def test_who_may_not_be_asked_may_not_answer(association, echo):
    association.ask(*echo.address, b"hello")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        stranger.sendto(b"from a closed address", echo.seen[-1])
    assert association.is_silent()


def test_a_closed_port_does_not_disturb_the_flow(association, echo):
    """Its ICMP errors belong to other datagrams than the ones that follow."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = probe.getsockname()
    for i in range(20):
        association.send(*nobody, b"anybody?")
        assert association.ask(*echo.address, b"%d" % i) == (echo.address, b"%d" % i)


def test_an_exit_without_udp_says_so(new_tunnel):
    tunnel = new_tunnel(exit_options=["--max-flows", "0"])
    with pytest.raises(socks.SocksError) as refused:
        Association(tunnel.proxy)
    assert refused.value.code == 7


def test_password_is_asked_for(tunnel, tmp_path, programs):
    client = start_client(tmp_path, tunnel.exit.link(), "--user", "u:p", ca_file=tunnel.authority.ca_file, name="user")
    programs.append(client)
    with socket.create_connection(client.proxy, 10) as sock:
        sock.sendall(b"\x05\x01\x00" + associate_request())
        assert sock.recv(2) == b"\x05\xff"
    far = pysocks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
    far.set_proxy(pysocks.SOCKS5, *client.proxy, username="u", password="p")
    far.settimeout(10)
    with UdpServer() as server:
        far.sendto(b"with a password", server.address)
        assert far.recvfrom(100)[0] == b"with a password"
    far.close()


# --- time


def test_an_idle_flow_gets_a_new_mapping_and_goes_on(new_tunnel, echo):
    tunnel = new_tunnel(exit_options=["--flow-timeout", "2s"])
    with Association(tunnel.proxy) as association:
        for _ in range(6):  # in use, so it stays
            association.ask(*echo.address, b"again")
            time.sleep(0.5)
        assert len(set(echo.seen[-6:])) == 1
        mapped = echo.seen[-1]
        deadline = time.monotonic() + 3.5
        while time.monotonic() < deadline:  # what comes in does not keep it
            echo.socket.sendto(b"news", mapped)
            time.sleep(0.2)
        association.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            while True:
                association.receive()
        association.socket.settimeout(10)
        assert association.ask_until_answered(*echo.address, b"hello again")[1] == b"hello again"
        assert echo.seen[-1] != mapped


def test_a_relay_that_was_killed_and_an_exit_that_was_restarted(new_chain, echo):
    chain = new_chain()
    with Association(chain.proxy) as association:
        association.ask(*echo.address, b"before")
        mapped = echo.seen[-1]
        chain.relay.kill()
        association.send(*echo.address, b"lost")
        chain.relay.start()
        assert association.ask_until_answered(*echo.address, b"after")[1] == b"after"
        assert echo.seen[-1] == mapped, "the exit kept the flow with its session"
        chain.exit.kill()
        chain.start_exit("exit2", state=chain.exit.state)
        assert association.ask_until_answered(*echo.address, b"and again")[1] == b"and again"


# --- a stream of datagrams


@pytest.mark.load
def test_20_megabits_a_second(association):
    """20 Mbit/s in datagrams of 1,200 bytes for four seconds, echoed: under 1 % lost on a path that is idle otherwise,
    none twice, and hardly any out of order."""
    size, seconds = 1_200, 4
    count = 20_000_000 // 8 // size * seconds
    got = []
    with UdpServer() as server:
        def collect():
            association.socket.settimeout(1)
            try:
                while len(got) < count:
                    got.append(struct.unpack_from("!I", association.receive()[1])[0])
            except TimeoutError:
                pass

        association.ask(*server.address, b"warm")
        reader = threading.Thread(target=collect)
        reader.start()
        start = time.monotonic()
        for number in range(count):
            association.send(*server.address, struct.pack("!I", number) + bytes(size - 4))
            ahead = start + (number + 1) * seconds / count - time.monotonic()
            if ahead > 0.002:
                time.sleep(ahead)
        reader.join()
    lost = count - len(set(got))
    reordered = sum(1 for before, after in zip(got, got[1:]) if after < before)
    print(f"{count} datagrams, {lost} lost, {reordered} out of order, {len(got) - len(set(got))} twice")
    assert len(got) == len(set(got))
    assert lost < count / 100
    assert reordered <= count / 1000
