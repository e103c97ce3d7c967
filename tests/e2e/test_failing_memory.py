# SPDX-License-Identifier: MIT
"""Requests for memory that fail at random, wherever a program makes one: connections may end, the program goes on and
ends when it is told to."""
import asyncio
import time
from contextlib import suppress

import pytest
from harness import preloads, servers, socks
from harness.chain import assert_serves
from relay_peers import Closed, RelayAccess, scenario, works
from websockets import InvalidHandshake

LACKS_FOR_SECONDS = 3
ONE_OF = 800
BUSY = 8


@pytest.fixture
def memory(tmp_path):
    return preloads.Memory(tmp_path)


@pytest.mark.native_relay("its memory")
def test_the_relay_goes_on(own_relay, memory):
    with memory.loaded():
        relay = own_relay("--threads", "2")

    async def use(source):
        until = time.monotonic() + LACKS_FOR_SECONDS
        while time.monotonic() < until:
            with suppress(Closed, OSError, asyncio.TimeoutError, InvalidHandshake, AssertionError):
                async with RelayAccess(relay.url, source=source).pair() as pair:
                    for _ in range(20):
                        await works(pair)
            await asyncio.sleep(0.01)

    async def flow():
        memory.lacks(ONE_OF)
        await asyncio.gather(*(use(f"127.0.1.{number + 1}") for number in range(BUSY)))
        memory.lacks(0)
        async with relay.pair() as pair:
            await works(pair)

    scenario(flow())
    assert memory.lacked() > 0
    assert relay.program.stop() == 0


def use_for_a_while(proxy, port):
    """Connections through the proxy, one after the other, that may fail."""
    until = time.monotonic() + LACKS_FOR_SECONDS
    while time.monotonic() < until:
        with suppress(OSError, socks.SocksError, AssertionError):
            with socks.connect(proxy, "127.0.0.1", port) as near:
                near.sendall(bytes(100_000))
                socks.read_exactly(near, 100_000)


@pytest.mark.parametrize("name", ["exit", "client"])
def test_a_peer_goes_on(new_chain, memory, name):
    chain = new_chain()
    with memory.loaded():
        program = chain.start_exit("other", state=chain.exit.state) if name == "exit" else chain.start_client("other")
    if name == "exit":
        chain.exit.stop()
    proxy = chain.proxy if name == "exit" else program.proxy

    async def flow():
        async with servers.echoing() as port:
            assert_serves(proxy)
            memory.lacks(ONE_OF)
            await asyncio.gather(*(asyncio.to_thread(use_for_a_while, proxy, port) for _ in range(BUSY)))
            memory.lacks(0)

    scenario(flow())
    assert memory.lacked() > 0
    assert_serves(proxy)
    assert program.stop() == 0
