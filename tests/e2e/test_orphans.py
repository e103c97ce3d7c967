# SPDX-License-Identifier: MIT
"""What clients that died leave behind in an exit: their sessions wait for --orphan-timeout, and then their memory and
their connections are gone."""
import asyncio
import contextlib
import resource
import select
import socket
import sys
import threading
from pathlib import Path

import pytest
from harness.chain import assert_serves
from harness.outages import pause
from harness.process import Program, wait_until
from harness.servers import accept_in_background
from many_sessions import DOWN_STREAMS

KIB, MIB = 1 << 10, 1 << 20
ORPHAN_SECONDS = 5
# Above the size of an idle exit: what the allocator keeps, and what the first use of everything costs. The sessions
# hold a multiple of it.
MARGIN = 16 * MIB
# What orphans may hold together, by PROTOCOL.md; beyond it the oldest go early.
ORPHANS_BOUND = 256 * MIB
MANY_SESSIONS = Path(__file__).with_name("many_sessions.py")
SMALL_BUFFER = 16 * 1024  # in the kernel, so that what a server does not take stays in the exit


def small_listener(option):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, option, SMALL_BUFFER)  # accepted sockets inherit it
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    return listener


class Source:
    """Sends to everybody without end. `open` counts the connections that the exit has not ended."""

    def __init__(self):
        self.open = 0
        self._listener = small_listener(socket.SO_SNDBUF)
        self.port = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        self._loop.run_until_complete(asyncio.start_server(self._give, sock=self._listener))
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)

    async def _give(self, _, writer):
        self.open += 1
        writer.transport.set_write_buffer_limits(high=0)
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(SMALL_BUFFER))
                await writer.drain()
        self.open -= 1

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._listener.close()


class Sink:
    """Reads nothing."""

    def __init__(self):
        self._listener = small_listener(socket.SO_RCVBUF)
        self.port = self._listener.getsockname()[1]
        self._accepted = []
        self._ended = select.poll()
        accept_in_background(self._listener, self._keep)

    def _keep(self, connection):
        self._ended.register(connection, select.POLLRDHUP)  # POLLERR and POLLHUP are always told
        self._accepted.append(connection)

    @property
    def open(self):
        return len(self._accepted) - len(self._ended.poll(0))

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._accepted:
            connection.close()


@pytest.fixture
def source_and_sink():
    both = Source(), Sink()
    yield both
    for server in both:
        server.close()


@pytest.fixture
def many_files():
    """As many descriptors as the system gives, for this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def fill(tmp_path, programs, source_and_sink):
    """Starts the process with many sessions, and waits until all of its streams are full."""
    source, sink = source_and_sink

    def start(chain, sessions, limit):
        clients = Program("clients", [sys.executable, MANY_SESSIONS, chain.relay.url, chain.authority.ca_file,
                                      chain.exit.link_file, sessions, limit, source.port, sink.port], tmp_path)
        programs.append(clients)
        wait_until(lambda: "full" in clients.stdout() or not clients.alive(), 240, "all sessions are full")
        assert clients.alive(), clients.stderr()
        assert (source.open, sink.open) == (sessions * DOWN_STREAMS, sessions)
        return clients

    return start


@pytest.mark.load
@pytest.mark.timeout(400)
def test_memory_of_orphaned_sessions_is_freed(new_chain, many_files, source_and_sink, fill, full):
    """Hundreds of sessions, each with streams full of data that nobody takes; then their process is killed. The exit
    keeps them for their time, and is then as small as before."""
    sessions, limit = (500, 96 * KIB) if full else (60, 256 * KIB)
    source, sink = source_and_sink
    chain = new_chain(exit_options=("--max-sessions", "600", "--orphan-timeout", str(ORPHAN_SECONDS)))
    assert_serves(chain.proxy)
    idle = chain.exit.resident_bytes()

    clients = fill(chain, sessions, limit)
    held = chain.exit.resident_bytes() - idle
    assert held >= sessions * DOWN_STREAMS * limit * 0.9 > 2 * MARGIN, "what was sent may have to be sent again"

    clients.kill()
    pause(ORPHAN_SECONDS - 2)
    assert (source.open, sink.open) == (sessions * DOWN_STREAMS, sessions), "they may yet be resumed"
    assert chain.exit.resident_bytes() - idle >= held * 0.9
    wait_until(lambda: (source.open, sink.open) == (0, 0), 10, "the exit has ended their connections")
    wait_until(lambda: chain.exit.resident_bytes() - idle <= MARGIN, 30,
               f"the exit fell from {held >> 20} MiB above its idle size to {MARGIN >> 20}")
    assert_serves(chain.proxy)


@pytest.mark.load
@pytest.mark.timeout(200)
def test_orphans_together_are_bounded(new_chain, source_and_sink, fill):
    """More than the bound: some end at once, and no more than needed; the others keep their time."""
    sessions, limit = 50, 2 * MIB
    source, _ = source_and_sink
    chain = new_chain(exit_options=("--orphan-timeout", "120"))
    fill(chain, sessions, limit).kill()
    wait_until(lambda: source.open * limit <= ORPHANS_BOUND, 10, "orphans hold no more than they may")
    pause(3)
    assert source.open * limit >= ORPHANS_BOUND * 0.75
    assert_serves(chain.proxy)
