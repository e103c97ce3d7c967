# SPDX-License-Identifier: MIT
"""A pair's keys, on a relay that changes them as often as it may ("Key epochs")."""
import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest
from profiles import KIB
from relay_peers import Closed, from_base64url, scenario

MESSAGE = 16 * KIB
LOWEST_ROTATE_SECONDS = 30


@asynccontextmanager
async def pair_of(relay):
    """A pair whose halves leave the answers to the test."""
    async with relay.pair() as (client, exit_half):
        client.answers_keys = exit_half.answers_keys = False
        yield client, exit_half


async def answer(half, epoch, other):
    """`key_seen`, and a message behind it, so that the relay has read it when this returns. What `other` was sent
    before that message."""
    await half.send({"type": "key_seen", "epoch": epoch})
    await half.send(b"answered")
    before = []
    while (message := await other.receive()) != b"answered":
        before.append(message)
    return before


async def until_key(sender, receiver, limit):
    """Messages one by one until a key comes: (the receiver's key, the sender's, bytes that passed before it)."""
    passed = 0
    while passed <= limit:
        message = bytes([passed // MESSAGE % 256]) * MESSAGE
        await sender.send(message)
        got = await receiver.receive()
        if got != message:
            assert got["type"] == "key", got
            assert await receiver.receive() == message, "the key goes before the message that it was time for"
            key = await sender.receive()
            assert key["type"] == "key", key
            return got, key, passed
        await receiver.send("ping")
        assert await receiver.receive() == "pong", "no key goes behind the message that it was time for"
        passed += MESSAGE
    raise AssertionError(f"no key within {passed} bytes")


async def ends(half):
    """The code with which the relay closes, whatever it sends before that."""
    return await half.close_code()


@pytest.mark.needs("--rotate-bytes")
@pytest.mark.parametrize("way", ["up", "down"])
def test_both_halves_get_the_same_next_key(rotating, way):
    relay, rotate_bytes = rotating

    async def flow():
        async with pair_of(relay) as halves:
            sender, receiver = halves if way == "up" else reversed(halves)
            keys = {sender.paired["remote_key"]}
            for epoch in range(1, 6):
                theirs, ours, passed = await until_key(sender, receiver, rotate_bytes + 2 * MESSAGE)
                assert theirs == ours
                assert ours["epoch"] == epoch
                assert len(from_base64url(ours["remote_key"])) == 32
                assert passed >= rotate_bytes - MESSAGE
                keys.add(ours["remote_key"])
                assert await answer(sender, epoch, receiver) == []
                assert await answer(receiver, epoch, sender) == []
            assert len(keys) == 6

    scenario(flow())


@pytest.mark.needs("--rotate-bytes")
def test_both_directions_count_together(rotating):
    relay, rotate_bytes = rotating

    async def flow():
        async with pair_of(relay) as (client, exit_half):
            for number in range(2 * rotate_bytes // MESSAGE):
                near, far = (client, exit_half) if number % 2 else (exit_half, client)
                await near.send(bytes(MESSAGE))
                got = await far.receive()
                if isinstance(got, dict):
                    assert got["type"] == "key"
                    assert rotate_bytes - MESSAGE <= number * MESSAGE <= rotate_bytes + MESSAGE
                    return
        raise AssertionError("no key")

    scenario(flow())


@pytest.mark.needs("--rotate-bytes")
@pytest.mark.parametrize("first", ["client", "exit"])
def test_the_next_key_is_held_back_until_both_have_answered(rotating, first):
    relay, rotate_bytes = rotating

    async def pass_much(client, exit_half):
        """Four times what it is time for, and no key comes."""
        for _ in range(4 * rotate_bytes // MESSAGE):
            for sender, receiver in ((client, exit_half), (exit_half, client)):
                await sender.send(bytes(MESSAGE))
                assert await receiver.receive() == bytes(MESSAGE), "no key before both have answered the last"

    async def flow():
        async with pair_of(relay) as (client, exit_half):
            await until_key(client, exit_half, rotate_bytes + 2 * MESSAGE)
            early, late = (client, exit_half) if first == "client" else (exit_half, client)
            await pass_much(client, exit_half)
            assert await answer(early, 1, late) == []
            await pass_much(client, exit_half)
            key, = await answer(late, 1, early)  # before the message behind it
            assert (key["type"], key["epoch"]) == ("key", 2)
            assert await late.receive() == key

    scenario(flow())


@pytest.mark.needs("--rotate-bytes")
@pytest.mark.parametrize("wrong", ["of the next epoch", "of the first one", "twice"])
@pytest.mark.parametrize("half", ["client", "exit"])
def test_a_key_seen_that_has_no_place_is_1008(rotating, wrong, half):
    relay, rotate_bytes = rotating

    async def flow():
        async with pair_of(relay) as (client, exit_half):
            await until_key(client, exit_half, rotate_bytes + 2 * MESSAGE)
            offender, other = (client, exit_half) if half == "client" else (exit_half, client)
            if wrong == "twice":
                await answer(offender, 1, other)
            epoch = {"of the next epoch": 2, "of the first one": 0, "twice": 1}[wrong]
            await offender.send({"type": "key_seen", "epoch": epoch})
            assert await ends(offender) == 1008
            assert await ends(other) == 4000

    scenario(flow())


@pytest.mark.needs("--rotate-bytes")
def test_epochs_past_255(rotating):
    relay, rotate_bytes = rotating

    async def flow():
        async with pair_of(relay) as (client, exit_half):
            for epoch in range(1, 301):
                theirs, ours, _ = await until_key(client, exit_half, rotate_bytes + 2 * MESSAGE)
                assert theirs == ours and ours["epoch"] == epoch
                await answer(client, epoch, exit_half)
                await answer(exit_half, epoch, client)

    scenario(flow())


class End:
    """An end as PROTOCOL.md says: seals in the newest epoch that it was told of, opens that one and the one before. A
    message's first bytes are its epoch and its number."""

    def __init__(self, peer, messages, seed):
        self.peer = peer
        self.messages = messages
        self.random = random.Random(seed)
        self.epoch = 0
        self.sent = self.received = self.sent_bytes = self.received_bytes = 0
        self.read_on = asyncio.Event()

    async def send_all(self, other):
        while self.sent < self.messages:
            size = self.random.choice((20, 1_000, 20_000, 64 * KIB))
            ahead = self.random.choice((64 * KIB, 512 * KIB, self.peer.paired["window"] // 4))
            while self.sent_bytes - other.received_bytes > ahead:
                other.read_on.clear()
                await other.read_on.wait()
            await self.peer.send(json.dumps([self.epoch, self.sent]).encode().ljust(size))
            self.sent += 1
            self.sent_bytes += size
            await asyncio.sleep(0)

    async def read_all(self, other):
        while self.received < other.messages:
            if not self.random.randrange(50):
                await asyncio.sleep(0.05)  # a reader that is slow now and then
            message = await self.peer.receive()
            if isinstance(message, dict):
                assert message["type"] == "key"
                assert message["epoch"] == self.epoch + 1
                self.epoch += 1
                self.peer.say({"type": "key_seen", "epoch": self.epoch})
                continue
            epoch, number = json.loads(message)
            assert number == self.received
            assert self.epoch - 1 <= epoch <= self.epoch, f"sealed in {epoch}, opened in {self.epoch}"
            self.received += 1
            self.received_bytes += len(message)
            self.read_on.set()


@pytest.mark.needs("--rotate-bytes")
@pytest.mark.parametrize("seed", range(3))
def test_every_message_can_be_opened(rotating, seed):
    """Both ends send as they like while keys change: no message is of an epoch whose key its receiver has wiped."""
    relay, _ = rotating

    async def flow():
        async with pair_of(relay) as (client, exit_half):
            near, far = End(client, 1_500, 2 * seed), End(exit_half, 1_500, 2 * seed + 1)
            await asyncio.gather(near.send_all(far), far.send_all(near), near.read_all(far), far.read_all(near))
            assert near.epoch >= 5

    scenario(flow())


@pytest.mark.needs("--rotate-seconds")
@pytest.mark.waits(30)
def test_a_key_after_a_time_and_only_with_a_message(relay_with):
    relay = relay_with("--rotate-seconds", str(LOWEST_ROTATE_SECONDS))

    async def flow():
        async with pair_of(relay) as (client, exit_half):
            await client.send(b"early")
            assert await exit_half.receive() == b"early"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(exit_half.ws.recv(), LOWEST_ROTATE_SECONDS + 2)
            await client.send(b"late")
            key = await exit_half.receive()
            assert (key["type"], key["epoch"]) == ("key", 1)
            assert await exit_half.receive() == b"late"
            assert await client.receive() == key

    scenario(flow())


def test_no_key_before_the_handshake_can_be_over(relay):
    """Less than 64 KiB, in less than 30 s."""
    async def flow():
        async with pair_of(relay) as (client, exit_half):
            for _ in range(3):
                for sender, receiver in ((client, exit_half), (exit_half, client)):
                    await sender.send(bytes(10_000))
                    assert await receiver.receive() == bytes(10_000)
            await client.send({"type": "key_seen", "epoch": 1})
            with pytest.raises(Closed) as closed:
                await client.receive()
            assert closed.value.code == 1008

    scenario(flow())
