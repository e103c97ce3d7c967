# SPDX-License-Identifier: MIT
"""vpn with a relay that has a name and a certificate: ssh, transfers, how connections end, thousands at once; beside
other front doors; and with an exit that has no IPv6."""
import json
import os
import socket
import struct
import sys

import pytest
from harness import namespace
from harness.process import CLIENT_PROGRAM, wait_until
from harness.ssh import SshServer
from harness.transfer import MIB, sha256_of, write_random
from harness.world import RELAY, RELAY_NAME, SITE, TUN, World

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]
SIZE = (1024 if os.environ.get("ZKS_FULL") else 64) * MIB
SECONDS = 300


def serve_names(world, relay=RELAY[4], *options):
    return world.start("router", "dnsmasq", "dnsmasq", "-k", "-p", "53", "--no-resolv", "--no-hosts", "--pid-file=",
                       "--user=root", f"--address=/{RELAY_NAME}/{relay}", *options)


def wait_for_names(world):
    wait_until(lambda: RELAY[4] in world.run("exit", "dig", "+short", "+time=1", "+tries=1", RELAY_NAME).stdout, 20, "DNS")


@pytest.fixture(scope="module")
def world(tmp_path_factory, authority):
    directory = tmp_path_factory.mktemp("vpn")
    with World(directory) as world:
        serve_names(world)
        wait_for_names(world)
        world.start_relay(certificate=authority.issue(RELAY_NAME))
        world.exit = world.start_exit("--max-flows", "4096", relay_host=RELAY_NAME, ca_file=authority.ca_file)
        root = directory / "www"
        root.mkdir()
        world.digest = write_random(root / "large", SIZE)
        world.start("site", "web", sys.executable, "-m", "http.server", "--bind", "::", "--directory", root, "80")
        wait_until(lambda: world.run("exit", "curl", "-sI", f"http://{SITE[4]}/").returncode == 0, 20, "the site answers")
        world.vpn = world.start_vpn(world.exit.link, "--relay-ca", authority.ca_file)
        yield world
        assert world.stop(world.vpn) == 0


def test_the_relay_is_looked_up_outside(world):
    """The client's own name service is in the tunnel by then; a new lane needs the name again."""
    answer = world.run("client", "dig", "+short", "+time=5", "+tries=1", RELAY_NAME)
    assert answer.stdout.split() == [RELAY[4]]
    status = json.loads(world.run("client", CLIENT_PROGRAM, "status", "--json", "--state-dir",
                                  world.directory / "vpn-state").stdout)
    assert RELAY_NAME in json.dumps(status)


def test_a_transfer_arrives_whole(world):
    target = world.directory / "down"
    got = world.run("client", "curl", "-sS", "-m", str(SECONDS), "-o", target, f"http://{SITE[4]}/large", seconds=SECONDS)
    assert got.returncode == 0, got.stderr
    assert sha256_of(target) == world.digest


def test_ssh_and_an_upload(world):
    with namespace.entered(world.name("site")):
        server = SshServer(world.directory, SITE[4])
    try:
        with open(world.directory / "www" / "large", "rb") as source:
            answer = world.run("client", *server.command(host=SITE[4]), "sha256sum", seconds=SECONDS, stdin=source)
        assert answer.stdout.split()[:1] == [world.digest], answer.stderr
    finally:
        server.close()


def listening(world):
    with namespace.entered(world.name("site")):
        return socket.create_server((SITE[4], 0))


def connected(world, listener):
    with namespace.entered(world.name("client")):
        near = socket.create_connection(listener.getsockname(), 20)
    listener.settimeout(20)
    far, _ = listener.accept()
    for end in (near, far):
        end.settimeout(20)
    return near, far


def test_half_close_both_ways(world):
    with listening(world) as listener:
        for turned in (False, True):
            ends = connected(world, listener)
            one, other = reversed(ends) if turned else ends
            one.sendall(b"question")
            one.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: other.recv(99), b"")) == b"question"
            other.sendall(b"answer")
            other.close()
            assert b"".join(iter(lambda: one.recv(99), b"")) == b"answer"
            one.close()


def test_resets_both_ways(world):
    with listening(world) as listener:
        for turned in (False, True):
            ends = connected(world, listener)
            one, other = reversed(ends) if turned else ends
            one.sendall(b"x")
            assert other.recv(1) == b"x"
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
            with pytest.raises(ConnectionResetError):
                other.recv(1)
            other.close()


CROWD = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (9000, 9000))
host, count = sys.argv[1], int(sys.argv[2])
def ask(kind, port, size):
    held = []
    for i in range(count):
        s = socket.socket(socket.AF_INET, kind)
        s.settimeout(30)
        s.connect((host, port))
        held.append(s)
    for round in range(2):
        for i, s in enumerate(held):
            s.send(b'%08d' % i)
            if kind == socket.SOCK_DGRAM:
                assert s.recv(99) == b'%08d' % i
        for i, s in enumerate(held):
            if kind == socket.SOCK_STREAM:
                assert s.recv(8, socket.MSG_WAITALL) == b'%08d' % i
    return held
streams = ask(socket.SOCK_STREAM, 7000, 8)
flows = ask(socket.SOCK_DGRAM, 7001, 8)
print('all', flush=True)
sys.stdin.readline()
"""
ECHO = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (9000, 9000))
class Udp(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, data, peer): self.transport.sendto(data, peer)
async def tcp(reader, writer):
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()
async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(Udp, (sys.argv[1], 7001))
    await asyncio.start_server(tcp, sys.argv[1], 7000, backlog=4096)
    print('ready', flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_two_thousand_connections_and_flows(world):
    echo = world.start("site", "echo", sys.executable, "-c", ECHO, SITE[4])
    wait_until(lambda: "ready" in echo.stdout(), 20, "the echo server is ready")
    read, write = os.pipe()
    crowd = world.start("client", "crowd", sys.executable, "-c", CROWD, SITE[4], "2000", stdin=read)

    def status():
        answer = world.run("client", CLIENT_PROGRAM, "status", "--json", "--state-dir", world.directory / "vpn-state")
        return json.loads(answer.stdout)["tun"]

    try:
        wait_until(lambda: "all" in crowd.stdout() or not crowd.alive(), SECONDS, "everything was echoed")
        assert "all" in crowd.stdout(), crowd.stderr()
        now = status()
        assert now["connections"] >= 2000 and 2000 <= now["flows"] <= 4096
    finally:
        os.close(write)
        os.close(read)
    assert crowd.wait(30) == 0
    wait_until(lambda: status()["connections"] == 0, 60, "the connections are over")


def test_beside_other_doors_and_without_ipv6_at_the_exit(tmp_path):
    with World(tmp_path, bare=True) as world:
        (tmp_path / "www").mkdir()
        (tmp_path / "www" / "small").write_text("from the site\n")
        world.start("site", "web", sys.executable, "-m", "http.server", "--bind", "::", "--directory", tmp_path / "www", "80")
        world.start_relay()
        exit_peer = world.start_exit()
        wait_until(lambda: world.run("exit", "curl", "-sI", f"http://{SITE[4]}/").returncode == 0, 20, "the site answers")
        client = world.start_vpn(exit_peer.link, "--socks", "127.0.0.1:1080", "-L", f"8080:{SITE[4]}:80", mode="p2p-client")
        assert client.addresses == ["127.0.0.1:1080", "127.0.0.1:8080", TUN]
        for extra in ((), ("--socks5", "127.0.0.1:1080")):
            assert world.run("client", "curl", "-sS", "-m", "20", *extra, f"http://{SITE[4]}/small").stdout == "from the site\n"
        assert world.run("client", "curl", "-sS", "-m", "20", "http://127.0.0.1:8080/small").stdout == "from the site\n"
        dial = "import socket,sys; socket.create_connection((sys.argv[1], 80), 20)"
        answer = world.run("client", sys.executable, "-c", dial, SITE[6], seconds=10)
        assert "Network is unreachable" in answer.stderr, answer.stderr
        answer = world.run("client", "ping", "-c", "1", "-W", "5", SITE[6], seconds=10)
        assert "No route" in answer.stdout, answer.stdout
        assert world.stop(client) == 0


def test_a_move_to_another_network_brings_other_resolvers(tmp_path):
    """The server that was asked for the relay's name is gone, and so is the relay's address."""
    with World(tmp_path) as world:
        names = serve_names(world)
        wait_for_names(world)
        relay = world.start_relay()
        exit_peer = world.start_exit(relay_host=RELAY_NAME)
        vpn = world.start_vpn(exit_peer.link)

        def state():
            answer = world.run("client", CLIENT_PROGRAM, "status", "--json", "--state-dir", tmp_path / "vpn-state")
            return json.loads(answer.stdout)

        first = state()["client"]["session"]["lanes"][0]["path"]["address"]
        assert first.startswith(f"{RELAY[4]}:")
        world.stop(names)
        world.stop(relay)
        moved = "198.51.100.11"
        world.sh("relay", "ip", "address", "delete", f"{RELAY[4]}/24", "dev", "uplink")
        world.sh("relay", "ip", "address", "add", f"{moved}/24", "dev", "uplink")
        world.sh("relay", "ip", "route", "replace", "default", "via", "198.51.100.1")
        world.start_relay(name="relay2")
        world.sh("router", "ip", "address", "add", "192.0.2.53/24", "dev", "client")
        serve_names(world, moved, "--bind-interfaces", "--listen-address=192.0.2.53,203.0.113.1")
        world.resolv_conf.write_text("# another provider's\nnameserver 192.0.2.53\n")  # as a DHCP client does
        wait_until(lambda: state()["state"] == "up", 60, "the tunnel is up again")
        assert state()["client"]["session"]["lanes"][0]["path"]["address"].startswith(f"{moved}:")
        wait_until(lambda: "198.18.0.2" in world.resolv_conf.read_text(), 20, "name service is the tunnel's again")
        assert world.stop(vpn) == 0
        assert "192.0.2.53" in world.resolv_conf.read_text()


def test_a_forwarder_of_this_machine_needs_its_servers_outside(tmp_path):
    """Its queries are anybody's: they go into the tunnel, which waits for the answer, or out by --exclude."""
    with World(tmp_path) as world:
        serve_names(world)
        wait_for_names(world)
        relay = world.start_relay()
        exit_peer = world.start_exit(relay_host=RELAY_NAME)
        world.start("client", "forwarder", "dnsmasq", "-k", "-p", "53", "--no-resolv", "--no-hosts", "--pid-file=",
                    "--user=root", "--server=192.0.2.1")
        world.resolv_conf.write_text("nameserver 127.0.0.1\n")
        wait_until(lambda: RELAY[4] in world.run("client", "dig", "+short", "+time=1", "+tries=1", RELAY_NAME).stdout, 20,
                   "the forwarder answers")
        vpn = world.start("client", "without", *world.vpn_argv(exit_peer.link))
        wait_until(lambda: "is asked of 127.0.0.1, a forwarder" in vpn.stderr(), 20, "it says so")
        assert world.stop(vpn) == 0
        assert "session is up" not in vpn.stderr()

        vpn = world.start_vpn(exit_peer.link, "--exclude", "192.0.2.1")
        world.stop(relay)
        world.start_relay(name="relay2")
        state = ("status", "--json", "--state-dir", tmp_path / "vpn-state")
        wait_until(lambda: json.loads(world.run("client", CLIENT_PROGRAM, *state).stdout)["client"]["counters"]["reconnects"],
                   60, "the relay was found again")
        assert world.stop(vpn) == 0
