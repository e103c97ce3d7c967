# SPDX-License-Identifier: MIT
"""What is special to the Worker on workerd: bounded memory without backpressure, the runtime killed in the middle of a
transfer, and idle rooms and pairs that cost nothing."""
import asyncio
import json
import os
import time

import pytest
from harness.chain import LOST, RESUMED, Chain, said
from harness.outages import pause
from harness.transfer import MIB, download
from harness.tunnel import start_relay
from relay_peers import RelayAccess, Room, scenario
from test_resume import Transfers

# Above what pairs may have queued: the sockets' own buffers, the garbage of the runtime's heap.
SLACK_BYTES = 128 * MIB
RUDE_PAIRS = 8
ROOMS, PAIRS = 1_000, 100
PING_SECONDS = 25
JOINS_AT_ONCE = 32

pytestmark = [pytest.mark.worker_relay("what is special to the Worker")]


@pytest.fixture
def worker(tmp_path, programs):
    program = start_relay(tmp_path, None, "--debug-counters")
    programs.append(program)
    access = RelayAccess(program.url)
    access.program = program
    return access


async def push(sender, size):
    """As fast as the socket takes it, whatever comes back, until the relay ends the pair: how much that was."""
    sent = 0
    try:
        while True:
            await sender.ws.send(bytes(size))
            sent += size
            await asyncio.sleep(0)
            assert sent < 64 * MIB, "nobody stops the sender"
    except Exception as ended:
        assert not isinstance(ended, AssertionError), ended
        return sent


@pytest.mark.parametrize("receiver", ["reads and never echoes", "does not read"])
def test_memory_is_bounded_and_other_rooms_go_on(worker, receiver):
    """Senders that look at nothing, and receivers that never say that they are behind."""
    async def flow():
        async with worker.pair() as (near, far):
            async with asyncio.timeout(100):
                before, peak = worker.program.resident_bytes(), 0
                pairs = [worker.pair() for _ in range(RUDE_PAIRS)]
                halves = [await pair.__aenter__() for pair in pairs]
                reading = []
                for _, exit_half in halves:
                    exit_half.echo = False
                    if receiver == "does not read":
                        exit_half.ws.transport.pause_reading()
                    else:
                        reading.append(asyncio.create_task(exit_half.close_code()))
                pushing = [asyncio.create_task(push(client, 64 * 1024)) for client, _ in halves]
                while not all(task.done() for task in pushing):
                    message = os.urandom(64 * 1024)
                    await near.send(message)
                    assert await far.receive() == message, "another room goes on"
                    peak = max(peak, worker.program.resident_bytes())
                assert [await client.close_code() for client, _ in halves] == [4413] * RUDE_PAIRS
                assert await asyncio.gather(*reading) == [4413] * len(reading)
                window = near.paired["window"]
                assert peak - before < RUDE_PAIRS * 2 * window + SLACK_BYTES, f"{(peak - before) // MIB} MiB"
                await asyncio.gather(*pushing)

    scenario(flow())


@pytest.mark.load
@pytest.mark.timeout(400)
def test_transfer_with_the_runtime_killed(tmp_path, authority, web, full):
    """workerd dies in the middle and comes back, three times: the same bytes at the end."""
    rate, kills = 16 * MIB, 3
    chain = Chain(tmp_path, authority)
    try:
        transfers = Transfers(chain, web, seconds=64 if full else 16, carry=(download,), rate=rate)
        try:
            for _ in range(kills):
                pause(3)
                assert transfers.running(), "the transfer spans all kills"
                chain.relay.kill()
                chain.relay.start()
            transfers.assert_complete(240)
        finally:
            transfers.close()
        assert said(chain.client, LOST) >= 1, "the lane was there to be lost"
        chain.client.says(RESUMED, times=said(chain.client, LOST))
        assert said(chain.client, RESUMED) == said(chain.client, LOST)
    finally:
        chain.kill()


def counters(worker):
    status, answer = worker.http(b"GET /debug/counters HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status == 200
    body = answer.split(b"\r\n\r\n", 1)[1]
    return json.loads(body[body.index(b"{"):body.rindex(b"}") + 1])


async def keep(peers, seconds):
    """Each sends `ping` every 25 s, not all at once, and gets its `pong`."""
    async def one(peer, delay):
        await asyncio.sleep(delay)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await peer.send("ping")
            assert await peer.receive() == "pong"
            await asyncio.sleep(PING_SECONDS)

    await asyncio.gather(*(one(peer, PING_SECONDS * i / len(peers)) for i, peer in enumerate(peers)))


@pytest.mark.load
@pytest.mark.timeout(900)
def test_idle_rooms_and_pairs_cost_nothing(worker, full, capsys):
    seconds = 600 if full else 60

    async def flow():
        limit = asyncio.Semaphore(JOINS_AT_ONCE)
        rooms = [Room() for _ in range(ROOMS)]

        async def register(room):
            async with limit:
                room.control = await worker.register(room)

        async def join(room):
            async with limit:
                client = await worker.client(room)
                exit_half = await worker.take(room, await room.control.receive())
                await client.expect_paired()
                await exit_half.expect_paired()
                return client, exit_half

        empty = worker.program.resident_bytes()
        await asyncio.gather(*(register(room) for room in rooms))
        with_rooms = worker.program.resident_bytes()
        pairs = await asyncio.gather(*(join(room) for room in rooms[:PAIRS]))
        with_pairs = worker.program.resident_bytes()
        peers = [room.control for room in rooms] + [half for pair in pairs for half in pair]
        # Registration's deadline is the last timer; it has gone off after 10 s.
        await keep(peers, 1)
        before = counters(worker)
        await keep(peers, seconds)
        assert counters(worker) == before, "no constructor and no handler runs for an idle room or pair"
        idle = worker.program.resident_bytes()
        with capsys.disabled():
            print(f"\nworkerd: {(with_rooms - empty) // ROOMS // 1024} KiB a room, {(with_pairs - with_rooms) // PAIRS // 1024}"
                  f" KiB a pair; {idle // MIB} MiB after {seconds} s of {ROOMS} idle rooms and {PAIRS} idle pairs")
        for client, exit_half in pairs:
            await client.send(b"awake")
            assert await exit_half.receive() == b"awake"
            await exit_half.send(b"too")
            assert await client.receive() == b"too"
        after = counters(worker)
        with capsys.disabled():
            print(f"workerd: {before} when all were there, {after} when each pair had passed a message on")
        assert after["room_events"] == before["room_events"]

    scenario(flow(), 850)
