# SPDX-License-Identifier: MIT
"""What streams and sessions held goes back to the system, at the exit and at the client, which both run on."""
import asyncio
import base64
import socket
import threading

import pytest
from dissononce.dh.x25519.x25519 import X25519DH
from harness import socks
from harness.chain import assert_serves
from harness.process import wait_until
from harness.session_client import SessionClient
from harness.transfer import MIB
from relay_peers import RelayAccess

STREAMS, AT_ONCE = 2_000, 500
SESSIONS, SESSIONS_AT_ONCE = 200, 10
# Above the size before: what the allocator can't give back, tables that have grown, TLS.
MARGIN = 24 * MIB
PATIENCE = 60


class FullServer:
    """Reads nothing, and sends as much as is taken."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=AT_ONCE)
        self.port = self._listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.sockets.append(sock)
            fill(sock)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.let_go()

    def let_go(self):
        while self.sockets:
            self.sockets.pop().close()


def fill(sock):
    sock.setblocking(False)
    try:
        while True:
            sock.send(bytes(65536))
    except OSError:
        pass


@pytest.fixture
def server():
    made = FullServer()
    yield made
    made.close()


def wait_until_given_back(program, before):
    wait_until(lambda: program.resident_bytes() - before <= MARGIN, PATIENCE,
               f"{program.name} has at most {MARGIN >> 20} MiB more than before")


@pytest.mark.load
@pytest.mark.timeout(400)
def test_after_streams_of_a_session_that_goes_on(new_chain, server):
    chain = new_chain()
    ends = chain.exit, chain.client
    assert_serves(chain.proxy)
    before = [end.resident_bytes() for end in ends]
    for wave in range(STREAMS // AT_ONCE):
        near = [socks.connect(chain.proxy, "127.0.0.1", server.port) for _ in range(AT_ONCE)]
        for sock in near if wave == 0 else ():
            fill(sock)
        for end, size in zip(ends, before) if wave == 0 else ():
            wait_until(lambda: end.resident_bytes() - size > 2 * MARGIN, PATIENCE, f"{end.name} holds what it may")
        for sock in near:
            socks.abort(sock)
        server.let_go()
    for end, size in zip(ends, before):
        wait_until_given_back(end, size)
    assert_serves(chain.proxy)


async def a_session(relay, link, key_pair, port):
    peer = await relay.connect(f"/v1/rooms/{link.room}/client")
    session = SessionClient(peer, link, key_pair)
    await session.start(base64.b32decode(link.room.upper()))
    stream = await session.open(port, 256 * 1024)
    while session.received[stream] < 256 * 1024:
        await session.step()
    peer.drop()


@pytest.mark.load
def test_after_sessions(new_chain, server):
    """Each leaves without a word, with a stream that is full, and the exit keeps it for a while."""
    chain = new_chain(exit_options=("--max-sessions", str(SESSIONS + 1), "--orphan-timeout", "20s"))
    assert_serves(chain.proxy)
    before = chain.exit.resident_bytes()

    async def come_and_go():
        relay = RelayAccess(chain.relay.url, chain.authority.ca_file)
        key_pair, places = X25519DH().generate_keypair(), asyncio.Semaphore(SESSIONS_AT_ONCE)

        async def one():
            async with places:
                await a_session(relay, chain.exit.link(), key_pair, server.port)

        await asyncio.gather(*(one() for _ in range(SESSIONS)))

    asyncio.run(come_and_go())
    assert chain.exit.resident_bytes() - before > 2 * MARGIN, "there is something to give back"
    wait_until_given_back(chain.exit, before)
    assert_serves(chain.proxy)
