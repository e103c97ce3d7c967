# SPDX-License-Identifier: MIT
"""From a client's upgrade to `paired`: which exit is knocked on, how long, what a pair id is good for ("Pairing")."""
import asyncio
import os
import time

import pytest
import websockets
from relay_peers import PATIENCE, Closed, Room, base64url, client_path, from_base64url, pair_path, scenario

NEXT_INSTANCE_SECONDS, CLIENT_WAITS_SECONDS = 3, 10


async def answer_to_pair(relay, room, pair):
    """What taking a pair comes to: "paired", the HTTP status without an upgrade, or the close code."""
    try:
        half = await relay.connect(pair_path(room, pair))
        await half.expect_paired()
    except websockets.InvalidStatusCode as refused:
        return refused.status_code
    except Closed as closed:
        return closed.code
    return "paired"


def test_no_exit_is_4404(relay):
    async def join():
        room = Room()
        assert await (await relay.client(room)).close_code() == 4404
        await relay.register(room, b"instance")
        assert await (await relay.client(room, b"another!")).close_code() == 4404

    scenario(join())


def test_instances_are_knocked_on_in_turn(relay):
    """Two exits of a room and more: each client begins with another one."""
    async def join():
        room = Room()
        controls = [await relay.register(room) for _ in range(3)]
        for _ in range(2):
            clients = [await relay.client(room) for _ in range(3)]
            knocks = [await control.receive() for control in controls]
            assert len({knock["pair"] for knock in knocks}) == 3
            for knock in knocks:
                assert len(from_base64url(knock["pair"])) == 16
                await relay.take(room, knock)
            for client in clients:
                await client.expect_paired()

    scenario(join())


def test_a_named_instance_is_knocked_on(relay):
    async def join():
        room = Room()
        controls = {name: await relay.register(room, name) for name in (b"number-1", b"number-2", b"number-3")}
        for _ in range(3):
            client = await relay.client(room, b"number-2")
            exit_half = await relay.take(room, await controls[b"number-2"].receive())
            await client.expect_paired()
            exit_half.drop()
        for name in (b"number-1", b"number-3"):
            await controls[name].send("ping")
            assert await controls[name].receive() == "pong", "no knock before it"

    scenario(join())


@pytest.mark.waits(10)
def test_nobody_else_is_knocked_on_for_a_named_instance(relay):
    async def join():
        room = Room()
        named, other = await relay.register(room, b"number-1"), await relay.register(room, b"number-2")
        client = await relay.client(room, b"number-1")
        assert (await named.receive())["type"] == "knock"
        assert await client.close_code() == 4410
        await other.send("ping")
        assert await other.receive() == "pong", "no knock before it"

    scenario(join())


@pytest.mark.waits(3)
def test_a_knock_that_is_not_taken_goes_to_the_next_instance(relay):
    async def join():
        room = Room()
        controls = [await relay.register(room) for _ in range(2)]
        client = await relay.client(room)
        took = {}

        async def knock_on(number):
            took[number] = (await controls[number].receive(), time.monotonic())

        await asyncio.gather(*(knock_on(number) for number in range(2)))
        (first, first_at), (second, second_at) = sorted(took.values(), key=lambda knock: knock[1])
        assert first == second, "the same pair"
        assert NEXT_INSTANCE_SECONDS - 1 < second_at - first_at < NEXT_INSTANCE_SECONDS + 4
        exit_half = await relay.take(room, second)
        await client.expect_paired()
        await exit_half.expect_paired()

    scenario(join())


@pytest.mark.waits(3)
def test_the_first_instance_may_still_come_after_the_second_was_knocked_on(relay):
    async def join():
        room = Room()
        controls = [await relay.register(room) for _ in range(2)]
        client = await relay.client(room)
        knock, _ = await asyncio.gather(*(control.receive() for control in controls))
        answers = [await answer_to_pair(relay, room, knock["pair"]) for _ in range(2)]
        await client.expect_paired()
        assert answers[0] == "paired"
        assert answers[1] in (410, 4410), "one of them"

    scenario(join())


@pytest.mark.waits(10)
def test_a_pair_waits_ten_seconds(relay, profile):
    async def join():
        room = Room()
        control = await relay.register(room)
        client = await relay.client(room)
        began = time.monotonic()
        knock = await control.receive()
        await client.send("ping")
        assert await client.receive() == "pong"
        assert await client.close_code() == 4410, "an exit is there, it only did not come"
        assert CLIENT_WAITS_SECONDS - 1 < time.monotonic() - began < CLIENT_WAITS_SECONDS + 5
        assert await answer_to_pair(relay, room, knock["pair"]) in profile.no_such_pair
        await control.send("ping")
        assert await control.receive() == "pong"

    scenario(join())


def test_unknown_used_and_foreign_pairs_are_gone(relay, profile):
    async def claim():
        room, other = Room(), Room()
        control = await relay.register(room)
        await relay.register(other)
        gone = profile.no_such_pair
        unknown = await answer_to_pair(relay, room, base64url(os.urandom(16)))
        assert unknown in gone
        client = await relay.client(room)
        knock = await control.receive()
        assert await answer_to_pair(relay, other, knock["pair"]) == unknown, "nothing tells that it is another's"
        exit_half = await relay.take(room, knock)
        await client.expect_paired()
        assert await answer_to_pair(relay, room, knock["pair"]) == unknown
        await exit_half.expect_paired()
        await exit_half.send(b"still works")
        assert await client.receive() == b"still works"
        await client.close()
        assert await exit_half.close_code() == 1000
        assert await answer_to_pair(relay, room, knock["pair"]) == unknown, "over, and still used"
        assert await answer_to_pair(relay, Room(), base64url(os.urandom(16))) == unknown, "a room without an exit"

    scenario(claim())


def test_a_pair_is_taken_once_of_many_at_once(relay):
    async def claim():
        room = Room()
        control = await relay.register(room)
        client = await relay.client(room)
        knock = await control.receive()
        # Who comes before the pair was taken is upgraded, and told after it.
        codes = await asyncio.gather(*(answer_to_pair(relay, room, knock["pair"]) for _ in range(8)))
        await client.expect_paired()
        assert codes.count("paired") == 1
        assert all(code in ("paired", 410, 4410) for code in codes)

    scenario(claim())


def test_a_pair_whose_client_left_is_gone(relay, profile):
    async def claim(leave):
        room = Room()
        control = await relay.register(room)
        client = await relay.client(room)
        knock = await control.receive()
        await leave(client)
        assert await answer_to_pair(relay, room, knock["pair"]) in (*profile.no_such_pair, 4410, 4000)

    async def close(client):
        await client.close()  # answered, so the relay knows

    async def cut(client):
        client.drop()
        await client.ws.wait_closed()

    scenario(claim(close))
    scenario(claim(cut))


def test_binary_before_paired_is_1008(relay):
    async def misbehave():
        room = Room()
        await relay.register(room)
        client = await relay.client(room)
        await client.send(b"too early")
        assert await client.close_code() == 1008

    scenario(misbehave())


@pytest.mark.parametrize("text", ["pong", "{}", '{"type":"key_seen","epoch":0}', "x" * 2_000])
def test_text_before_paired_is_1008(relay, text):
    async def misbehave():
        room = Room()
        await relay.register(room)
        client = await relay.client(room)
        await client.send(text)
        assert await client.close_code() == 1008

    scenario(misbehave())


@pytest.mark.needs("--max-pairs-per-room")
def test_pairs_of_a_room_are_limited(relay_with):
    """429 for that room only, until one of its pairs has ended."""
    relay = relay_with("--max-pairs-per-room", "2")

    async def fill():
        room, other = Room(), Room()
        control = await relay.register(room)
        await relay.register(other)
        clients = [await relay.client(room) for _ in range(2)]
        assert await relay.status_of(client_path(room)) == 429
        assert await relay.status_of(client_path(other)) == 101
        halves = [await relay.take(room, await control.receive()) for _ in range(2)]
        for client in clients:
            await client.expect_paired()
        assert await relay.status_of(client_path(room)) == 429
        await halves[0].close()
        assert await clients[0].close_code() == 1000
        await eventually_101(relay, room)

    scenario(fill())


@pytest.mark.needs("--max-pairs")
def test_pairs_of_a_relay_are_limited(relay_with):
    relay = relay_with("--max-pairs", "1")

    async def fill():
        room = Room()
        control = await relay.register(room)
        client = await relay.client(room)
        assert await relay.status_of(client_path(Room())) == 503
        exit_half = await relay.take(room, await control.receive())
        await client.expect_paired()
        assert await relay.status_of(client_path(room)) == 503
        await exit_half.close()
        assert await client.close_code() == 1000
        await eventually_101(relay, room)

    scenario(fill())


async def eventually_101(relay, room):
    deadline = time.monotonic() + PATIENCE
    while await relay.status_of(client_path(room)) != 101:
        assert time.monotonic() < deadline
