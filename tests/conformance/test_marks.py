# SPDX-License-Identifier: MIT
"""How far a receiver may be behind: marks, the window, and readers that stop ("Pairing")."""
import asyncio
import os
import random
from contextlib import suppress

import pytest
from profiles import KIB, MIB
from relay_peers import Closed, Room, scenario

MARK_EVERY = 256 * KIB
STALLED_SECONDS = 2


async def pump(sender, size):
    """Sends until the relay closes."""
    with suppress(Closed):
        while True:
            await sender.send(bytes(size))
            await asyncio.sleep(0)  # a send that need not wait lets nothing else run


async def carry(sender, receiver, messages, size=MARK_EVERY):
    """That many messages, one after the other, and `end`: every mark that belongs to them has then been read."""
    for _ in range(messages):
        await sender.send(bytes(size))
        assert len(await receiver.receive()) == size
    await sender.send(b"end")
    assert await receiver.receive() == b"end"


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_mark_after_every_256_kib(relay, profile, way):
    async def flow():
        async with relay.pair() as halves:
            sender, receiver = halves if way == "up" else reversed(halves)
            messages = 4 * receiver.paired["window"] // MARK_EVERY
            await carry(sender, receiver, messages)
            assert len(receiver.marks) == messages
            assert len(set(receiver.marks)) == messages
            assert sender.marks == []
            assert all(1 <= len(mark) <= 64 and mark.replace("-", "a").replace("_", "a").isalnum() and mark.isascii()
                       for mark in receiver.marks)
            # An echo counts once.
            await receiver.send({"type": "mark", "id": receiver.marks[0]})
            assert await receiver.close_code() == 1008
            assert await sender.close_code() == 4000

    scenario(flow())


@pytest.mark.parametrize("size", [1, 16 * KIB, 100_000])
def test_marks_come_behind_what_they_mark(relay, size):
    """With messages of any size: after 256 KiB, not before, and less than a message later."""
    async def flow():
        async with relay.pair() as (client, exit_half):
            received, at_marks = 0, []
            for number in range(4 * MARK_EVERY // max(size, 4 * KIB) + 1):
                # One byte a time would take long: now and then a message that counts.
                length = size if size > 1 or number % 64 else 16 * KIB
                await client.send(bytes(length))
                await exit_half.receive()
                at_marks += [received] * (len(exit_half.marks) - len(at_marks))
                received += length
            await client.send(b"end")
            await exit_half.receive()
            at_marks += [received] * (len(exit_half.marks) - len(at_marks))
            largest = max(size, 16 * KIB)
            for before, mark in zip([0, *at_marks], at_marks):
                assert MARK_EVERY - largest <= mark - before <= MARK_EVERY + largest, at_marks
            assert len(at_marks) >= received // (MARK_EVERY + largest)

    scenario(flow())


def test_marks_of_both_directions_are_apart(relay):
    async def flow():
        async with relay.pair() as (client, exit_half):
            client.echo = exit_half.echo = False
            await carry(client, exit_half, 1)
            await exit_half.send({"type": "mark", "id": exit_half.marks[0]})
            await carry(exit_half, client, 1)
            # The other half's mark, though it is open.
            await exit_half.send({"type": "mark", "id": client.marks[0]})
            assert await exit_half.close_code() == 1008

    scenario(flow())


@pytest.mark.parametrize("order", ["as they came", "backwards", "at random"])
def test_marks_may_be_echoed_late_and_in_any_order(relay, order):
    async def flow():
        async with relay.pair() as (client, exit_half):
            exit_half.echo = False
            for _ in range(3):
                await carry(client, exit_half, client.paired["window"] // MARK_EVERY)
                marks = {"as they came": exit_half.marks, "backwards": exit_half.marks[::-1],
                         "at random": random.sample(exit_half.marks, len(exit_half.marks))}[order]
                for mark in marks:
                    await exit_half.send({"type": "mark", "id": mark})
                exit_half.marks.clear()
                await exit_half.send(b"answered")
                assert await client.receive() == b"answered"

    scenario(flow())


def test_the_oldest_mark_counts(relay):
    """All but the first are echoed; that one is still behind."""
    async def flow():
        async with relay.pair() as (client, exit_half):
            exit_half.echo = False
            sending = asyncio.create_task(pump(client, MARK_EVERY))
            with pytest.raises(Closed) as closed:
                echoed = 1
                while True:
                    await exit_half.receive()
                    while len(exit_half.marks) > echoed:
                        await exit_half.send({"type": "mark", "id": exit_half.marks[echoed]})
                        echoed += 1
            assert closed.value.code == 4413
            assert await client.close_code() == 4413
            await sending

    scenario(flow())


@pytest.mark.parametrize("size", [1_000, MARK_EVERY])
def test_more_than_the_window_behind_is_4413(relay, size):
    """A receiver that reads and does not echo gets the window in full, and not much more."""
    async def flow():
        async with relay.pair() as (client, exit_half):
            exit_half.echo = False
            sending = asyncio.create_task(pump(client, size))
            received = 0
            with pytest.raises(Closed) as closed:
                while True:
                    received += len(await exit_half.receive())
            assert closed.value.code == 4413
            window = exit_half.paired["window"]
            assert window + MARK_EVERY - size <= received <= window + MARK_EVERY + 2 * size
            assert await client.close_code() == 4413
            await sending

    scenario(flow())


# ---- a receiver that does not read


async def push(sender, limit, size):
    """Sends until nothing moves (`held back`) or the relay closes (its code)."""
    sent = 0
    try:
        while sent < limit:
            await asyncio.wait_for(sender.ws.send(bytes(size)), STALLED_SECONDS)
            sent += size
    except asyncio.TimeoutError:
        return "held back"
    except Exception:
        return await sender.close_code()
    raise AssertionError(f"{sent} bytes were taken for a receiver that does not read")


def test_a_stalled_receiver_stops_only_its_sender(relay, profile):
    """Neither another room nor another pair of its own exit waits for it."""
    async def flow():
        room = Room()
        room.control = await relay.register(room)
        async with relay.pair(room) as (client, exit_half), relay.pair(room) as same_room, relay.pair() as other_room:
            exit_half.ws.transport.pause_reading()
            pushing = asyncio.create_task(push(client, 256 * MIB, MIB))
            for near, far in (same_room, other_room) * 2:
                for _ in range(16):
                    message = os.urandom(MIB)
                    await near.send(message)
                    assert await far.receive() == message
            assert await pushing in profile.stalled_sender

    scenario(flow())


def test_a_stalled_receiver_may_still_send(relay, profile):
    async def flow():
        async with relay.pair() as (client, exit_half):
            exit_half.ws.transport.pause_reading()
            await client.send(bytes(MARK_EVERY))
            for number in range(64):
                await exit_half.send(bytes([number]) * 4 * KIB)
                assert await client.receive() == bytes([number]) * 4 * KIB
            exit_half.ws.transport.resume_reading()
            assert await exit_half.receive() == bytes(MARK_EVERY)

    scenario(flow())


def test_a_receiver_that_reads_again_gets_everything(relay):
    async def flow():
        async with relay.pair() as (client, exit_half):
            exit_half.ws.transport.pause_reading()
            messages = [os.urandom(64 * KIB) for _ in range((client.paired["window"] // 2) // (64 * KIB))]

            async def send_all():
                for message in messages:
                    await client.send(message)

            sending = asyncio.create_task(send_all())
            await asyncio.wait([sending], timeout=STALLED_SECONDS)
            exit_half.ws.transport.resume_reading()
            for message in messages:
                assert await exit_half.receive() == message
            await sending

    scenario(flow())
