# SPDX-License-Identifier: MIT
"""A process with many sessions of one device, to be killed: python3 many_sessions.py RELAY-URL CA-FILE LINK-FILE
SESSIONS LIMIT SOURCE-PORT SINK-PORT. Each has streams to the source, filled to LIMIT bytes, and one to the sink that the
exit can't get rid of. Says "full" on stdout when all of that is so, and then goes on to answer the exit."""
import asyncio
import base64
import sys
from pathlib import Path

from dissononce.dh.x25519.x25519 import X25519DH
from harness.access_link import AccessLink
from harness.session_client import SessionClient
from relay_peers import RelayAccess

DOWN_STREAMS = 3
AT_ONCE = 8  # an exit has 64 places for lanes that are not sessions yet


async def fill(relay, link, key_pair, limit, source, sink):
    peer = await relay.connect(f"/v1/rooms/{link.room}/client")
    session = SessionClient(peer, link, key_pair)
    await session.start(base64.b32decode(link.room.upper()))
    streams = [await session.open(source, limit) for _ in range(DOWN_STREAMS)]
    await session.send_all_that_is_allowed(await session.open(sink, limit))
    while any(session.received[stream] < limit for stream in streams):
        await session.step()
    return asyncio.create_task(keep_answering(session))


async def keep_answering(session):
    while True:
        try:
            await session.step()
        except TimeoutError:
            continue  # the exit had nothing to say


async def main(url, ca_file, link_file, sessions, limit, source, sink):
    relay = RelayAccess(url, ca_file)
    link = AccessLink.parse(Path(link_file).read_text().strip())
    key_pair = X25519DH().generate_keypair()
    places = asyncio.Semaphore(AT_ONCE)

    async def one():
        async with places:
            return await fill(relay, link, key_pair, limit, source, sink)

    answering = await asyncio.gather(*(one() for _ in range(sessions)))
    print("full", flush=True)
    await asyncio.gather(*answering)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], *map(int, sys.argv[4:])))
