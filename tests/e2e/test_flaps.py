# SPDX-License-Identifier: MIT
"""A link that drops everything for a second and a half, again and again: a keystroke and its echo through the tunnel,
beside one over TCP alone that crosses the same link at the same time."""
import socket
import sys
import threading
import time

import pytest
from harness import namespace, socks
from harness.chain import said
from harness.outages import pause
from harness.process import CLIENT_PROGRAM
from harness.world import SITE, World

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
    pytest.mark.load,
]
PORT = 7777
PROXY = ("127.0.0.1", 1080)
DOWN_SECONDS = 1.5
FLAPS = 9
# The time to notice, to make another lane, and to meet one more of the gaps.
FACTOR, NOTICED_SECONDS = 3, 4
ECHO = f"""
import socket, threading
listener = socket.create_server(("0.0.0.0", {PORT}), backlog=64)
def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while typed := connection.recv(4096):
        connection.sendall(typed)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("flaps")
    with World(directory) as world:
        for command in ("add table inet flap", "add chain inet flap forward { type filter hook forward priority 0; }"):
            world.sh("router", "nft", command)
        world.start_relay()
        world.exit = world.start_exit()
        world.start("site", "echo", sys.executable, "-c", ECHO)
        link_file = directory / "socks.link"
        link_file.write_text(f"{world.exit.link}\n")
        link_file.chmod(0o600)
        world.client = world.start("client", "socks", CLIENT_PROGRAM, "socks5", "--link-file", link_file, "--state-dir",
                                   directory / "socks-state", "--listen", "{}:{}".format(*PROXY), ready=True)
        yield world


class Typist(threading.Thread):
    """One key after the other, each after the echo of the one before; `waits` has how long each took."""

    def __init__(self, place, connect):
        super().__init__(daemon=True)
        self._place, self._connect = place, connect
        self.waits, self.failed, self._done, self.typing = [], None, threading.Event(), threading.Event()
        self.start()

    def run(self):
        try:
            with namespace.entered(self._place), self._connect() as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(60)
                while not self._done.is_set():
                    typed = time.monotonic()
                    connection.sendall(b"k")
                    assert connection.recv(1) == b"k"
                    self.waits.append(time.monotonic() - typed)
                    self.typing.set()
                    self._done.wait(0.05)
        except Exception as failure:
            self.failed = failure

    def stop(self):
        self._done.set()
        self.join(90)
        assert self.failed is None and not self.is_alive(), self.failed
        return max(self.waits)


def flap(world, host, up_seconds):
    for _ in range(FLAPS):
        world.sh("router", "nft", f"add rule inet flap forward iifname {host} drop; "
                                  f"add rule inet flap forward oifname {host} drop")
        pause(DOWN_SECONDS)
        world.sh("router", "nft", "flush chain inet flap forward")
        pause(up_seconds)


# Pauses that TCP's retransmissions fall into one after the other, and others, at each end's link. The bare typist sits
# at the host whose link it is.
@pytest.mark.parametrize("host, up_seconds", [("client", 1.5), ("client", 1.0), ("exit", 1.5), ("relay", 1.3)])
def test_a_keystroke_waits_little_longer_than_over_bare_tcp(world, host, up_seconds):
    tunnel = Typist(world.name("client"), lambda: socks.connect(PROXY, SITE[4], PORT, timeout=30))
    bare = Typist(world.name(host), lambda: socket.create_connection((SITE[4], PORT), timeout=30))
    for typist in (tunnel, bare):
        assert typist.typing.wait(60), typist.failed
    flap(world, host, up_seconds)
    worst_bare, worst = bare.stop(), tunnel.stop()
    print(f"{host}: {worst:.1f} s, bare {worst_bare:.1f} s")
    assert worst_bare >= DOWN_SECONDS - 0.5, "the link was down for the bare one, too"
    assert worst <= FACTOR * worst_bare + NOTICED_SECONDS
    assert said(world.client, "streams are reset") == 0
