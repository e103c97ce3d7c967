# SPDX-License-Identifier: MIT
"""Rooms are apart: many at once, every message tagged, and nobody gets what is another's."""
import asyncio
import os
import random

import pytest
from relay_peers import Room, scenario

MESSAGES = 20
TAG_BYTES = 24
JOINS_AT_ONCE = 32


class Pair:
    """A room of its own with both ends of a pair, and everything that each was sent."""

    def __init__(self):
        self.room = Room()
        self.tags = {"up": os.urandom(TAG_BYTES), "down": os.urandom(TAG_BYTES)}
        self.strays = []

    async def join(self, relay, limit):
        async with limit:
            self.control = await relay.register(self.room)
            self.client = await relay.client(self.room)
            self.exit_half = await relay.take(self.room, await self.control.receive())
            await self.client.expect_paired()
            await self.exit_half.expect_paired()

    async def send(self, way, peer):
        for number in range(MESSAGES):
            await peer.send(self.tags[way] + number.to_bytes(4, "big") + bytes(random.randrange(4_000)))
            await asyncio.sleep(0)

    async def read(self, way, peer):
        for number in range(MESSAGES):
            message = await peer.receive()
            if message[:TAG_BYTES + 4] != self.tags[way] + number.to_bytes(4, "big"):
                self.strays.append((way, number, bytes(message[:TAG_BYTES + 4])))

    async def exchange(self):
        await asyncio.gather(self.send("up", self.client), self.read("up", self.exit_half),
                             self.send("down", self.exit_half), self.read("down", self.client))

    async def finish(self):
        """Nothing is left behind the last message."""
        await self.client.close(1000)
        assert await self.exit_half.close_code() == 1000
        await self.control.send("ping")
        assert await self.control.receive() == "pong", "one knock, and no other"


@pytest.mark.waits(60)
def test_rooms_at_once(relay, pytestconfig):
    async def flow():
        pairs = [Pair() for _ in range(pytestconfig.getoption("--rooms"))]
        limit = asyncio.Semaphore(JOINS_AT_ONCE)
        await asyncio.gather(*(pair.join(relay, limit) for pair in pairs))
        keys = {pair.client.paired["remote_key"] for pair in pairs}
        assert len(keys) == len(pairs), "a key of its own for each pair"
        await asyncio.gather(*(pair.exchange() for pair in pairs))
        assert [pair.strays for pair in pairs if pair.strays] == []
        await asyncio.gather(*(pair.finish() for pair in pairs))

    scenario(flow(), 280)


def test_two_exits_in_one_room_keep_their_pairs_apart(relay):
    async def flow():
        room = Room()
        controls = [await relay.register(room) for _ in range(2)]
        joined = []
        for _ in range(6):
            client = await relay.client(room)
            waiting = [asyncio.create_task(control.receive()) for control in controls]
            done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            exit_half = await relay.take(room, done.pop().result())
            await client.expect_paired()
            await exit_half.expect_paired()
            joined.append((client, exit_half))
        for number, (client, exit_half) in enumerate(joined):
            await client.send(b"up %d" % number)
            await exit_half.send(b"down %d" % number)
        for number, (client, exit_half) in enumerate(joined):
            assert await exit_half.receive() == b"up %d" % number
            assert await client.receive() == b"down %d" % number
        await controls[0].close()
        # The pairs of the exit that left live on, and new clients go to the other one.
        for client, exit_half in joined:
            await client.send(b"on")
            assert await exit_half.receive() == b"on"

    scenario(flow())
