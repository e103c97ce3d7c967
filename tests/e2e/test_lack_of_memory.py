# SPDX-License-Identifier: MIT
"""An exit and a client that may have little more memory than they have: what lacks it ends, they go on, and the tunnel
works once there is some."""
import contextlib
import os
import resource
import socket
import time

import pytest
from conftest import SITE
from harness import servers, socks
from harness.chain import LOST, RESUMED, a_stream, assert_serves, said
from harness.process import run, wait_until
from harness.tunnel import make_invite
from harness.watching import METRICS, ask, health

# Servers here fill the kernel's memory for TCP, all of the machine's; then it resets others' sockets.
pytestmark = pytest.mark.load
MIB = 1 << 20
# What is left: no more than a few streams' worth.
LEFT = 4 * MIB


def virtual_bytes(pid):
    with open(f"/proc/{pid}/statm") as sizes:
        return int(sizes.read().split()[0]) * resource.getpagesize()


def lacked_memory(program):
    return "memory" in program.stderr() or "bad_alloc" in program.stderr()


@pytest.fixture
def one_arena(monkeypatch):
    """Each thread's reserve of 64 MiB of addresses would be what there is beyond the limit."""
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")


@pytest.mark.parametrize("who", ["exit", "client"])
def test_what_lacks_memory_ends_and_the_program_goes_on(one_arena, new_tunnel, web, who):
    (web.root / "small").write_text("here\n")
    with open(web.root / "large", "wb") as sparse:
        sparse.truncate(1 << 30)
    tunnel = new_tunnel()
    program = {"exit": tunnel.exit, "client": tunnel.client}[who]
    fetch = ["curl", "-sS", "-m", "40", "--noproxy", "", "--socks5-hostname", tunnel.proxy_text,
             f"http://{SITE}:{web.http_port}/small"]
    assert run(fetch).stdout == "here\n"
    resource.prlimit(program.pid, resource.RLIMIT_AS, (virtual_bytes(program.pid) + LEFT, resource.RLIM_INFINITY))
    readers = []
    try:
        while not lacked_memory(program):  # that do not read
            readers.append(socks.connect(tunnel.proxy, "127.0.0.1", web.http_port))
            readers[-1].sendall(b"GET /large HTTP/1.0\r\n\r\n")
    except (OSError, socks.SocksError):
        pass  # one of those that end
    wait_until(lambda: lacked_memory(program), 60, "it lacked memory")
    assert program.alive()
    for reader in readers:
        socks.abort(reader)
    resource.prlimit(program.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: run(fetch).stdout == "here\n", 60, "the tunnel works again")
    tunnel.assert_alive()


CROWDED = 400  # connections, at most, until there is no memory left
WATCHED_SECONDS = 10
# Pauses that double; at the first pause always it would be 30.
COMES_BACK_AT_MOST = 12


class Crowd:
    """Connections that send and don't read, to a server that does the same: what both windows hold, both ends hold."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets = []
        servers.accept_in_background(self._listener, self._fill)

    def _fill(self, sock):
        self._sockets.append(sock)
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            while True:
                sock.send(bytes(1 << 16))

    def join(self, proxies):
        """One more through each proxy that still takes one."""
        for proxy in proxies:
            with contextlib.suppress(OSError, socks.SocksError):
                self._fill(socks.connect(proxy, "127.0.0.1", self.port, timeout=5))
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.send(bytes(1 << 16))

    def size(self):
        return len(self._sockets)

    def leave(self):
        while self._sockets:
            self._sockets.pop().close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.leave()


def serves(proxy):
    try:
        assert_serves(proxy)
        return True
    except (OSError, socks.SocksError):
        return False


@pytest.fixture
def crowd():
    made = Crowd()
    yield made
    made.close()


def limit_memory(program, more):
    limit = resource.RLIM_INFINITY if more is None else virtual_bytes(program.pid) + more
    resource.prlimit(program.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def cpu_seconds(program):
    with open(f"/proc/{program.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def come_back(client):
    return said(client, RESUMED) + said(client, "a new one is up") + said(client, "session with the exit is up")


def test_of_an_exit_without_memory_the_heaviest_session_gives_way(one_arena, new_tunnel, crowd):
    """Whoever is beside it notices nothing; what ended is told why, and does not come back without a pause."""
    tunnel = new_tunnel(exit_options=METRICS)
    exit_peer, heavy = tunnel.exit, tunnel.client
    honest = tunnel.add_client("honest", link=make_invite(exit_peer, "honest"))
    assert health(exit_peer) == 200
    with a_stream(honest.proxy) as assert_alive:
        limit_memory(exit_peer, LEFT)
        while not said(heavy, "the exit has no memory left; try later"):
            assert crowd.size() < CROWDED, "it never lacks memory"
            crowd.join([heavy.proxy])
            assert_alive()
        exit_peer.says("this exit has no memory left", seconds=30)
        assert health(exit_peer) == 503 and "degraded" in ask(exit_peer.state).stdout
        before = come_back(heavy), cpu_seconds(exit_peer), cpu_seconds(heavy)
        until = time.monotonic() + WATCHED_SECONDS
        while time.monotonic() < until:
            crowd.join([heavy.proxy])  # it does not learn
            assert_alive()
        assert come_back(heavy) - before[0] <= COMES_BACK_AT_MOST
        assert cpu_seconds(exit_peer) - before[1] < WATCHED_SECONDS / 2
        assert_serves(honest.proxy)
        limit_memory(exit_peer, None)
        crowd.leave()
        wait_until(lambda: health(exit_peer) == 200, 60, "all is well again")
        assert_alive()
        assert_serves(honest.proxy)
        wait_until(lambda: come_back(heavy) > before[0], 60, "it may come again")
        assert_serves(heavy.proxy)
    assert said(honest, LOST) == 0 and said(exit_peer, "has no memory left") < 5, "it is told once, and once a minute"


def test_of_a_client_without_memory_the_heaviest_connections_give_way(one_arena, new_tunnel, crowd):
    """Where that is not enough the session ends, for good: none is resumed again and again."""
    tunnel = new_tunnel()
    client = tunnel.client
    assert_serves(client.proxy)
    limit_memory(client, LEFT)
    while not said(client, "connections that held most of it were ended"):
        assert crowd.size() < CROWDED, "it never lacks memory"
        crowd.join([client.proxy])
    before = come_back(client), cpu_seconds(client), len(client.stderr())
    until = time.monotonic() + WATCHED_SECONDS
    while time.monotonic() < until:
        crowd.join([client.proxy])
    assert come_back(client) - before[0] <= COMES_BACK_AT_MOST
    assert cpu_seconds(client) - before[1] < WATCHED_SECONDS / 2
    assert client.stderr()[before[2]:].count("\n") < 10 * COMES_BACK_AT_MOST
    limit_memory(client, None)
    crowd.leave()
    wait_until(lambda: serves(client.proxy), 60, "the tunnel works again")
    tunnel.assert_alive()
