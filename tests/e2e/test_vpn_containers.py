# SPDX-License-Identifier: MIT
"""Networks behind a machine with vpn: containers on a bridge, as docker makes them, and a host behind one of them whose
link is narrower than everything else. They reach the internet through the tunnel and nothing of theirs leaves by the
uplink; among themselves and with their machine they talk as before."""
import contextlib
import hashlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import namespace
from harness.process import CLIENT_PROGRAM, wait_until
from harness.world import RELAY, SITE, TUN, World
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import raw

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]
both = pytest.mark.parametrize("version", [4, 6])
NAME = "www.site.example"
BRIDGE = {4: "172.17.0.1", 6: "fd17::1"}
EXCLUDED = ("172.17.0.0/16", "fd17::/64", "10.77.0.0/24", "fd77::/64")
NARROW = 1300
SIZE = 3_000_000
# What keeps a link alive: test_vpn_leaks.py.
LINK = "arp or (icmp6 and (ip6[40] >= 133 and ip6[40] <= 136)) or (ip6 and ip6[6] = 0) or icmp6[0] = 143"

MASQUERADE = """
table inet masquerade {
  chain postrouting {
    type nat hook postrouting priority srcnat
    ip saddr { 172.17.0.0/16, 10.77.0.0/24 } oifname != { "bridge", "lo" } masquerade
    ip6 saddr { fd17::/64, fd77::/64 } oifname != { "bridge", "lo" } masquerade
  }
}
"""
SERVER = """
import http.server, socket, sys, threading
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        import hashlib
        left, seen = int(self.headers['Content-Length']), hashlib.sha256()
        while left:
            data = self.rfile.read(min(left, 65536))
            seen.update(data)
            left -= len(data)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(seen.hexdigest().encode())
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
def echo():
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(('::', 7001))
    while True:
        data, peer = udp.recvfrom(65535)
        udp.sendto(data, peer)
threading.Thread(target=echo, daemon=True).start()
import os
os.chdir(sys.argv[1])
Server(('::', 80), Handler).serve_forever()
"""
# A datagram there and back. The first may be lost: whoever sends the answer learns the path's MTU by it.
ASK = """
import os, socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
data = os.urandom(int(sys.argv[2]))
for i in range(10):
    s.sendto(data, (sys.argv[1], 7001))
    try:
        assert s.recv(65535) == data
        print(i)
        break
    except TimeoutError:
        pass
"""


def url(version, path):
    return f"http://{SITE[4]}/{path}" if version == 4 else f"http://[{SITE[6]}]/{path}"


class Network:
    """Two containers on a bridge, `one` and `two`, and `far` behind `two`."""

    def __init__(self, world, stack, mtu=1500):
        self.world = world
        self.names = {host: stack.enter_context(namespace.made()) for host in ("one", "two", "far")}
        client = world.name("client")
        for setting in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            world.sysctl("client", setting, 1)
        ip(client, f"link add bridge mtu {mtu} type bridge", "link set bridge up",
           f"address add {BRIDGE[4]}/16 dev bridge", f"address add {BRIDGE[6]}/64 dev bridge nodad")
        stack.callback(lambda: ip(client, "link delete bridge"))
        for number, host in ((2, "one"), (3, "two")):
            stack.callback(ip, client, f"link delete {host}")  # before its namespace, which would do it some time later
            ip(client, f"link add {host} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {self.names[host]}",
               f"link set {host} master bridge", f"link set {host} up")
            ip(self.names[host], "link set eth0 up", f"address add 172.17.0.{number}/16 dev eth0",
               f"address add fd17::{number}/64 dev eth0 nodad", f"route add default via {BRIDGE[4]}",
               f"-6 route add default via {BRIDGE[6]}")
        self.sysctl("two", "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
        ip(self.names["two"], f"link add far mtu {NARROW} type veth peer name eth0 mtu {NARROW} netns {self.names['far']}",
           "address add 10.77.0.1/24 dev far", "address add fd77::1/64 dev far nodad", "link set far up")
        # Its TCP says that it takes segments for 1,500 bytes, as it would where the narrow link is further away.
        ip(self.names["far"], "address add 10.77.0.2/24 dev eth0", "address add fd77::2/64 dev eth0 nodad",
           "link set eth0 up", "route add default via 10.77.0.1 advmss 1460",
           "-6 route add default via fd77::1 advmss 1440")
        ip(client, "route add 10.77.0.0/24 via 172.17.0.3", "-6 route add fd77::/64 via fd17::3")

    def sysctl(self, host, *names):
        for name in names:
            self.run(host, "sh", "-c", f"echo 1 > /proc/sys/{name}")

    def run(self, host, *argv, seconds=60, **options):
        with namespace.entered(self.names[host]):
            return subprocess.run([str(part) for part in argv], capture_output=True, text=True, timeout=seconds, **options)


def ip(name, *commands):
    for command in commands:
        subprocess.run(["ip", "-n", name, *command.split()], check=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vpn")
    with World(directory) as world:
        root = directory / "www"
        root.mkdir()
        data = bytes(range(251)) * (SIZE // 251 + 1)
        (root / "large").write_bytes(data[:SIZE])
        world.digest = hashlib.sha256(data[:SIZE]).hexdigest()
        world.start("site", "web", sys.executable, "-c", SERVER, root)
        world.start("site", "dnsmasq", "dnsmasq", "-k", "-p", "53", "--no-resolv", "--no-hosts", "--pid-file=",
                    "--user=root", f"--address=/{NAME}/{SITE[4]}")
        wait_until(lambda: ":80 " in world.run("site", "ss", "-ltn").stdout, 20, "the site serves")
        world.start_relay()
        world.exit = world.start_exit("--resolver", f"{SITE[4]}:53")
        yield world


@contextlib.contextmanager
def running(world, masquerade, mtu, *options):
    with contextlib.ExitStack() as stack:
        network = Network(world, stack, mtu)
        if masquerade:
            world.run("client", "nft", "-f", "-", input=MASQUERADE)
            stack.callback(lambda: world.run("client", "nft", "delete", "table", "inet", "masquerade"))
        excludes = [word for prefix in EXCLUDED for word in ("--exclude", prefix)]
        network.start = lambda: world.start_vpn(world.exit.link, *excludes, *options)
        network.vpn = network.start()
        try:
            yield network
        finally:
            assert world.stop(network.vpn) == 0


@pytest.fixture(scope="module", params=[(True, 1500), (False, 1500), (True, 9000), (True, 1500, "--mtu", "65535", "--no-offloads")],
                ids=["masquerade", "routed", "wide", "jumbo"])
def network(world, request):
    """`wide`: this machine's kernel says "too big" to the container, whose link takes more than the tunnel's; `jumbo`: it
    says so to the tunnel."""
    with running(world, *request.param) as network:
        yield network


def status(world):
    answer = world.run("client", CLIENT_PROGRAM, "status", "--json", "--state-dir", world.directory / "vpn-state")
    return json.loads(answer.stdout)["tun"]


def download(network, host, version):
    return network.run(host, "sh", "-c", f"curl -sS -m 50 '{url(version, 'large')}' | sha256sum").stdout.split()[0]


@contextlib.contextmanager
def nothing_but_the_tunnel_leaves(world):
    path = world.directory / "uplink.pcap"
    capture = world.start("router", "tcpdump", "tcpdump", "-i", "client", "-U", "-w", path, "-n", "--immediate-mode", "-Z",
                          "root", "inbound and not (" + LINK + ")")
    wait_until(lambda: "listening on" in capture.stderr(), 20, "tcpdump listens")
    yield
    world.stop(capture)
    packets = world.run("router", "tcpdump", "-n", "-r", path).stdout.splitlines()
    assert any(f" > {RELAY[4]}.8443:" in line for line in packets), "the capture saw the tunnel"
    assert [line for line in packets if f" > {RELAY[4]}.8443:" not in line] == []


@both
def test_a_container_reaches_the_internet_by_the_tunnel_alone(world, network, version):
    with nothing_but_the_tunnel_leaves(world):
        assert download(network, "one", version) == world.digest
        sent = network.run("one", "sh", "-c", f"head -c {SIZE} /dev/zero | curl -sS -m 50 --data-binary @- -H Expect: "
                           f"'{url(version, 'x')}'")
        assert sent.stdout == hashlib.sha256(bytes(SIZE)).hexdigest(), sent.stderr
        assert network.run("one", sys.executable, "-c", ASK, SITE[version], "1200").stdout != ""
        assert network.run("one", sys.executable, "-c", ASK, SITE[version], "9000").stdout != ""  # fragments
        server = {4: "198.18.0.2", 6: "2001:2::2"}[version]
        named = network.run("one", "dig", "+short", "+time=5", "+tries=2", f"@{server}", NAME)
        assert named.stdout.split() == [SITE[4]], named.stdout
        pinged = network.run("one", "ping", "-c", "3", "-i", "0.2", "-W", "5", SITE[version])
        assert " 0% packet loss" in pinged.stdout, pinged.stdout
        dial = "import socket,sys; socket.create_connection((sys.argv[1], 81), 20)"
        assert "ConnectionRefusedError" in network.run("one", sys.executable, "-c", dial, SITE[version]).stderr


@both
def test_containers_and_their_machine_talk_as_before(world, network, version):
    one, two = {4: ("172.17.0.2", "172.17.0.3"), 6: ("fd17::2", "fd17::3")}[version]
    for host, target in (("one", two), ("two", one), ("one", BRIDGE[version]), ("far", one), ("far", BRIDGE[version])):
        pinged = network.run(host, "ping", "-c", "1", "-W", "5", target)
        assert pinged.returncode == 0, (host, target, pinged.stdout)
    for target in (one, two, {4: "10.77.0.2", 6: "fd77::2"}[version]):
        pinged = world.run("client", "ping", "-c", "1", "-W", "5", target)
        assert pinged.returncode == 0, (target, pinged.stdout)


@both
def test_a_path_that_is_narrower_than_the_link(world, network, version):
    """A router behind this machine says "too big" to the server, whose place the tunnel has here."""
    before = status(world)["icmp_errors"]
    assert download(network, "far", version) == world.digest
    assert status(world)["icmp_errors"] > before
    assert network.run("far", sys.executable, "-c", ASK, SITE[version], "1400").stdout != ""
    pinged = network.run("far", "ping", "-c", "9", "-i", "0.3", "-W", "5", "-s", "1400", SITE[version])
    assert " 0 received" not in pinged.stdout, pinged.stdout


@both
def test_a_containers_connection_ends_after_a_crash_of_the_tunnel_that_had_it(world, network, version):
    """Its kernel is another one, where nobody ends it. The next tunnel does, once it sends something twice."""
    with namespace.entered(world.name("site")):
        listener = socket.create_server((SITE[version], 0), family=socket.AF_INET6 if version == 6 else socket.AF_INET)
    with namespace.entered(network.names["one"]):
        older = socket.create_connection(listener.getsockname()[:2], 20)
    with listener, older:
        listener.settimeout(20)
        far, _ = listener.accept()
        with far:
            far.sendall(b"x")
            older.settimeout(60)
            assert older.recv(1) == b"x"
            worker = world.run("client", "pgrep", "-P", network.vpn.pid).stdout.split()
            network.vpn.kill()
            wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in worker), 15, "the worker ends as well")
            world.programs.remove(network.vpn)
            network.vpn = network.start()
            older.sendall(b"is anybody there?")
            with pytest.raises(ConnectionError):
                older.recv(1)


def test_an_error_about_nothing_is_dropped_and_counted(world, network):
    """Who knows no connection can't make anybody believe that its path is narrow."""
    about = IP(src=SITE[4], dst="198.18.0.1", flags="DF", len=1500) / UDP(sport=7001, dport=9)
    forged = raw(IP(src="172.17.0.2", dst=SITE[4]) / ICMP(type=3, code=4, nexthopmtu=600) / about)
    before = status(world)["dropped"]["icmp_error"]
    with namespace.entered(world.name("client")), \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as device:
        device.bind((TUN, 3))
        for _ in range(5):
            device.send(forged)
    wait_until(lambda: status(world)["dropped"]["icmp_error"] >= before + 5, 20, "all are counted")
