# SPDX-License-Identifier: MIT
"""What strangers can make the Worker hold or do, and that others are not hurt by it (docs/worker.md, "What a stranger
costs")."""
import os

import pytest
from harness.tunnel import start_relay
from relay_peers import RelayAccess, Room, base64url, from_base64url, pair_path, scenario
from test_worker import counters

pytestmark = [pytest.mark.worker_relay("what is special to the Worker")]

MADE_UP = 500


@pytest.fixture
def worker_with(tmp_path, programs):
    def start(*options):
        program = start_relay(tmp_path, None, "--debug-counters", *options)
        programs.append(program)
        access = RelayAccess(program.url)
        access.program = program
        return access

    return start


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


@pytest.mark.parametrize("rate", ["0", "20/s"], ids=["no join rate", "the usual join rate"])
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

    scenario(storm())
