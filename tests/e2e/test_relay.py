# SPDX-License-Identifier: MIT
"""The relay by itself: each row, limit and close code of PROTOCOL.md, "The relay", from outside."""
import asyncio
import json
import os
import resource
import signal
import time
from contextlib import suppress

import pytest
from harness.process import RELAY_PROGRAM, ReadyProgram, run, wait_until
from harness.tunnel import start_relay
from relay_peers import (PATIENCE, Closed, RelayAccess, Room, base64url, client_path, drop_all, exit_path, from_base64url,
                         pair_path, upgrade_request)

KIB = 1024
MIB = 1024 * KIB
MARK_EVERY = 256 * KIB
WINDOW = 16 * MIB


@pytest.fixture(scope="module", params=["plain-1", "tls-3"])
def relay(request, tmp_path_factory, authority):
    """Access to a shared relay: plaintext on one loop, and TLS on three."""
    kind, threads = request.param.split("-")
    directory = tmp_path_factory.mktemp(f"relay-{request.param}")
    certificate = authority.issue() if kind == "tls" else None
    program = start_relay(directory, certificate, "--threads", threads, "--log-level", "debug")
    access = RelayAccess(program.url, authority.ca_file if certificate else None)
    access.program = program
    yield access
    assert program.alive()
    assert program.stop() == 0


@pytest.fixture
def own_relay(tmp_path, programs):
    """Starts a plaintext relay with options of a test's own."""

    def start(*options, **more):
        program = start_relay(tmp_path, None, *options, **more)
        programs.append(program)
        access = RelayAccess(program.url)
        access.program = program
        return access

    return start


def scenario(coroutine):
    """Runs a test's peers, and cuts those that it leaves."""

    async def run_and_clean():
        try:
            await asyncio.wait_for(coroutine, 120)
        finally:
            await drop_all()

    asyncio.run(run_and_clean())


# ---- plain HTTP


def test_healthz(relay):
    status, answer = relay.http(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status == 200
    health = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    assert health["version"] and health["uptime"] >= 0


@pytest.mark.parametrize("request_line", [
    "GET / HTTP/1.1", "GET /metrics HTTP/1.1", "POST /healthz HTTP/1.1", "HEAD /healthz HTTP/1.1", "GET /healthz?a HTTP/1.1",
    "GET /v1/rooms/ HTTP/1.1", "GET /v1/rooms/abc/client HTTP/1.1",
    "GET /v1/rooms/" + "A" * 32 + "/client HTTP/1.1", "GET /v1/rooms/" + "a" * 32 + "/client HTTP/1.1"])
def test_anything_else_is_404(relay, request_line):
    status, answer = relay.http((request_line + "\r\nHost: localhost\r\n\r\n").encode())
    assert status == 404
    assert b"Boost" not in answer and b"zks" not in answer


@pytest.mark.parametrize("path", [
    "/v1/rooms/{room}", "/v1/rooms/{room}/", "/v1/rooms/{room}/client/", "/v1/rooms/{room}/client?instance=",
    "/v1/rooms/{room}/client?instance=AAAA", "/v1/rooms/{room}/client?other=1", "/v1/rooms/{room}/exit",
    "/v1/rooms/{room}/exit?instance=AAAAAAAAAA", "/v1/rooms/{room}/pairs/", "/v1/rooms/{room}/pairs/AAAA", "/healthz"])
def test_upgrades_elsewhere_are_404(relay, path):
    status, _ = relay.http(upgrade_request(path.replace("{room}", Room().id)))
    assert status == (200 if path == "/healthz" else 404)


def test_long_url_is_414(relay):
    room = Room()
    at_limit = client_path(room) + "?" + "a" * (512 - len(client_path(room)) - 1)
    assert relay.http(upgrade_request(at_limit))[0] == 404
    assert relay.http(upgrade_request(at_limit + "a"))[0] == 414
    assert relay.http(upgrade_request("/" + "a" * 20_000))[0] == 414


def test_long_headers_are_431(relay):
    path = client_path(Room())
    assert relay.http(upgrade_request(path, "X-Long: " + "a" * 9_000))[0] == 431
    assert relay.http(upgrade_request(path, *(f"X-{i}: a" for i in range(2_000))))[0] == 431


@pytest.mark.parametrize("request_bytes", [
    b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n"])
def test_what_is_not_http_is_refused(relay, request_bytes):
    with relay.raw() as connection:
        connection.sendall(request_bytes + b"x" * 100)
        answer = connection.recv(100)
    assert answer == b"" or b" 400 " in answer


def test_bytes_ahead_of_the_upgrade_are_refused(relay):
    assert relay.http(upgrade_request(client_path(Room())) + b"\x82\x80abcd")[0] == 400


# ---- registration


def test_registration_needs_the_room_key(relay):
    async def attempt(answer_of):
        room, instance = Room(), os.urandom(8)
        peer, nonce = await relay.challenge(room, instance)
        await peer.send(answer_of(room, nonce, instance))
        return await peer.close_code()

    def altered(field):
        def answer(room, nonce, instance):
            message = room.answer(nonce, relay.authority, instance)
            raw = bytearray(from_base64url(message[field]))
            raw[0] ^= 1
            return {**message, field: base64url(bytes(raw))}
        return answer

    async def run_all():
        other = Room()
        for wrong in (altered("signature"), altered("room_key"),
                      lambda room, nonce, instance: other.answer(nonce, relay.authority, instance),
                      lambda room, nonce, instance: room.answer(os.urandom(32), relay.authority, instance),
                      lambda room, nonce, instance: room.answer(nonce, "other.example", instance),
                      lambda room, nonce, instance: room.answer(nonce, relay.authority, os.urandom(8)),
                      lambda room, nonce, instance: "ping", lambda room, nonce, instance: "{}",
                      lambda room, nonce, instance: b"binary"):
            assert await attempt(wrong) == 4403

    scenario(run_all())


def test_registration_only_under_the_relays_own_name(relay):
    """A signature is bound to a name; the relay must not take one that was made for another relay."""
    def status(host):
        return relay.http(upgrade_request(exit_path(Room(), os.urandom(8)), host=host))[0]

    assert status("other.example") == 421
    assert status(f"other.example:{relay.port}") == 421
    assert status("") in (400, 421)
    with relay.raw() as connection:
        connection.sendall(upgrade_request(exit_path(Room(), os.urandom(8)), host=f"localhost:{relay.port}"))
        assert connection.recv(64).startswith(b"HTTP/1.1 101 ")


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
        new = await relay.register(room, instance)
        assert await old.close_code() == 4409
        client = await relay.client(room)
        exit_half = await relay.take(room, await new.receive())
        await client.expect_paired()
        await exit_half.expect_paired()

    scenario(replace())


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


def test_an_exit_sends_nothing_but_pings(relay):
    async def misbehave(message):
        control = await relay.register(Room())
        await control.send("ping")
        assert await control.receive() == "pong"
        await control.send(message)
        assert await control.close_code() == 1008

    for message in (b"binary", "{}", '{"type":"mark","id":"x"}', '{"type":"registered"}', "pong", "x" * 2_000):
        scenario(misbehave(message))


# ---- knocking


def test_no_exit_is_4404(relay):
    async def join():
        room = Room()
        assert await (await relay.client(room)).close_code() == 4404
        await relay.register(room, b"instance")
        assert await (await relay.client(room, b"another!")).close_code() == 4404

    scenario(join())


def test_instances_are_knocked_on_in_turn(relay):
    async def join():
        room = Room()
        controls = [await relay.register(room) for _ in range(3)]
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

    scenario(join())


def test_a_knock_that_is_not_taken_goes_to_the_next_instance(relay):
    async def join():
        room = Room()
        controls = [await relay.register(room) for _ in range(2)]
        client = await relay.client(room)
        first, second = await asyncio.gather(*(control.receive() for control in controls))
        assert first == second
        exit_half = await relay.take(room, second)
        await client.expect_paired()
        await exit_half.expect_paired()

    scenario(join())


def test_a_pair_waits_ten_seconds(relay):
    async def join():
        room = Room()
        control = await relay.register(room)
        client = await relay.client(room)
        knock = await control.receive()
        await client.send("ping")
        assert await client.receive() == "pong"
        assert await client.close_code() == 4410  # an exit is there, it only did not come
        assert await (await relay.take(room, knock)).close_code() == 4410

    scenario(join())


def test_unknown_used_and_foreign_pairs_are_4410(relay):
    async def claim():
        room, other = Room(), Room()
        control = await relay.register(room)
        await relay.register(other)
        unknown = await relay.connect(pair_path(room, base64url(os.urandom(16))))
        assert await unknown.close_code() == 4410
        client = await relay.client(room)
        knock = await control.receive()
        assert await (await relay.connect(pair_path(other, knock["pair"]))).close_code() == 4410
        exit_half = await relay.take(room, knock)
        assert await (await relay.take(room, knock)).close_code() == 4410
        await client.expect_paired()
        await exit_half.send(b"still works")
        assert await client.receive() == b"still works"

    scenario(claim())


def test_a_pair_whose_client_left_is_4410(relay):
    async def claim():
        room = Room()
        control = await relay.register(room)
        client = await relay.client(room)
        knock = await control.receive()
        await client.close()
        # The close was answered, so the relay knows.
        assert await (await relay.take(room, knock)).close_code() in (4410, 4000)

    scenario(claim())


# ---- pairs


def test_both_halves_get_the_same_new_key(relay):
    async def join():
        keys = set()
        for _ in range(3):
            async with relay.pair() as (client, exit_half):
                assert client.paired == exit_half.paired
                assert (client.paired["version"], client.paired["epoch"], client.paired["window"]) == (1, 0, WINDOW)
                assert len(from_base64url(client.paired["remote_key"])) == 32
                keys.add(client.paired["remote_key"])
        assert len(keys) == 3

    scenario(join())


def test_messages_pass_unchanged_in_order(relay):
    async def exchange(sender, receiver):
        sizes = [0, 1, 125, 126, 65_535, 65_536, 256 * KIB, MIB] + [1_000] * 200
        messages = [os.urandom(size) for size in sizes]

        async def send_all():
            for message in messages:
                await sender.send(message)

        sending = asyncio.create_task(send_all())
        for message in messages:
            assert await receiver.receive() == message
        await sending

    async def both_ways():
        async with relay.pair() as (client, exit_half):
            await asyncio.gather(exchange(client, exit_half))
            await asyncio.gather(exchange(exit_half, client))

    scenario(both_ways())


@pytest.mark.parametrize("code,passed", [(1000, 1000), (1001, 1001), (4403, 4403), (1002, 4000), (1008, 4000),
                                         (1011, 4000), (1012, 4000), (3000, 4000), (4000, 4000), (4404, 4000),
                                         (4413, 4000), (4999, 4000)])
def test_close_codes(relay, code, passed):
    async def close():
        async with relay.pair() as (client, exit_half):
            await client.close(code)
            assert await exit_half.close_code() == passed
        async with relay.pair() as (client, exit_half):
            await exit_half.close(code)
            assert await client.close_code() == passed

    scenario(close())


def test_a_half_that_is_cut_ends_the_other_with_4000(relay):
    async def cut():
        async with relay.pair() as (client, exit_half):
            client.drop()
            assert await exit_half.close_code() == 4000

    scenario(cut())


def test_a_close_comes_after_what_was_sent_before(relay):
    async def close():
        async with relay.pair() as (client, exit_half):
            for i in range(50):
                await client.send(bytes([i]) * 1_000)
            await client.close(1000)
            for i in range(50):
                assert await exit_half.receive() == bytes([i]) * 1_000
            assert await exit_half.close_code() == 1000

    scenario(close())


def test_pings_are_answered(relay):
    async def ping():
        async with relay.pair() as (client, exit_half):
            for peer in (client, exit_half):
                for _ in range(300):
                    await peer.send("ping")
                for _ in range(300):
                    assert await peer.receive() == "pong"

    scenario(ping())


@pytest.mark.parametrize("text", ["", "pong", "hello", "{}", "[]", '{"type":"mark"}', '{"type":"mark","id":"AAAA"}',
                                  '{"type":"key_seen","epoch":0}', '{"type":"key_seen","epoch":1}',
                                  '{"type":"registered"}', "x" * 2_000])
def test_any_other_text_is_1008(relay, text):
    async def misbehave():
        async with relay.pair() as (client, exit_half):
            await client.send(text)
            assert await client.close_code() == 1008
            assert await exit_half.close_code() == 4000

    scenario(misbehave())


def test_binary_before_paired_is_1008(relay):
    async def misbehave():
        room = Room()
        await relay.register(room)
        client = await relay.client(room)
        await client.send(b"too early")
        assert await client.close_code() == 1008

    scenario(misbehave())


def test_a_message_over_one_mebibyte_is_1009(relay):
    async def misbehave():
        async with relay.pair() as (client, exit_half):
            with suppress(Closed):
                await client.send(bytes(MIB + 1))
            assert await client.close_code() == 1009
            assert await exit_half.close_code() == 4000

    scenario(misbehave())


def test_broken_frames_end_the_pair(relay):
    async def misbehave(frame, code):
        async with relay.pair() as (client, exit_half):
            client.ws.transport.write(frame)
            assert await client.close_code() == code
            assert await exit_half.close_code() == 4000

    scenario(misbehave(b"\x82\x01a", 1002))                          # not masked
    scenario(misbehave(b"\xc2\x81abcdx", 1002))                      # a reserved bit
    scenario(misbehave(b"\x83\x81abcdx", 1002))                      # a reserved opcode
    scenario(misbehave(b"\x81\x81\x00\x00\x00\x00\xff", 1007))       # text that is not UTF-8


# ---- marks


def test_a_mark_after_every_256_kib(relay):
    async def flow():
        async with relay.pair() as (client, exit_half):
            messages = 4 * WINDOW // MARK_EVERY
            for _ in range(messages):
                await client.send(bytes(MARK_EVERY))
                await exit_half.receive()
            await client.send(b"end")
            assert await exit_half.receive() == b"end"
            assert len(exit_half.marks) == messages
            assert len(set(exit_half.marks)) == messages
            assert client.marks == []
            # An echo counts once.
            await exit_half.send({"type": "mark", "id": exit_half.marks[0]})
            assert await exit_half.close_code() == 1008

    scenario(flow())


def test_more_than_the_window_behind_is_4413(relay):
    async def flow():
        async with relay.pair() as (client, exit_half):
            exit_half.echo = False
            received = 0

            async def send_on():
                with suppress(Closed):
                    while True:
                        await client.send(bytes(MARK_EVERY))
                        await asyncio.sleep(0)  # a send that need not wait lets nothing else run

            sending = asyncio.create_task(send_on())
            with pytest.raises(Closed) as closed:
                while True:
                    received += len(await exit_half.receive())
            assert closed.value.code == 4413
            assert received == WINDOW + 2 * MARK_EVERY
            assert await client.close_code() == 4413
            await sending

    scenario(flow())


def test_old_marks_may_be_echoed_late_within_the_window(relay):
    async def flow():
        async with relay.pair() as (client, exit_half):
            exit_half.echo = False
            for _ in range(3):
                for _ in range(WINDOW // MARK_EVERY):
                    await client.send(bytes(MARK_EVERY))
                    await exit_half.receive()
                await client.send(b"end")
                assert await exit_half.receive() == b"end"
                for mark in exit_half.marks:
                    await exit_half.send({"type": "mark", "id": mark})
                exit_half.marks.clear()
            await exit_half.send("ping")
            assert await exit_half.receive() == "pong"

    scenario(flow())


# ---- a receiver that does not read


def test_a_stalled_receiver_stops_only_its_sender(relay):
    async def flow():
        async with relay.pair() as (client, exit_half), relay.pair() as (other_client, other_exit):
            exit_half.ws.transport.pause_reading()
            before = relay.program.resident_bytes()
            sent = 0
            with pytest.raises(asyncio.TimeoutError):
                while True:
                    await asyncio.wait_for(client.ws.send(bytes(MIB)), 2)
                    sent += MIB
                    assert sent < 256 * MIB
            # Two messages, a third half read, and what the TLS and WebSocket layers hold.
            assert relay.program.resident_bytes() - before < 16 * MIB
            for _ in range(32):
                await other_client.send(bytes(MIB))
                assert len(await other_exit.receive()) == MIB

    scenario(flow())


def test_a_peer_that_pings_and_does_not_read_is_held_back(relay):
    async def flow():
        control = await relay.register(Room())
        transport = control.ws.transport
        transport.pause_reading()
        before = relay.program.resident_bytes()
        pings = b"\x81\x84\x00\x00\x00\x00ping" * 100_000
        written, moved_at = 0, time.monotonic()
        waiting = 0
        while time.monotonic() - moved_at < 2:
            if transport.get_write_buffer_size() < len(pings):
                transport.write(pings)
                written += len(pings)
                assert written < 256 * MIB
            if transport.get_write_buffer_size() != waiting:
                waiting, moved_at = transport.get_write_buffer_size(), time.monotonic()
            await asyncio.sleep(0.01)
        assert relay.program.resident_bytes() - before < 8 * MIB
        control.drop()

    scenario(flow())


# ---- limits, on relays of their own


def test_pairs_of_a_room_are_limited(own_relay):
    relay = own_relay("--max-pairs-per-room", "2", "--max-pairs", "3")

    async def fill():
        room, other = Room(), Room()
        control = await relay.register(room)
        await relay.register(other)
        clients = [await relay.client(room) for _ in range(2)]
        assert await relay.status_of(client_path(room)) == 429
        third = await relay.client(other)
        assert await relay.status_of(client_path(Room())) == 503
        halves = [await relay.take(room, await control.receive()) for _ in range(2)]
        for client in clients:
            await client.expect_paired()
        assert await relay.status_of(client_path(room)) == 503
        await third.close()
        await halves[0].close()
        assert await clients[0].close_code() == 1000
        deadline = time.monotonic() + PATIENCE
        while await relay.status_of(client_path(room)) != 101:
            assert time.monotonic() < deadline

    scenario(fill())


def test_joins_of_an_address_are_limited(own_relay):
    relay = own_relay("--join-rate", "0.01/s")

    async def join():
        path = client_path(Room())
        assert await relay.status_of(path) == 101
        assert await relay.status_of(path) == 429
        assert await relay.status_of(exit_path(Room(), b"instance")) == 429
        # Not behind a trusted proxy, so what the header says does not count.
        assert await relay.status_of(path, {"X-Forwarded-For": "192.0.2.1"}) == 429
        # The exit's halves are not joins.
        assert await relay.status_of(pair_path(Room(), base64url(bytes(16)))) == 101

    scenario(join())


def test_behind_a_trusted_proxy_the_forwarded_address_counts(own_relay):
    relay = own_relay("--join-rate", "0.01", "--trusted-proxy", "127.0.0.0/8", "--trusted-proxy", "2001:db8::/32")

    async def status(forwarded):
        return await relay.status_of(client_path(Room()), {"X-Forwarded-For": forwarded})

    async def join():
        assert await status("192.0.2.1") == 101
        assert await status("192.0.2.1") == 429
        assert await status("192.0.2.2") == 101
        assert await status("192.0.2.3, 192.0.2.1, 127.0.0.9, 2001:db8::7") == 429
        assert await status("198.51.100.1, 192.0.2.4") == 101
        assert await status("198.51.100.2, 192.0.2.4:443") == 429
        assert await status("fd00::1") == 101
        assert await status("fd00::2") == 429  # the same /64

    scenario(join())


def test_silence_ends_a_connection(own_relay):
    relay = own_relay("--idle-timeout", "1s")

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


def test_messages_keep_a_connection(own_relay):
    relay = own_relay("--idle-timeout", "1s")

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


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_slow_upgrade_is_closed(own_relay, sent):
    relay = own_relay("--upgrade-timeout", "1s")
    with relay.raw() as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""


def test_a_slow_tls_handshake_is_closed(tmp_path, programs, authority):
    programs.append(start_relay(tmp_path, authority.issue(), "--upgrade-timeout", "1s"))
    plain = RelayAccess(f"ws://localhost:{programs[-1].port}")
    with plain.raw() as connection:
        connection.sendall(b"\x16\x03\x01")
        assert connection.recv(100) == b""


def test_a_slow_registration_is_closed(own_relay):
    relay = own_relay("--upgrade-timeout", "1s")

    async def wait():
        peer, _ = await relay.challenge(Room(), b"instance")
        assert await peer.close_code() in (1006, 4403)

    scenario(wait())


def test_handshakes_are_bounded(own_relay):
    relay = own_relay("--max-handshakes", "4", "--upgrade-timeout", "2s")
    silent = [relay.raw() for _ in range(4)]
    began = time.monotonic()
    status, _ = relay.http(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status == 200
    assert time.monotonic() - began > 1  # it had to wait for the silent ones to be given up
    for connection in silent:
        connection.close()


def test_pair_rate_holds_a_pair_back(own_relay):
    relay = own_relay("--pair-rate", "256KiB/s")

    async def flow():
        async with relay.pair() as (client, exit_half):
            began = time.monotonic()
            sending = asyncio.gather(*(client.send(bytes(64 * KIB)) for _ in range(16)))
            for _ in range(16):
                await exit_half.receive()
            await sending
            # 1 MiB, of which a quarter of a second's worth may come at once and the last message is not waited for.
            assert time.monotonic() - began > (1024 - 64 - 64) / 256 - 0.1

    scenario(flow())


def test_allowed_rooms(own_relay, tmp_path):
    allowed, later = Room(), Room()
    rooms = tmp_path / "rooms"
    rooms.write_text(f"# my rooms\n{allowed.id}  # the first\n\n")
    relay = own_relay("--allow-rooms", rooms)

    async def check(room, status):
        assert await relay.status_of(client_path(room)) == status
        assert await relay.status_of(exit_path(room, b"instance")) == status
        assert await relay.status_of(pair_path(room, base64url(bytes(16)))) == status

    async def after_reload(room, status, text):
        rooms.write_text(text)
        log = relay.program.stderr().count("read")
        relay.program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: relay.program.stderr().count("read") > log or
                   "not reloaded" in relay.program.stderr(), PATIENCE, "SIGHUP to be handled")
        await check(room, status)

    async def run_all():
        await check(allowed, 101)
        await check(later, 403)
        await after_reload(later, 101, f"{allowed.id}\n{later.id}\n")
        await after_reload(allowed, 403, f"{later.id}\n")
        await after_reload(later, 101, "not a room id\n")
        assert "line 1" in relay.program.stderr()

    scenario(run_all())


# ---- the process


def test_stopping_tells_everyone(relay, tmp_path, authority, programs):
    certificate = authority.issue() if relay.tls else None
    program = start_relay(tmp_path, certificate, "--threads", "3")
    programs.append(program)
    access = RelayAccess(program.url, authority.ca_file if certificate else None)

    async def stop():
        async with access.pair() as (client, exit_half), access.pair() as (stuck, stalled):
            control = await access.register(Room())
            waiting = await access.client(Room())
            assert await waiting.close_code() == 4404
            half_open = access.raw()
            stalled.ws.transport.pause_reading()
            with suppress(asyncio.TimeoutError):
                while True:
                    await asyncio.wait_for(stuck.ws.send(bytes(MIB)), 1)
            program.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            for peer in (client, exit_half, control):
                assert await peer.close_code() == 1012
            assert await asyncio.get_running_loop().run_in_executor(None, program.wait, 10) == 0
            assert time.monotonic() - began < 5.5
            half_open.close()

    scenario(stop())
    assert not program.ready_path.exists()


def test_an_idle_relay_stops_at_once(own_relay):
    relay = own_relay()
    relay.program.process.send_signal(signal.SIGINT)
    assert relay.program.wait(3) == 0
    assert not relay.program.ready_path.exists()


def test_a_renewed_certificate_is_used_after_sighup(tmp_path, programs, authority):
    certificate = authority.issue("localhost", "127.0.0.1")
    program = start_relay(tmp_path, certificate)
    programs.append(program)
    access = RelayAccess(program.url, authority.ca_file)

    def shown():
        with access.raw() as connection:
            return connection.getpeercert(binary_form=True)

    first = shown()
    authority.issue("localhost", "127.0.0.1")  # writes the same files
    assert shown() == first
    program.process.send_signal(signal.SIGHUP)
    wait_until(lambda: shown() != first, PATIENCE, "the new certificate")
    certificate.key.write_text("broken")
    second = shown()
    program.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in program.stderr(), PATIENCE, "the reload to fail")
    assert shown() == second


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_it_waits(own_relay):
    relay = own_relay()
    pid = relay.program.pid
    used = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 5, used + 5))
    connections = [relay.raw() for _ in range(20)]
    wait_until(lambda: "can't accept" in relay.program.stderr(), PATIENCE, "descriptors to run out")
    before = cpu_seconds(pid)
    time.sleep(1)
    assert cpu_seconds(pid) - before < 0.5  # it does not spin
    for connection in connections:
        connection.close()
    assert relay.http(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 200


def test_the_log_has_no_addresses(own_relay):
    relay = own_relay("--log-level", "trace", "--log-json")

    async def use():
        async with relay.pair() as (client, exit_half):
            await client.send(b"x")
            await exit_half.receive()
        await relay.status_of("/nothing")

    scenario(use())
    assert relay.program.stop() == 0
    lines = relay.program.stderr().splitlines()
    for line in lines:
        json.loads(line)
    assert [line for line in lines if "127.0.0.1" in line and "listens on" not in line] == []


def test_several_addresses_and_a_config_file(tmp_path, programs):
    config = tmp_path / "relay.toml"
    config.write_text('listen = ["127.0.0.1:0", "[::1]:0"]\nplaintext = true\nthreads = 1\n')
    program = ReadyProgram("relay", [RELAY_PROGRAM, "--config", config], tmp_path)
    programs.append(program)
    hosts = [program.address(i)[0] for i in range(2)]
    assert hosts == ["127.0.0.1", "::1"]
    for host, port in (program.address(i) for i in range(2)):
        access = RelayAccess(f"ws://localhost:{port}", host=host)
        assert access.http(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 200


@pytest.mark.parametrize("options,hint", [
    ([], "--plaintext"), (["--plaintext", "--tls-cert", "a"], "--plaintext"), (["--tls-cert", "/nonexistent"], "--tls-key"),
    (["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"], "/nonexistent"),
    (["--plaintext", "--listen", "relay.example:1"], "--listen"), (["--plaintext", "--listen", "127.0.0.1:99999"], "--listen"),
    (["--plaintext", "--threads", "0"], "--threads"), (["--plaintext", "--join-rate", "x"], "--join-rate"),
    (["--plaintext", "--pair-rate", "1"], "--pair-rate"), (["--plaintext", "--trusted-proxy", "10.0.0.0/33"], "--trusted-proxy"),
    (["--plaintext", "--rotate-bytes", "65535"], "--rotate-bytes"), (["--plaintext", "--rotate-seconds", "29"], "--rotate-seconds"),
    (["--plaintext", "--allow-rooms", "/nonexistent"], "/nonexistent"), (["--nothing"], "--nothing")])
def test_wrong_usage_is_one_line_and_status_2(options, hint):
    result = run([RELAY_PROGRAM, *options])
    assert result.returncode == 2
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if " warn" not in line]
    assert len(lines) == 1
    assert hint in lines[0]


def test_an_address_in_use_is_status_1(own_relay):
    relay = own_relay()
    result = run([RELAY_PROGRAM, "--plaintext", "--listen", f"127.0.0.1:{relay.port}"])
    assert result.returncode == 1
    assert "in use" in result.stderr.splitlines()[-1]


def test_help_and_version():
    shown = run([RELAY_PROGRAM, "--help"])
    assert shown.returncode == 0 and "zks-tunnel-relay --tls-cert" in shown.stdout
    assert run([RELAY_PROGRAM, "--version"]).stdout.startswith("zks-tunnel-relay ")
