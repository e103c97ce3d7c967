# SPDX-License-Identifier: MIT
"""What strangers can take of a relay, and an honest pair beside them: each bound is used up from one address, or from
some, and others go on."""
import asyncio
import os
import resource
import socket
import struct
from contextlib import asynccontextmanager, suppress

import pytest
from harness import honest_user
from relay_peers import Closed, RelayAccess, Room, client_path, exit_path, scenario, works
from websockets import InvalidHandshake, InvalidStatusCode

HONEST, OTHER, STRANGER = "127.0.0.2", "127.0.0.4", "127.0.0.3"

pytestmark = [pytest.mark.native_relay("the native relay's bounds")]


def from_address(relay, source):
    return RelayAccess(relay.url, source=source)


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


@pytest.mark.load
def test_one_address_takes_all_exits_that_it_may(own_relay, many_descriptors):
    """At the defaults a thousand of ten; then it is refused, 50 times a second. Who comes from elsewhere does not notice."""
    relay = own_relay()
    many_descriptors()

    async def flow():
        stranger, honest = from_address(relay, STRANGER), from_address(relay, HONEST)
        alone = await honest_user.at_relay(honest)
        exits = [await stranger.register(Room()) for _ in range(1_000)]
        statuses = set()

        async def go_on():
            while True:
                statuses.add(await stranger.status_of(exit_path(Room(), b"instance")))
                await asyncio.sleep(1 / 50)

        going_on = asyncio.ensure_future(go_on())
        honest_user.assert_stays(alone, await honest_user.at_relay(honest))
        going_on.cancel()
        assert statuses == {429}
        await exits[0].send("ping")
        assert await exits[0].receive() == "pong"

    scenario(flow())


# ---- bytes

MIB = 1 << 20


def descriptors(relay):
    return len(os.listdir(f"/proc/{relay.program.process.pid}/fd"))


def unfinished(size):
    """A binary message of `size` bytes but for its last one."""
    return b"\x82\xff" + struct.pack(">Q", size) + bytes(4) + bytes(size - 1)


@asynccontextmanager
async def hoard(stranger, pairs, fill):
    """So many pairs whose halves each have been `fill`ed and read nothing any more."""
    room = Room()
    control = await stranger.register(room)
    halves = []
    for _ in range(pairs):
        client = await stranger.client(room)
        exit_half = await stranger.take(room, await control.receive())
        for half in (client, exit_half):
            await half.expect_paired()
            half.ws.transport.pause_reading()
            half.ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for half in (client, exit_half):
            half.ws.transport.set_write_buffer_limits(high=64 * MIB)
            fill(half)
        halves += [client, exit_half]
    yield halves
    for half in halves:
        half.drop()


def messages_that_nobody_takes(half):
    for _ in range(3):
        half.ws.transport.write(b"\x82\xff" + struct.pack(">Q", MIB) + bytes(4) + bytes(MIB))


@pytest.mark.load
@pytest.mark.parametrize("fill", [lambda half: half.ws.transport.write(unfinished(MIB)), messages_that_nobody_takes],
                         ids=["unfinished messages", "messages that nobody takes"])
def test_pairs_that_hold_much_give_way(own_relay, fill):
    """Thirty pairs would hold 60 MiB of 16; beside them a pair goes on, and so does one that holds a little. Who comes
    now gets what he got before."""
    relay = own_relay("--max-held", "16MiB", "--threads", "1")

    async def flow():
        stranger, honest = from_address(relay, STRANGER), from_address(relay, HONEST)
        alone = await honest_user.at_relay(honest)
        async with honest.pair() as beside, honest.pair() as (slow, sender):
            slow.ws.transport.pause_reading()
            kept = [bytes([number]) * 65_536 for number in range(64)]
            sending = asyncio.ensure_future(asyncio.gather(*(sender.send(message) for message in kept)))
            idle = relay.program.resident_bytes()
            before = descriptors(relay)
            async with hoard(stranger, 30, fill):
                while descriptors(relay) - before > 2 * 10:
                    await works(beside)
                    await asyncio.sleep(0.05)
                assert relay.program.resident_bytes() - idle < 64 * MIB
                await works(beside)
                honest_user.assert_stays(alone, await honest_user.at_relay(honest))
            slow.ws.transport.resume_reading()
            assert [await slow.receive() for _ in kept] == kept
            await sending

    scenario(flow())


def test_until_it_is_paired_a_client_says_little(own_relay):
    relay = own_relay()

    async def flow():
        room = Room()
        control = await relay.register(room)
        client = await relay.client(room)
        knock = await control.receive()
        client.ws.transport.write(b"\x82\xfe" + struct.pack(">H", 4_097) + bytes(4))  # so many are to follow
        assert await client.close_code() == 1009
        while await relay.status_of(f"/v1/rooms/{room.id}/pairs/{knock['pair']}") != 410:
            await asyncio.sleep(0.05)
        patient = await relay.client(room)
        exit_half = await relay.take(room, await control.receive())
        await patient.expect_paired()
        await exit_half.expect_paired()
        for sender, receiver in ((patient, exit_half), (exit_half, patient)):
            sending = asyncio.ensure_future(sender.send(bytes(MIB)))
            assert await receiver.receive() == bytes(MIB)
            await sending

    scenario(flow())


def test_lack_of_memory_ends_connections_and_not_the_relay(own_relay):
    """The relay may have 48 MiB more than it has; strangers make it want ten times that."""
    relay = own_relay("--threads", "1")
    pid = relay.program.process.pid

    async def flow():
        stranger, honest = from_address(relay, STRANGER), from_address(relay, HONEST)
        await stranger.register(Room())  # what is made once was made
        with open(f"/proc/{pid}/statm") as sizes:
            virtual = int(sizes.read().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (virtual + 48 * MIB, resource.RLIM_INFINITY))
        with suppress(Closed, OSError, asyncio.TimeoutError, InvalidHandshake):
            async with hoard(stranger, 250, messages_that_nobody_takes):
                while "bad_alloc" not in relay.program.stderr() and "memory" not in relay.program.stderr():
                    await asyncio.sleep(0.05)
        assert "memory" in relay.program.stderr() or "bad_alloc" in relay.program.stderr()
        while True:  # as clients do: the strangers' memory is there again once the relay has seen them go
            with suppress(Closed, OSError, asyncio.TimeoutError, InvalidHandshake):
                async with honest.pair() as beside:
                    await works(beside)
                break
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    scenario(flow())
    assert relay.program.alive()
    assert relay.program.stop() == 0


def test_memory_goes_back_when_pairs_have_left(own_relay):
    relay = own_relay("--threads", "2")

    async def flow():
        async with relay.pair() as beside:
            idle = relay.program.resident_bytes()
            async with hoard(from_address(relay, STRANGER), 100, messages_that_nobody_takes):
                while relay.program.resident_bytes() - idle < 100 * MIB:
                    await works(beside)
                    await asyncio.sleep(0.05)
            while relay.program.resident_bytes() - idle > 24 * MIB:
                await works(beside)
                await asyncio.sleep(0.1)

    scenario(flow())
