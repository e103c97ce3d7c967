# SPDX-License-Identifier: MIT
"""A user who keeps to nothing, and strangers beside it, until killed: python3 abusive_user.py PROXY-PORT SOURCE-PORT
SINK-PORT RELAY-URL ROOM. Opens streams as fast as it is answered, uploads and downloads on streams that it keeps, and knocks
with handshakes that are noise. Its machine is not the exit's: what it costs here goes to the idle class."""
import asyncio
import contextlib
import os
import sys

from harness import socks
from relay_peers import RelayAccess

OPENERS, BULK, STRANGERS = 50, 4, 4
MESSAGE_1_BYTES = 32 + 48 + 16 + 10


async def forever(work, *arguments):
    while True:
        with contextlib.suppress(Exception):  # it is refused in every way that there is
            await work(*arguments)
        await asyncio.sleep(0)


async def open_and_leave(proxy, port):
    _, writer = await socks.open_stream(proxy, "127.0.0.1", port)
    writer.close()


async def download(proxy, port):
    reader, _ = await socks.open_stream(proxy, "127.0.0.1", port)
    while await reader.read(1 << 16):
        pass


async def upload(proxy, port):
    _, writer = await socks.open_stream(proxy, "127.0.0.1", port)
    while True:
        writer.write(bytes(1 << 16))
        await writer.drain()


async def knock(relay, room):
    peer = await relay.connect(f"/v1/rooms/{room}/client")
    try:
        await asyncio.wait_for(peer.ws.recv(), 5)
        await peer.ws.send(os.urandom(MESSAGE_1_BYTES))
        await asyncio.wait_for(peer.ws.recv(), 5)
    finally:
        peer.drop()


async def main(proxy_port, source, sink, relay_url, room):
    os.nice(19)
    proxy, relay = ("127.0.0.1", int(proxy_port)), RelayAccess(relay_url)
    work = [forever(open_and_leave, proxy, int(source)) for _ in range(OPENERS)]
    work += [forever(download, proxy, int(source)) for _ in range(BULK)]
    work += [forever(upload, proxy, int(sink)) for _ in range(BULK)]
    work += [forever(knock, relay, room) for _ in range(STRANGERS)]
    await asyncio.gather(*work)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
