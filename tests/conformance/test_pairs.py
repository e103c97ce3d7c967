# SPDX-License-Identifier: MIT
"""Two halves that were joined: `paired`, messages, what has no place, how one end's end reaches the other ("Pairing",
"Control messages", "Close codes")."""
import asyncio
import os
import time
from contextlib import suppress

import pytest
from profiles import KIB, MIB
from relay_peers import Closed, Room, from_base64url, scenario


def test_both_halves_get_the_same_new_key(relay, profile):
    async def join():
        keys = set()
        for _ in range(3):
            async with relay.pair() as (client, exit_half):
                assert client.paired == exit_half.paired
                assert (client.paired["version"], client.paired["epoch"]) == (1, 0)
                assert client.paired["window"] >= MIB
                assert profile.window in (None, client.paired["window"])
                assert len(from_base64url(client.paired["remote_key"])) == 32
                keys.add(client.paired["remote_key"])
        assert len(keys) == 3

    scenario(join())


def test_messages_pass_unchanged_in_order(relay, profile):
    sizes = [0, 1, 125, 126, 65_535, 65_536, 256 * KIB, profile.max_message] + [1_000] * 200

    async def exchange(sender, receiver):
        messages = [os.urandom(size) for size in sizes]
        received = []

        async def receive_all():
            for _ in messages:
                received.append(await receiver.receive())

        receiving = asyncio.create_task(receive_all())
        for message in messages:
            await sender.send(message)
            await asyncio.sleep(0)
        await receiving
        assert received == messages

    async def each_way():
        async with relay.pair() as (client, exit_half):
            await exchange(client, exit_half)
            await exchange(exit_half, client)

    scenario(each_way())


def test_fragments_arrive_as_one_message(relay):
    """RFC 6455, section 5.4, with a ping between them."""
    async def send():
        async with relay.pair() as (client, exit_half):
            async def parts():
                for part in (b"one, ", b"", b"two, "):
                    yield part
                    await client.ws.ping()
                yield b"three"

            await client.ws.send(parts())
            assert await exit_half.receive() == b"one, two, three"

    scenario(send())


def test_pings_are_answered(relay):
    async def ping():
        async with relay.pair() as (client, exit_half):
            for peer in (client, exit_half):
                for _ in range(300):
                    await peer.send("ping")
                for _ in range(300):
                    assert await peer.receive() == "pong"
                await asyncio.wait_for(await peer.ws.ping(), 20)

    scenario(ping())


@pytest.mark.parametrize("half", ["client", "exit"])
@pytest.mark.parametrize("text", ["", "pong", "PING", "ping ", "hello", "{}", "[]", '{"type":"mark"}',
                                  '{"type":"mark","id":"AAAA"}', '{"type":"mark","id":7}', '{"type":"key_seen"}',
                                  '{"type":"key_seen","epoch":0}', '{"type":"key_seen","epoch":1}',
                                  '{"type":"key_seen","epoch":-1}', '{"type":"key_seen","epoch":"0"}',
                                  '{"type":"registered"}', '{"type":"unknown"}', "x" * 2_000])
def test_any_other_text_is_1008(relay, text, half):
    async def misbehave():
        async with relay.pair() as halves:
            offender, other = halves if half == "client" else reversed(halves)
            await offender.send(text)
            assert await offender.close_code() == 1008
            assert await other.close_code() == 4000

    scenario(misbehave())


def test_a_message_that_is_too_long_is_1009(relay, profile):
    async def misbehave():
        async with relay.pair() as (client, exit_half):
            with suppress(Closed):
                await client.send(bytes(profile.too_long))
            assert await client.close_code() == 1009
            assert await exit_half.close_code() == 4000

    scenario(misbehave())


@pytest.mark.parametrize("frame", [b"\xc2\x81abcdx", b"\x83\x81abcdx", b"\x09\x80abcd", b"\x80\x80abcd"],
                         ids=["reserved bit", "reserved opcode", "ping in fragments", "nothing to continue"])
def test_broken_frames_end_the_pair(relay, profile, frame):
    async def misbehave():
        async with relay.pair() as (client, exit_half):
            client.ws.transport.write(frame)
            assert await client.close_code() in profile.broken_frame
            assert await exit_half.close_code() == 4000

    scenario(misbehave())


def test_frames_without_a_mask(relay, profile):
    async def misbehave():
        async with relay.pair() as (client, exit_half):
            client.ws.transport.write(b"\x82\x01a")
            try:
                assert await exit_half.receive() == b"a" and profile.lenient_masks
            except Closed as closed:
                assert closed.code == 4000
                assert await client.close_code() in profile.broken_frame

    scenario(misbehave())


def test_text_that_is_not_utf_8_ends_the_pair(relay, profile):
    async def misbehave():
        async with relay.pair() as (client, exit_half):
            client.ws.transport.write(b"\x81\x81\x00\x00\x00\x00\xff")
            assert await client.close_code() in profile.not_utf8
            assert await exit_half.close_code() == 4000

    scenario(misbehave())


# ---- ends


@pytest.mark.parametrize("code,passed", [(1000, 1000), (1001, 1001), (4403, 4403), (1002, 4000), (1003, 4000),
                                         (1007, 4000), (1008, 4000), (1009, 4000), (1011, 4000), (1012, 4000),
                                         (3000, 4000), (4000, 4000), (4404, 4000), (4409, 4000), (4410, 4000),
                                         (4413, 4000), (4999, 4000)])
def test_close_codes(relay, code, passed):
    async def close():
        async with relay.pair() as (client, exit_half):
            await client.close(code)
            assert client.ws.close_rcvd is not None, "the close was answered"
            assert await exit_half.close_code() == passed
        async with relay.pair() as (client, exit_half):
            await exit_half.close(code)
            assert exit_half.ws.close_rcvd is not None, "the close was answered"
            assert await client.close_code() == passed

    scenario(close())


def test_a_close_without_a_code_is_4000(relay):
    async def close():
        async with relay.pair() as (client, exit_half):
            client.ws.transport.write(b"\x88\x80abcd")
            assert await exit_half.close_code() == 4000

    scenario(close())


@pytest.mark.parametrize("half", ["client", "exit"])
def test_a_half_that_is_cut_ends_the_other_with_4000(relay, half):
    async def cut():
        async with relay.pair() as halves:
            gone, other = halves if half == "client" else reversed(halves)
            gone.drop()
            assert await other.close_code() == 4000

    scenario(cut())


def test_a_cut_client_before_paired_leaves_the_exit_registered(relay):
    async def cut():
        room = Room()
        control = await relay.register(room)
        (await relay.client(room)).drop()
        assert (await control.receive())["type"] == "knock"
        client = await relay.client(room)
        await relay.take(room, await control.receive())
        await client.expect_paired()

    scenario(cut())


@pytest.mark.waits(20)
@pytest.mark.parametrize("answers", [True, False], ids=["answered", "not answered"])
def test_the_connection_ends_after_a_close(relay, profile, answers):
    """The relay hangs up, whether its close is answered or not."""
    async def end():
        async with relay.pair() as (client, exit_half):
            if not answers:
                exit_half.ws.transport.pause_reading()
            await client.close(1000)
            if not answers:
                await asyncio.wait([exit_half.ws.transfer_data_task], timeout=profile.hangs_up_seconds)
                exit_half.ws.transport.resume_reading()
            assert await exit_half.close_code() in (1000, 1006)
            # The library waits as long for the end of the connection, before it ends it itself.
            exit_half.ws.close_timeout = profile.hangs_up_seconds
            began = time.monotonic()
            await exit_half.ws.wait_closed()
            assert time.monotonic() - began < profile.hangs_up_seconds

    scenario(end())


@pytest.mark.parametrize("ending,passed", [("close", 1000), ("cut", 4000)])
def test_the_end_comes_after_what_was_sent_before(relay, ending, passed):
    """The receiver begins to read only when the sender has gone."""
    async def end():
        async with relay.pair() as (client, exit_half):
            exit_half.ws.transport.pause_reading()
            for i in range(50):
                await client.send(bytes([i]) * 1_000)
            await client.send("ping")
            assert await client.receive() == "pong", "the relay has read all of it"
            if ending == "close":
                await client.close(1000)
            else:
                client.drop()
            exit_half.ws.transport.resume_reading()
            for i in range(50):
                assert await exit_half.receive() == bytes([i]) * 1_000
            assert await exit_half.close_code() == passed

    scenario(end())


def test_a_close_waits_for_a_receiver_that_is_behind(relay):
    """More than the kernels hold is on its way when the sender closes."""
    async def end():
        async with relay.pair() as (client, exit_half):
            exit_half.ws.transport.pause_reading()
            messages = [os.urandom(64 * KIB) for _ in range(client.paired["window"] * 3 // 4 // (64 * KIB))]

            async def send_and_close():
                for message in messages:
                    await client.send(message)
                await client.close(1000)

            sending = asyncio.create_task(send_and_close())
            await asyncio.wait([sending], timeout=2)
            exit_half.ws.transport.resume_reading()
            for message in messages:
                assert await exit_half.receive() == message
            assert await exit_half.close_code() == 1000
            await sending

    scenario(end())


@pytest.mark.needs("--idle-timeout")
def test_silence_ends_a_connection(relay_with):
    relay = relay_with("--idle-timeout", "1s")

    async def silence():
        async with relay.pair() as (client, exit_half):
            for _ in range(4):
                await client.send("ping")
                assert await client.receive() == "pong"
                await asyncio.sleep(0.2)
            assert await exit_half.close_code() == 1001
            assert await client.close_code() == 4000
        assert await (await relay.register(Room())).close_code() == 1001

    scenario(silence())


@pytest.mark.needs("--idle-timeout")
def test_messages_keep_a_connection(relay_with):
    relay = relay_with("--idle-timeout", "1s")

    async def talk():
        async with relay.pair() as (client, exit_half):
            for _ in range(15):
                await client.send(b"one way")
                await exit_half.send("ping")
                assert await exit_half.receive() in (b"one way", "pong")
                await asyncio.sleep(0.1)
            await client.send("ping")
            assert await client.receive() == "pong"

    scenario(talk())
