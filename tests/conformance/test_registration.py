# SPDX-License-Identifier: MIT
"""An exit's control socket ("Registration")."""
import asyncio
import hashlib
import json
import os
from contextlib import suppress

import pytest
from relay_peers import PATIENCE, Closed, Room, base64url, from_base64url, scenario


def altered(relay, field):
    """The right answer but for one bit of `field`."""
    def answer(room, nonce, instance):
        message = room.answer(nonce, relay.authority, instance)
        raw = bytearray(from_base64url(message[field]))
        raw[0] ^= 1
        return {**message, field: base64url(bytes(raw))}
    return answer


def without_authority(room, nonce, instance):
    """Signed without the host's digest, as an older scheme might."""
    signed = room.key.sign(b"zks/1 register" + nonce + room.id_bytes + instance)
    return {"type": "register", "room_key": base64url(room.public), "signature": base64url(signed)}


WRONG = {
    "signature": lambda relay: altered(relay, "signature"),
    "room_key": lambda relay: altered(relay, "room_key"),
    "key of another room": lambda relay: lambda room, nonce, instance: Room().answer(nonce, relay.authority, instance),
    "nonce": lambda relay: lambda room, nonce, instance: room.answer(os.urandom(32), relay.authority, instance),
    "host": lambda relay: lambda room, nonce, instance: room.answer(nonce, "other.example", instance),
    "port": lambda relay: lambda room, nonce, instance: room.answer(nonce, relay.authority + "1", instance),
    "no host": lambda relay: without_authority,
    "instance": lambda relay: lambda room, nonce, instance: room.answer(nonce, relay.authority, os.urandom(8)),
    "no type": lambda relay: lambda room, nonce, instance: {**room.answer(nonce, relay.authority, instance), "type": "x"},
    "short signature": lambda relay: lambda room, nonce, instance: {
        **room.answer(nonce, relay.authority, instance), "signature": "AAAA"},
    "ping": lambda relay: lambda room, nonce, instance: "ping",
    "empty object": lambda relay: lambda room, nonce, instance: "{}",
    "not json": lambda relay: lambda room, nonce, instance: "register",
    "member twice": lambda relay: lambda room, nonce, instance: json.dumps(
        room.answer(nonce, relay.authority, instance)).replace('{"type"', '{"type": "register", "type"'),
    "too long": lambda relay: lambda room, nonce, instance: {
        **room.answer(nonce, relay.authority, instance), "more": "x" * 1_024},
    "binary": lambda relay: lambda room, nonce, instance: b"binary",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_registration_needs_the_room_key(relay, wrong):
    async def attempt():
        room, instance = Room(), os.urandom(8)
        peer, nonce = await relay.challenge(room, instance)
        await peer.send(WRONG[wrong](relay)(room, nonce, instance))
        assert await peer.close_code() == 4403
        assert await (await relay.client(room)).close_code() == 4404, "nobody is registered"

    scenario(attempt())


def test_unknown_members_are_ignored(relay):
    async def attempt():
        room, instance = Room(), os.urandom(8)
        peer, nonce = await relay.challenge(room, instance)
        await peer.send({"later": [1, {"x": None}], **room.answer(nonce, relay.authority, instance)})
        assert await peer.receive() == {"type": "registered"}

    scenario(attempt())


def test_a_key_of_one_room_opens_no_other(relay):
    """The key and its signature are right in themselves, over either room's id."""
    async def attempt(signed_room):
        ours, theirs, instance = Room(), Room(), os.urandom(8)
        owner = await relay.register(theirs)
        peer, nonce = await relay.challenge(theirs, instance)
        signed = ours.key.sign(b"zks/1 register" + nonce + hashlib.sha256(relay.authority.encode()).digest() +
                               (ours if signed_room == "ours" else theirs).id_bytes + instance)
        await peer.send({"type": "register", "room_key": base64url(ours.public), "signature": base64url(signed)})
        assert await peer.close_code() == 4403
        client = await relay.client(theirs)
        await relay.take(theirs, await owner.receive())
        await client.expect_paired()

    for room in ("ours", "theirs"):
        scenario(attempt(room))


def test_a_signature_does_not_work_twice(relay):
    async def replay():
        room, instance = Room(), os.urandom(8)
        first, nonce = await relay.challenge(room, instance)
        answer = room.answer(nonce, relay.authority, instance)
        await first.send(answer)
        assert await first.receive() == {"type": "registered"}
        second, other_nonce = await relay.challenge(room, instance)
        assert other_nonce != nonce
        await second.send(answer)
        assert await second.close_code() == 4403
        await first.send("ping")
        assert await first.receive() == "pong"

    scenario(replay())


def test_a_newer_socket_of_an_instance_replaces_the_old(relay):
    async def replace():
        room, instance = Room(), os.urandom(8)
        old = await relay.register(room, instance)
        client = await relay.client(room)
        exit_half = await relay.take(room, await old.receive())
        await client.expect_paired()
        new = await relay.register(room, instance)
        assert await old.close_code() == 4409
        # Pairs live on, and the next one is the new socket's.
        await exit_half.expect_paired()
        await client.send(b"still here")
        assert await exit_half.receive() == b"still here"
        later = await relay.client(room)
        await relay.take(room, await new.receive())
        await later.expect_paired()
        # That the old one has gone takes nothing from the new one.
        await new.send("ping")
        assert await new.receive() == "pong"

    scenario(replace())


def test_only_a_registered_socket_replaces(relay):
    async def attempt():
        room, instance = Room(), os.urandom(8)
        owner = await relay.register(room, instance)
        peer, nonce = await relay.challenge(room, instance)
        await peer.send(Room().answer(nonce, relay.authority, instance))
        assert await peer.close_code() == 4403
        client = await relay.client(room)
        await relay.take(room, await owner.receive())
        await client.expect_paired()

    scenario(attempt())


def test_pairs_outlive_their_exits_control_socket(relay):
    async def leave():
        room = Room()
        room.control = await relay.register(room)
        async with relay.pair(room) as (client, exit_half):
            await room.control.close()
            while await (await relay.client(room)).close_code() != 4404:
                pass
            await client.send(b"x")
            assert await exit_half.receive() == b"x"
            await exit_half.send(b"y")
            assert await client.receive() == b"y"

    scenario(leave())


def test_eight_instances_a_room(relay):
    async def fill():
        room = Room()
        controls = [await relay.register(room) for _ in range(8)]
        peer, nonce = await relay.challenge(room, b"ninth-in")
        await peer.send(room.answer(nonce, relay.authority, b"ninth-in"))
        assert await peer.close_code() == 4403
        await controls[0].close()
        wait = asyncio.get_running_loop().time() + PATIENCE
        while True:  # the relay forgets the first one when it has seen the close
            with suppress(AssertionError, Closed):
                await relay.register(room, b"ninth-in")
                return
            assert asyncio.get_running_loop().time() < wait

    scenario(fill())


@pytest.mark.parametrize("message", [b"binary", "{}", '{"type":"mark","id":"x"}', '{"type":"registered"}',
                                     '{"type":"key_seen","epoch":0}', "pong", "x" * 2_000, b""])
def test_an_exit_sends_nothing_but_pings(relay, message):
    async def misbehave():
        control = await relay.register(Room())
        await control.send("ping")
        assert await control.receive() == "pong"
        await control.send(message)
        assert await control.close_code() == 1008

    scenario(misbehave())


@pytest.mark.parametrize("registered", [True, False], ids=["registered", "challenged"])
@pytest.mark.parametrize("message", [bytes(5_000), "x" * 5_000, bytes(600_000)], ids=["binary", "text", "long"])
def test_a_control_socket_takes_no_long_message(relay, registered, message):
    """It holds 4 KiB of a stranger, not what a pair's half may send."""
    async def misbehave():
        control = await relay.register(Room()) if registered else (await relay.challenge(Room(), b"instance"))[0]
        with suppress(Closed):
            await control.send(message)
        assert await control.close_code() in ((1009,) if registered else (1009, 4403))

    scenario(misbehave())


def test_strangers_in_a_room_keep_no_exit_out(relay):
    """Who only knows the room's name, says nothing to the challenge and holds on to the socket takes no exit's place."""
    async def crowd():
        room = Room()
        exits = {b"number-1": await relay.register(room, b"number-1")}
        for _ in range(64):
            await relay.challenge(room, os.urandom(8))
        exits[b"number-2"] = await relay.register(room, b"number-2")
        for instance, control in exits.items():
            client = await relay.client(room, instance)
            await relay.take(room, await control.receive())
            await client.expect_paired()

    scenario(crowd())


@pytest.mark.waits(10)
def test_a_challenge_has_to_be_answered_in_time(relay, profile):
    """Half-open: it was upgraded, and says nothing."""
    async def wait():
        peer, _ = await relay.challenge(Room(), b"instance")
        try:
            message = await asyncio.wait_for(peer.ws.recv(), profile.registration_seconds)
            raise AssertionError(f"unexpected: {message!r}")
        except Exception as ended:  # closed, with or without a code
            assert not isinstance(ended, (asyncio.TimeoutError, AssertionError)), ended
            assert peer.ws.close_code in (1006, 4403)

    scenario(wait())


@pytest.mark.needs("--upgrade-timeout")
@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_slow_upgrade_is_closed(relay_with, sent):
    relay = relay_with("--upgrade-timeout", "1s")
    with relay.raw() as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""
