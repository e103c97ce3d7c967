# SPDX-License-Identifier: MIT
"""What strangers can take of a relay, and an honest pair beside them: each bound is used up from one address, or from
some, and others go on."""
import asyncio
from contextlib import suppress

import pytest
from relay_peers import RelayAccess, Room, client_path, exit_path, scenario
from websockets import InvalidStatusCode

HONEST, OTHER, STRANGER = "127.0.0.2", "127.0.0.4", "127.0.0.3"

pytestmark = [pytest.mark.native_relay("the native relay's bounds")]


def from_address(relay, source):
    return RelayAccess(relay.url, source=source)


async def works(pair):
    """Both halves hear each other."""
    client, exit_half = pair
    await client.send(b"keystroke")
    assert await exit_half.receive() == b"keystroke"
    await exit_half.send(b"echo")
    assert await client.receive() == b"echo"


async def take_everything(stranger):
    """Registers exits and makes pairs until both are refused; (exits, halves, statuses)."""
    exits, halves, statuses = [], [], []
    with suppress(InvalidStatusCode):
        while True:
            room = Room()
            exits.append((room, await stranger.register(room)))
    statuses.append(await stranger.status_of(exit_path(Room(), b"instance")))
    room, control = exits[0]
    with suppress(InvalidStatusCode):
        while True:
            halves.append(await stranger.client(room))
            halves.append(await stranger.take(room, await control.receive()))
            for half in halves[-2:]:
                await half.expect_paired()
    statuses.append(await stranger.status_of(client_path(Room())))
    return [peer for _, peer in exits], halves, statuses


def test_an_address_has_its_share_of_pairs_and_exits(own_relay):
    relay = own_relay("--max-pairs-per-source", "3")

    async def flow():
        stranger, honest = from_address(relay, STRANGER), from_address(relay, HONEST)
        async with honest.pair() as before:
            exits, halves, statuses = await take_everything(stranger)
            assert (len(exits), len(halves), statuses) == (3, 6, [429, 429])
            async with honest.pair() as beside:
                await works(beside)
            await works(before)
            halves[0].drop()
            while await stranger.status_of(client_path(Room())) != 101:
                await asyncio.sleep(0.05)

    scenario(flow())


def test_a_full_relay_makes_room_for_whoever_has_less(own_relay):
    """One source took all places; newcomers from two others get theirs, and only the heaviest loses any."""
    relay = own_relay("--max-pairs", "8")

    async def flow():
        stranger, honest, other = (from_address(relay, source) for source in (STRANGER, HONEST, OTHER))
        async with honest.pair() as before:
            exits, halves, statuses = await take_everything(stranger)
            assert (len(exits), len(halves), statuses) == (7, 14, [503, 503])
            async with honest.pair() as beside, other.pair() as from_elsewhere:
                await works(beside)
                await works(from_elsewhere)
            await works(before)
            assert await exits[-1].close_code() == 1013
            assert [await half.close_code() for half in halves[-2:]] == [1013, 1013]
            await works((halves[0], halves[1]))

    scenario(flow())


def test_a_full_room_makes_room_for_whoever_has_less(own_relay):
    """Whoever knows a room's id can knock there. The exit takes each pair, as one does before the handshake fails."""
    relay = own_relay("--max-pairs-per-room", "4")

    async def flow():
        stranger, honest = from_address(relay, STRANGER), from_address(relay, HONEST)
        room = Room()
        control = await honest.register(room)
        halves = []
        for _ in range(4):
            halves.append(await stranger.client(room))
            halves.append(await honest.take(room, await control.receive()))
        assert await stranger.status_of(client_path(room)) == 429
        guest = await honest.client(room)
        exit_half = await honest.take(room, await control.receive())
        await guest.expect_paired()
        await exit_half.expect_paired()
        await works((guest, exit_half))
        assert await halves[-2].close_code() == 1013

    scenario(flow())


def test_behind_a_trusted_proxy_pairs_are_the_forwarded_address(own_relay):
    relay = own_relay("--max-pairs-per-source", "2", "--trusted-proxy", "127.0.0.1")

    def of(address):
        return {"X-Forwarded-For": address}

    async def flow():
        room = Room()
        control = await relay.register(room)
        for _ in range(2):
            await relay.client(room, headers=of("192.0.2.1"))
            await control.receive()
        assert await relay.status_of(client_path(room), of("192.0.2.1")) == 429
        assert await relay.status_of(client_path(room), of("192.0.2.2")) == 101
        await relay.client(room, headers=of("fd00::1"))
        await relay.client(room, headers=of("fd00::2"))
        assert await relay.status_of(client_path(room), of("fd00::3")) == 429  # the same /64

    scenario(flow())
