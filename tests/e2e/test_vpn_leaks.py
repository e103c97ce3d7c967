# SPDX-License-Identifier: MIT
"""What leaves the client's machine by its uplink while vpn starts, runs, loses its relay, is killed and ends: packets to
the relay, and none else. And that everything is afterwards as it was before."""
import os
import signal
import socket
import sys
import threading
import time

import pytest
from harness import namespace
from harness.process import CLIENT_PROGRAM, wait_until
from harness.world import RELAY, SITE, World

FULL = bool(os.environ.get("ZKS_FULL"))
OUTAGE_SECONDS = 30 if FULL else 8
MOMENTS = 16

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]

# What keeps a link alive and carries nothing of anybody's: neighbour discovery, router solicitations, listener reports.
LINK = "arp or (icmp6 and (ip6[40] >= 133 and ip6[40] <= 136)) or (ip6 and ip6[6] = 0) or icmp6[0] = 143"


class Capture:
    """tcpdump on the router's side of the client's uplink."""

    def __init__(self, world, name):
        self.path = world.directory / f"{name}.pcap"
        self.world = world
        self.program = world.start("router", name, "tcpdump", "-i", "client", "-U", "-w", self.path, "-n", "--immediate-mode",
                                   "-Z", "root", "inbound and not (" + LINK + ")")
        wait_until(lambda: "listening on" in self.program.stderr(), 20, "tcpdump listens")

    def packets(self):
        """As tcpdump prints them, after everything that was sent has come."""
        self.world.stop(self.program)
        return self.world.run("router", "tcpdump", "-n", "-r", self.path).stdout.splitlines()


def strangers(packets):
    """Those that went to somebody other than the relay."""
    to_relay = (f" > {RELAY[4]}.8443:", f" > {RELAY[6]}.8443:")
    return [line for line in packets if not any(relay in line for relay in to_relay)]


CHATTER = """
import socket, threading, time
def go(f):
    while True:
        try: f()
        except OSError: pass
        time.sleep(0.05)
def tcp(host):
    socket.create_connection((host, 80), 2).close()
def udp(host, port):
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b'q' * 30, (host, port))
for host in ('%s', '%s'):
    threading.Thread(target=go, args=(lambda h=host: tcp(h),)).start()
    for port in (53, 443, 5353):
        threading.Thread(target=go, args=(lambda h=host, p=port: udp(h, p),)).start()
threading.Thread(target=go, args=(lambda: socket.getaddrinfo('leak.example', 80),)).start()
""" % (SITE[4], SITE[6])


@pytest.fixture
def world(tmp_path):
    with World(tmp_path) as world:
        root = tmp_path / "www"
        root.mkdir()
        (root / "small").write_text("from the site\n")
        world.start("site", "web", sys.executable, "-m", "http.server", "--bind", "::", "--directory", root, "80")
        world.relay = world.start_relay()
        world.exit = world.start_exit()
        world.fetches = lambda: world.run("client", "curl", "-sS", "-m", "5", f"http://{SITE[4]}/small").returncode == 0
        wait_until(world.fetches, 20, "the site answers without vpn")
        yield world


def snapshot(world):
    def shown(*argv):
        return world.run("client", *argv).stdout

    return {
        "addresses": shown("ip", "address"),
        **{f"rules {v}": shown("ip", f"-{v}", "rule") for v in (4, 6)},
        **{f"routes {v}": shown("ip", f"-{v}", "route", "show", "table", "all") for v in (4, 6)},
        "firewall": shown("nft", "list", "ruleset"),
        "sysctl": shown("sysctl", "-e", "-a", "-r", r"^net\.ipv[46]\.(conf|tcp)"),
        "resolv.conf": world.resolv_conf.read_bytes(),
    }


def test_nothing_leaks_from_start_to_stop(world):
    world.start("client", "chatter", sys.executable, "-c", CHATTER)
    without = Capture(world, "without")
    wait_until(lambda: len(world.directory.joinpath("without.pcap").read_bytes()) > 20_000, 20, "packets without vpn")
    seen = "\n".join(strangers(without.packets()))
    for expected in (f"{SITE[4]}.80", f"{SITE[6]}.80", f"{SITE[4]}.53", f"{SITE[6]}.443", "leak.example"):
        assert expected in seen, "the capture is blind to this"

    # From the moment in which the kill switch is there, which is before anything else is changed.
    vpn = world.start("client", "vpn", *world.vpn_argv(world.exit.link, "--ready-file", world.directory / "vpn.ready"))
    wait_until(lambda: "zks-vpn" in world.run("client", "nft", "list", "tables").stdout, 20, "the kill switch is on")
    capture = Capture(world, "starting-and-running")
    wait_until((world.directory / "vpn.ready").exists, 30, "vpn is up")
    wait_until(world.fetches, 20, "the site answers through the tunnel")
    running = capture.packets()
    assert running and strangers(running) == []

    capture = Capture(world, "relay-outage")
    world.stop(world.relay)
    threading.Event().wait(3)  # the chatter goes on; nothing is awaited but that nothing comes
    assert strangers(capture.packets()) == []
    world.relay = world.start_relay(name="relay2")
    wait_until(world.fetches, 30, "the tunnel is up again")

    capture = Capture(world, "killed")
    vpn.kill()
    for child in world.run("client", "pgrep", "-f", f"{world.directory}/vpn-state").stdout.split():
        os.kill(int(child), signal.SIGKILL)
    threading.Event().wait(2)
    assert not world.fetches()
    assert strangers(capture.packets()) == []

    capture = Capture(world, "started-again")
    vpn = world.start_vpn(world.exit.link, name="vpn2")
    wait_until(world.fetches, 20, "the site answers through the tunnel")
    assert strangers(capture.packets()) == []
    capture = Capture(world, "down")
    assert world.stop(vpn) == 0
    wait_until(world.fetches, 20, "the site answers without vpn")
    assert strangers(capture.packets()) != []


def test_the_machine_is_as_before(world):
    before = snapshot(world)
    vpn = world.start_vpn(world.exit.link)
    assert world.fetches() and snapshot(world) != before
    assert world.stop(vpn) == 0
    assert snapshot(world) == before


def test_a_crash_is_cleaned_up_by_the_next_start_and_by_down(world):
    before = snapshot(world)
    for cleanup in ("start", "down"):
        vpn = world.start_vpn(world.exit.link, name=f"vpn-{cleanup}")
        children = world.run("client", "pgrep", "-P", vpn.pid).stdout.split()
        vpn.kill()
        wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), 15, "the worker ends as well")
        assert not world.fetches()
        if cleanup == "start":
            assert world.stop(world.start_vpn(world.exit.link, name="again")) == 0
        else:
            done = world.run("client", CLIENT_PROGRAM, "vpn", "--down", "--state-dir", world.directory / "vpn-state")
            assert done.returncode == 0, done.stderr
        assert snapshot(world) == before
        assert world.fetches()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ended_at_any_moment_of_the_start(world, sign):
    before = snapshot(world)
    began = time.monotonic()
    assert world.stop(world.start_vpn(world.exit.link)) == 0
    whole = time.monotonic() - began
    ends = []
    for moment in range(MOMENTS):
        vpn = world.start("client", f"vpn-{moment}", *world.vpn_argv(world.exit.link))
        time.sleep(moment * whole / MOMENTS)
        os.killpg(vpn.pid, sign)  # as a terminal does: to both processes
        ends.append(vpn.wait(20))
        assert snapshot(world) == before, f"ended after {moment * whole / MOMENTS} s\n{vpn.stderr()}"
    assert set(ends) <= {0, -sign}, ends  # the latter where nothing had begun
    assert ends.count(0) > MOMENTS // 2, ends


def test_a_worker_that_dies_leaves_it_closed(world):
    vpn = world.start_vpn(world.exit.link)
    (worker,) = world.run("client", "pgrep", "-P", vpn.pid).stdout.split()
    os.kill(int(worker), signal.SIGKILL)
    assert vpn.wait(15) == 1
    assert "the kill switch stays" in vpn.stderr() and "vpn --down" in vpn.stderr()
    assert not world.fetches()


@pytest.mark.parametrize("event", ["relay outage", "new address"])
def test_connections_live_on(world, event):
    server = ("import socket; s=socket.create_server(('::',7000),family=socket.AF_INET6,dualstack_ipv6=True); c,_=s.accept()\n"
              "while True:\n d=c.recv(99)\n if not d: break\n c.sendall(d)")
    world.start("site", "echo", sys.executable, "-c", server)
    wait_until(lambda: ":7000" in world.run("site", "ss", "-ltn").stdout, 10, "the echo server listens")
    world.start_vpn(world.exit.link)
    with namespace.entered(world.name("client")), socket.create_connection((SITE[4], 7000), 10) as connection:
        def echo(word):
            connection.sendall(word)
            assert connection.recv(99) == word

        echo(b"before")
        connection.settimeout(60)
        if event == "relay outage":
            world.stop(world.relay)
            threading.Event().wait(OUTAGE_SECONDS)
            world.start_relay(name="relay2")
        else:
            # As a DHCP client does: the old address takes its routes along.
            world.sh("client", "ip", "address", "delete", "192.0.2.2/24", "dev", "uplink")
            world.sh("client", "ip", "address", "add", "192.0.2.77/24", "dev", "uplink")
            world.sh("client", "ip", "route", "replace", "default", "via", "192.0.2.1", "dev", "uplink")
        echo(b"after")
