# SPDX-License-Identifier: MIT
"""What one source can take of a relay, and others beside it ("Registration", "Limits"): pairs and exits have a share
for each source, and a room that is full makes room for whoever has less. What an honest user gets beside it stays
within the factor that tests/e2e/harness/honest_user.py states."""
import asyncio
import itertools
import os
import time
from contextlib import suppress

import pytest
from harness import honest_user
from relay_peers import PATIENCE, Room, base64url, client_path, exit_path, joined, pair_path, scenario, works
from websockets import InvalidStatusCode

HONEST, STRANGER, OTHER = "127.0.0.2", "127.0.0.3", "127.0.0.4"


@pytest.mark.needs("--max-pairs-per-source")
def test_a_source_has_its_share_of_pairs_and_exits(relay_with):
    share = 8
    relay = relay_with("--max-pairs-per-source", str(share))
    stranger, honest = relay.from_source(STRANGER), relay.from_source(HONEST)

    async def fill():
        alone = await honest_user.at_relay(honest)
        async with honest.pair() as before:
            room = Room()
            controls = [await stranger.register(room) for room in (room, *(Room() for _ in range(share - 1)))]
            assert await stranger.status_of(exit_path(room, os.urandom(8))) == 429
            pairs = [await joined(stranger, room, stranger, controls[0]) for _ in range(share)]
            assert await stranger.status_of(client_path(room)) == 429
            honest_user.assert_stays(alone, await honest_user.at_relay(honest))
            await works(before)
            # A place comes back with the end of a pair, and of an exit.
            await pairs[0][0].close()
            await eventually_101(stranger, client_path(room))
            await controls[2].close()
            await eventually_101(stranger, exit_path(room, os.urandom(8)))

    scenario(fill())


async def eventually_101(relay, path):
    deadline = time.monotonic() + PATIENCE
    while await relay.status_of(path) != 101:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.needs("--max-pairs-per-room")
def test_a_full_room_makes_room_for_whoever_has_less(relay_with):
    """Who knows a room's name can knock there. The exit takes each pair, as one does before the handshake fails."""
    relay = relay_with("--max-pairs-per-room", "4")
    stranger, honest, other = (relay.from_source(source) for source in (STRANGER, HONEST, OTHER))

    async def fill():
        alone = await honest_user.at_relay(honest)
        room = Room()
        control = await honest.register(room)
        greedy = [await joined(stranger, room, honest, control) for _ in range(4)]
        assert await stranger.status_of(client_path(room)) == 429
        guest = await joined(honest, room, honest, control)
        assert [await half.close_code() for half in greedy[3]] == [1013, 1013]
        for _ in range(10):
            assert await stranger.status_of(client_path(room)) == 429
        another = await joined(other, room, honest, control)
        assert [await half.close_code() for half in greedy[2]] == [1013, 1013]
        for pair in (guest, another, *greedy[:2]):
            await works(pair)
        honest_user.assert_stays(alone, await honest_user.at_relay(honest))

    scenario(fill())


@pytest.mark.needs("--join-rate")
def test_joins_of_one_source_are_not_anothers(relay_with):
    """Made-up pairs, clients of made-up rooms and exits that never answer, one after the other."""
    relay = relay_with("--join-rate", "2/s")
    stranger, honest = relay.from_source(STRANGER), relay.from_source(HONEST)

    statuses = set()

    async def storm():
        for at in itertools.count():
            path = (pair_path(Room(), base64url(os.urandom(16))), client_path(Room()),
                    exit_path(Room(), os.urandom(8)))[at % 3]
            with suppress(InvalidStatusCode):
                statuses.add(await stranger.status_of(path))

    async def flow():
        alone = await honest_user.at_relay(honest)
        storming = asyncio.ensure_future(storm())
        async with honest.pair() as pair:
            while statuses != {101, 410, 429}:
                await works(pair)
            honest_user.assert_stays(alone, await honest_user.at_relay(honest))
            await works(pair)
        storming.cancel()
        assert statuses == {101, 410, 429}
        assert await honest.status_of(client_path(Room())) == 101

    scenario(flow())
