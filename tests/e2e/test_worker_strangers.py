# SPDX-License-Identifier: MIT
"""What strangers can make the Worker hold or do, and that others are not hurt by it (docs/guide/worker.md, "Limits
and memory")."""
import asyncio
import contextlib
import os
import socket
import struct
import subprocess

import pytest
from harness import honest_user, load, namespace
from harness.process import REPOSITORY, wait_until
from harness.transfer import MIB
from harness.tunnel import RELAYS
from relay_peers import (PATIENCE, Closed, Room, base64url, client_path, exit_path, from_base64url, joined, pair_path,
                         scenario)
from test_worker import counters

pytestmark = [pytest.mark.worker_relay("what is special to the Worker")]

MADE_UP = 500
HONEST = "127.0.0.2"


@pytest.fixture
def worker_with(own_relay):
    return lambda *options: own_relay("--debug-counters", *options)


async def exchange(near, far):
    message = os.urandom(10_000)
    await near.send(message)
    assert await far.receive() == message
    await far.send(message)
    assert await near.receive() == message


def altered(pair):
    """`pair` with each of its bytes changed."""
    known = from_base64url(pair)
    for at in range(len(known)):
        yield base64url(known[:at] + bytes([known[at] ^ 1]) + known[at + 1:])


@pytest.mark.load
@pytest.mark.parametrize("rate", ["0", "2/s"], ids=["no join rate", "a join rate"])
def test_made_up_pairs_construct_no_object(worker_with, rate):
    """As fast as one source can, beside a pair that goes on and one that waits."""
    worker = worker_with("--join-rate", rate)

    async def storm():
        room = Room()
        room.control = await worker.register(room)
        async with worker.pair(room) as (near, far):
            client = await worker.client(room)
            knock = await room.control.receive()
            before = counters(worker)
            answers = set()
            ids = [base64url(os.urandom(16)) for _ in range(MADE_UP)] + list(altered(knock["pair"]))
            for at, pair in enumerate(ids):
                answers.add(await worker.status_of(pair_path(room, pair)))
                if at % 50 == 0:
                    answers.add(await worker.status_of(pair_path(Room(), knock["pair"])))
                    await exchange(near, far)
            assert answers == ({410} if rate == "0" else {410, 429})
            after = counters(worker)
            assert after["pairs_constructed"] == before["pairs_constructed"]
            assert after["rooms_constructed"] == before["rooms_constructed"]
            assert after["room_events"] == before["room_events"]
            await worker.take(room, knock)
            await client.expect_paired()
            alone = await honest_user.at_relay(worker.from_source(HONEST))
            with load.under(lambda: worker.http(worker.upgrade(pair_path(room, base64url(os.urandom(16))))), 200):
                honest_user.assert_stays(alone, await honest_user.at_relay(worker.from_source(HONEST)))

    scenario(storm())


SILENT = 200


def silent_exit(worker, room):
    """A control socket that was upgraded, and of which nothing is heard again: no answer to the challenge, or to a close."""
    connection = worker.raw()
    connection.sendall(worker.upgrade(exit_path(room, os.urandom(8))))
    answer = b""
    while b"challenge" not in answer:
        answer += connection.recv(4096)
    return connection


@pytest.mark.load
def test_silent_control_sockets_keep_no_exit_out(worker_with):
    """In somebody else's room, before it is theirs: a second exit registers beside them, and is joined. Then they are cut."""
    worker = worker_with()

    async def register():
        room = Room()
        first = await worker.register(room, b"number-1")
        alone = await honest_user.at_relay(worker)
        with contextlib.ExitStack() as held:
            strangers = [held.enter_context(silent_exit(worker, room)) for _ in range(SILENT)]
            second = await worker.register(room, b"number-2")
            honest_user.assert_stays(alone, await honest_user.at_relay(worker))
            for name, control in ((b"number-1", first), (b"number-2", second)):
                await exchange(*await joined(worker, room, worker, control, instance=name))
            for stranger in strangers:
                stranger.settimeout(PATIENCE)
                while await asyncio.to_thread(stranger.recv, 4096):
                    pass
            for control in (first, second):
                await control.send("ping")
                assert await control.receive() == "pong", "nobody else is cut"

    scenario(register())


@pytest.mark.load
def test_clients_that_are_refused_are_cut(worker_with):
    """Told that there is no exit, in made-up rooms and in one with another exit, they do not answer their close."""
    worker = worker_with()

    async def refuse():
        known = Room()
        control = await worker.register(known, b"number-1")
        with contextlib.ExitStack() as held:
            refused = []
            for at in range(100):
                refused.append(held.enter_context(worker.raw()))
                refused[-1].sendall(worker.upgrade(client_path(known if at % 2 else Room(), b"number-2")))
            for connection in refused:
                connection.settimeout(PATIENCE)
                while await asyncio.to_thread(connection.recv, 4096):
                    pass
        await control.send("ping")
        assert await control.receive() == "pong"
        assert await worker.status_of(client_path(known)) == 101

    scenario(refuse())


def test_who_takes_nothing_is_ended_though_its_sender_is_silent_too(worker_with):
    """What waits for it would stay for as long as it likes. One that reads slowly, and a pair beside it, go on."""
    worker = worker_with("--write-timeout", "3s")

    async def flow():
        async with worker.pair() as (deaf, sender), worker.pair() as (slow, slow_sender), worker.pair() as beside:
            deaf.ws.transport.pause_reading()
            for _ in range(16):
                await sender.send(bytes(64 * 1024))
                await slow_sender.send(bytes(64 * 1024))
            ended = asyncio.ensure_future(sender.close_code())
            received = 0
            while not ended.done() or received < 16:
                await exchange(*beside)
                deaf.say("ping")
                if received < 16:
                    assert len(await slow.receive()) == 64 * 1024
                    received += 1
                await asyncio.sleep(0.4)  # 256 KiB take it half of the time that it has
            assert ended.result() == 4413
            await exchange(slow_sender, slow)
            await exchange(*beside)

    scenario(flow())


@pytest.mark.load
def test_pairs_that_hold_much_give_way(worker_with):
    """Each within its window, together more than may wait: the heaviest end until it is enough, and nobody else."""
    worker = worker_with("--max-held", "16MiB")
    pairs, pieces = 16, 32  # of 64 KiB: 2 MiB each

    async def flow():
        alone = await honest_user.at_relay(worker)
        async with worker.pair() as beside:
            held = [worker.pair() for _ in range(pairs)]
            rude = [await pair.__aenter__() for pair in held]
            for _, receiver in rude:
                receiver.ws.transport.pause_reading()
            ended = [asyncio.ensure_future(sender.close_code()) for sender, _ in rude]
            for _ in range(pieces):
                for sender, _ in rude:
                    with contextlib.suppress(Closed):
                        await sender.send(bytes(64 * 1024))
                await exchange(*beside)
            deadline = asyncio.get_running_loop().time() + PATIENCE
            while sum(task.done() for task in ended) < pairs // 2:
                assert asyncio.get_running_loop().time() < deadline
                await exchange(*beside)
            assert {task.result() for task in ended if task.done()} == {4413}
            left = [(pair, task) for pair, task in zip(rude, ended, strict=True) if not task.done()]
            assert len(left) >= pairs // 4, "no more than need be"
            for (sender, receiver), task in left[:2]:
                task.cancel()
                await asyncio.wait([task])
                receiver.ws.transport.resume_reading()
                for _ in range(pieces):
                    assert len(await receiver.receive()) == 64 * 1024
                await exchange(receiver, sender)
            # Who reads is never one of them, however much it is that passes.
            honest_user.assert_stays(alone, await honest_user.at_relay(worker))
            for _ in range(20):
                await beside[0].send(bytes(MIB))
                assert len(await beside[1].receive()) == MIB
            await exchange(*beside)

    scenario(flow())


SILENT_CONNECTIONS = 1_500
UNFINISHED, UNFINISHED_BYTES = 32, 16 * MIB
SLACK_BYTES = 192 * MIB


@pytest.mark.load
def test_connections_that_say_nothing_keep_nobody_out(worker_with, many_descriptors):
    """TCP connections without a request, or with half of one: others join beside them, and the runtime closes them."""
    worker = worker_with()
    many_descriptors()

    async def crowd():
        alone = await honest_user.at_relay(worker)
        with contextlib.ExitStack() as held:
            strangers = [held.enter_context(worker.raw()) for _ in range(SILENT_CONNECTIONS)]
            for stranger in strangers[::2]:
                stranger.sendall(b"GET /v1/rooms/")
            honest_user.assert_stays(alone, await honest_user.at_relay(worker))
            for stranger in strangers:
                stranger.settimeout(2 * PATIENCE)
                while await asyncio.to_thread(stranger.recv, 4096):
                    pass

    scenario(crowd())


def unfinished(worker, path):
    """A socket of a stranger that sent half of a message, and never the rest."""
    connection = worker.raw()
    connection.settimeout(PATIENCE)
    connection.sendall(worker.upgrade(path))
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101 ")
    head = b"\x82\xff" + struct.pack("!Q", 2 * UNFINISHED_BYTES) + bytes(4)
    with contextlib.suppress(OSError):
        connection.sendall(head + bytes(UNFINISHED_BYTES))
    return connection


@pytest.mark.load
def test_unfinished_messages_end_with_their_sockets(worker_with):
    """The runtime holds what came of a message; strangers' sockets are cut within seconds, and with them what they sent."""
    worker = worker_with()

    async def fill():
        alone = await honest_user.at_relay(worker)
        async with worker.pair() as (near, far):
            before = worker.program.resident_bytes()
            with contextlib.ExitStack() as held:
                strangers = []
                for at in range(UNFINISHED):
                    path = client_path(Room()) if at % 2 else exit_path(Room(), os.urandom(8))
                    strangers.append(held.enter_context(await asyncio.to_thread(unfinished, worker, path)))
                    await exchange(near, far)
                honest_user.assert_stays(alone, await honest_user.at_relay(worker))
                for stranger in strangers:
                    with contextlib.suppress(ConnectionResetError):
                        while await asyncio.to_thread(stranger.recv, 4096):
                            pass
                await asyncio.to_thread(wait_until, lambda: worker.program.resident_bytes() < before + SLACK_BYTES, PATIENCE,
                                        "what they sent is given back")
                await exchange(near, far)

    scenario(fill())


@pytest.mark.load
def test_a_room_that_slept_knows_whose_its_pairs_are(worker_with):
    """Of four places one guest has all: another one gets in, and the newest of those that the first one has ends."""
    worker = worker_with("--max-pairs-per-room", "4", "--trusted-proxy", "127.0.0.1")

    def source(number):
        return {"X-Forwarded-For": f"198.51.100.{number}"}

    async def fill():
        room = Room()
        control = await worker.register(room)
        greedy = []
        for _ in range(4):
            greedy.append(await joined(worker, room, worker, control, headers=source(1)))
        assert await worker.status_of(client_path(room), source(1)) == 429
        client, exit_half = await joined(worker, room, worker, control, headers=source(2))
        assert [await half.close_code() for half in greedy[3]] == [1013, 1013]
        for _ in range(20):
            assert await worker.status_of(client_path(room), source(1)) == 429
        await exchange(client, exit_half)
        await exchange(*greedy[0])
        # The runtime drops a Room from memory after 10 s without an event; what it knows is not lost.
        before = counters(worker)["rooms_constructed"]
        await asyncio.sleep(15)
        assert await worker.status_of(client_path(room), source(1)) == 429
        assert counters(worker)["rooms_constructed"] == before + 1
        assert await worker.status_of(client_path(room), source(3)) == 101
        assert [await half.close_code() for half in greedy[2]] == [1013, 1013]
        await exchange(client, exit_half)

    scenario(fill())


SPELLINGS = ("CF-Connecting-IP", "X-Forwarded-For", "X-Real-IP", "True-Client-IP", "Forwarded")


@pytest.mark.parametrize("options", [(), ("--trusted-proxy", "192.0.2.1"),
                                     ("--trusted-proxy", "192.0.2.0/24", "--source-header", "CF-Connecting-IP")],
                         ids=["no proxy", "another proxy", "another proxy with its header"])
def test_a_stranger_does_not_choose_whose_joins_are_counted(worker_with, options):
    worker = worker_with("--join-rate", "0.01/s", *options)  # one

    async def join():
        path = client_path(Room())
        assert await worker.status_of(path) == 101
        for number in range(20):
            headers = {name: f"198.51.100.{number}" for name in SPELLINGS}
            assert await worker.status_of(path, headers) == 429
            assert await worker.status_of(pair_path(Room(), base64url(os.urandom(16))), headers) == 429

    scenario(join())


def test_a_trusted_proxy_names_the_client(worker_with):
    """And what its clients wrote into the header before it does not count."""
    worker = worker_with("--join-rate", "0.01/s", "--trusted-proxy", "127.0.0.0/8")

    async def join():
        path = client_path(Room())
        for client in ("198.51.100.1", "198.51.100.2", "[2001:db8::1]:4000"):
            assert await worker.status_of(path, {"X-Forwarded-For": client}) == 101
            for made_up in range(5):
                assert await worker.status_of(path, {"X-Forwarded-For": f"203.0.113.{made_up}, {client}"}) == 429
        assert await worker.status_of(path, {"X-Forwarded-For": "2001:db8::2"}) == 429, "the same /64"

    scenario(join())


@pytest.mark.parametrize("options,said", [(("--source-header", "X-Real-IP"), "needs --trusted-proxy"),
                                          (("--trusted-proxy", "10.0.0.0/33"), "not an address block")])
def test_a_proxy_that_is_not_said_right_is_refused(options, said):
    done = subprocess.run([RELAYS["worker"], "--plaintext", "--listen", "127.0.0.1:0", *options], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1


FIREWALL = REPOSITORY / "docs" / "deploy" / "nftables.conf"
MOST_CONNECTIONS = 48


@pytest.mark.skipif(not namespace.possible(), reason="needs root, for a network namespace")
def test_the_firewall_of_the_guide_bounds_the_connections_of_a_source():
    """Those of another one are let in, and places come back."""
    with namespace.inside(["address add fd00:1::2/64 dev lo", "address add fd00:1::3/64 dev lo",
                           "address add fd00:2::2/64 dev lo"]):
        subprocess.run(["nft", "-f", FIREWALL], check=True)
        for family, ours, greedy, other in ((socket.AF_INET, "127.0.0.1", ("127.0.0.2",), "127.0.0.3"),
                                            (socket.AF_INET6, "::1", ("fd00:1::2", "fd00:1::3"), "fd00:2::2")):
            with contextlib.ExitStack() as held, socket.create_server((ours, 443), family=family, backlog=200):
                def dial(source):
                    return socket.create_connection((ours, 443), PATIENCE, source_address=(source, 0))

                first = [held.enter_context(dial(greedy[at % len(greedy)])) for at in range(MOST_CONNECTIONS)]
                for source in greedy:
                    with pytest.raises(ConnectionRefusedError):
                        dial(source)
                held.enter_context(dial(other))
                for connection in first:  # gone from the table at once, without TIME_WAIT
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()
                wait_until(lambda: dial(greedy[0]).close() is None, PATIENCE, "its places are free again")
