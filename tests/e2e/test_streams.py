# SPDX-License-Identifier: MIT
"""A thousand streams open at once, 200 of them busy: every byte arrives, in order, on its own stream."""
import asyncio
import hashlib

import pytest
from harness import servers, socks

STREAMS, BUSY = 1000, 200
BUSY_BYTES = 1 << 20
CHUNK = 64 * 1024


def pattern(number):
    """A stream's own bytes, so that one that strays into another stream is noticed."""
    return hashlib.shake_128(number.to_bytes(4, "big")).digest(BUSY_BYTES)


async def open_all(proxy, port):
    gate = asyncio.Semaphore(64)  # dialling is not what is tested: the proxy bounds half-open handshakes

    async def open_one():
        async with gate:
            return await socks.open_stream(proxy, "127.0.0.1", port)

    return await asyncio.gather(*(open_one() for _ in range(STREAMS)))


async def greet(number, stream):
    reader, writer = stream
    message = f"stream {number}".encode()
    writer.write(message)
    assert await reader.readexactly(len(message)) == message


async def keep_busy(number, stream):
    """Sends the stream's pattern and reads it back from the echo, both at once."""
    reader, writer = stream
    data = pattern(number)

    async def send():
        for at in range(0, len(data), CHUNK):
            writer.write(data[at:at + CHUNK])
            await writer.drain()

    sending = asyncio.create_task(send())
    echoed = await reader.readexactly(len(data))
    await sending
    assert echoed == data, f"stream {number}"


async def finish(stream):
    reader, writer = stream
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


@pytest.mark.load
@pytest.mark.timeout(300)
def test_a_thousand_streams(new_tunnel):
    tunnel = new_tunnel()

    async def scenario():
        async with servers.echoing() as port:
            streams = await open_all(tunnel.proxy, port)
            await asyncio.gather(*(greet(n, s) for n, s in enumerate(streams)))
            await asyncio.gather(*(keep_busy(n, s) for n, s in enumerate(streams[:BUSY])))
            await asyncio.gather(*(greet(n, s) for n, s in enumerate(streams)))
            await asyncio.gather(*(finish(s) for s in streams))

    asyncio.run(asyncio.wait_for(scenario(), 240))
    tunnel.assert_alive()
    tunnel.stop()
