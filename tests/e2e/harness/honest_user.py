# SPDX-License-Identifier: MIT
"""An honest user beside an attack: how long their joins take, their echoes (median and 99 %), and how much passes in a
second, alone and then beside the load, in the same run.

What is stated, once for every test of strangers and neighbours: each figure stays within FACTOR of what it is alone,
and a time of at most FLOOR_SECONDS is good in any case. Attacker, user and the attacked programs share two processors
here, so a load that costs nothing but its own processor time may halve what the user gets, or worse; and an echo over
loopback is so short that one turn of the scheduler is more than any factor. What the bounds are against took seconds,
or for ever. Loads are bounded in turn: each test says its attacker's rate, or that he runs in the idle class.
"""
import asyncio
import contextlib
import dataclasses
import os
import socket
import statistics
import threading
import time

from . import servers, socks
from .process import CLIENT_PROGRAM, run

FACTOR, FLOOR_SECONDS = 5, 0.25

JOINS, ECHOES, ROUNDS = 5, 200, 3
PIECE, PIECES, ON_THE_WAY = 64 * 1024, 64, 16  # 4 MiB, of which 1 at once


@dataclasses.dataclass(frozen=True)
class Figures:
    join: float    # seconds, the median, and the others alike
    echo: float
    p99: float
    rate: float    # bytes a second, the best round of ROUNDS

    @staticmethod
    def of(joins, echoes, rounds):
        ordered = sorted(echoes)
        return Figures(statistics.median(joins), statistics.median(echoes), ordered[len(ordered) * 99 // 100],
                       max(rounds))

    def __str__(self):
        return (f"join {self.join * 1e3:.1f} ms, echo {self.echo * 1e3:.2f} ms, 99 % {self.p99 * 1e3:.1f} ms, "
                f"{self.rate / 1e6:.0f} MB/s")


def bound(alone):
    """The longest that something may take beside an attack which takes `alone` seconds without."""
    return max(FACTOR * alone, FLOOR_SECONDS)


def assert_stays(alone, beside):
    print(f"alone:  {alone}\nbeside: {beside}")
    for name in ("join", "echo", "p99"):
        assert getattr(beside, name) <= bound(getattr(alone, name)), f"{name}: {beside}; alone: {alone}"
    assert beside.rate >= alone.rate / FACTOR, f"rate: {beside}; alone: {alone}"


# ---- at a relay


async def at_relay(relay):
    """The figures of an exit and a client at `relay` (a relay_peers.RelayAccess) from their own address: a join is a
    registration, a client, and the exit's half."""
    joins, echoes, rounds = [], [], []
    for _ in range(JOINS - 1):
        began = time.perf_counter()
        async with relay.pair():
            joins.append(time.perf_counter() - began)
    began = time.perf_counter()
    async with relay.pair() as (client, exit_half):
        joins.append(time.perf_counter() - began)
        for _ in range(ECHOES):
            began = time.perf_counter()
            await client.send(b"keystroke")
            assert await exit_half.receive() == b"keystroke"
            await exit_half.send(b"echo")
            assert await client.receive() == b"echo"
            echoes.append(time.perf_counter() - began)
        for _ in range(ROUNDS):
            rounds.append(await _carry(exit_half, client))
    return Figures.of(joins, echoes, rounds)


async def _carry(source, sink):
    """Bytes a second; like our ends it has never more on its way than a relay's window."""
    piece, on_the_way = os.urandom(PIECE), asyncio.Semaphore(ON_THE_WAY)

    async def send():
        for _ in range(PIECES):
            await on_the_way.acquire()
            await source.send(piece)

    began = time.perf_counter()
    sending = asyncio.ensure_future(send())
    reading = asyncio.ensure_future(source.receive())  # answers marks meanwhile
    for _ in range(PIECES):
        assert await sink.receive() == piece
        on_the_way.release()
    seconds = time.perf_counter() - began
    await sending
    reading.cancel()
    await asyncio.wait([reading])
    return PIECES * PIECE / seconds


# ---- at an exit


def check_seconds(link, directory):
    """How long `check` takes to have a session of its own and to end it; it must not fail."""
    file = directory / "honest-user.link"
    file.write_text(f"{link}\n")
    file.chmod(0o600)
    began = time.perf_counter()
    done = run([CLIENT_PROGRAM, "check", "--link-file", file, "--state-dir", directory / "honest-user-state"])
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - began


@contextlib.contextmanager
def _answering():
    """A server that echoes, after it has poured where a connection's first byte is "p"."""
    piece = os.urandom(PIECE)

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if connection.recv(1) == b"p":
                for _ in range(PIECES):
                    connection.sendall(piece)
            while data := connection.recv(PIECE):
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        servers.accept_in_background(
            listener, lambda connection: threading.Thread(target=serve, args=(connection,), daemon=True).start())
        yield listener.getsockname()[1], piece
        listener.shutdown(socket.SHUT_RDWR)


def at_exit(proxy, link, directory, host="127.0.0.1"):
    """The figures of a client that runs, whose proxy this is: echoes and downloads from a server that it reaches as
    `host`. A join is a session of another device with `link`."""
    joins = [check_seconds(link, directory) for _ in range(JOINS)]
    echoes, rounds = [], []
    with _answering() as (port, piece):
        with socks.connect(proxy, host, port) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(b"e")
            for _ in range(ECHOES):
                began = time.perf_counter()
                sock.sendall(b"?")
                assert socks.read_exactly(sock, 1) == b"?"
                echoes.append(time.perf_counter() - began)
        for _ in range(ROUNDS):
            began = time.perf_counter()
            with socks.connect(proxy, host, port) as sock:
                sock.sendall(b"p")
                got = _receive(sock, PIECES * PIECE)
            rounds.append(PIECES * PIECE / (time.perf_counter() - began))
            assert got == PIECES * piece
    return Figures.of(joins, echoes, rounds)


def _receive(sock, count):
    data = memoryview(bytearray(count))
    at = 0
    while at < count:
        more = sock.recv_into(data[at:])
        assert more, f"it ended after {at} bytes"
        at += more
    return data
