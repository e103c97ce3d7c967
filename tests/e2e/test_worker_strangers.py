# SPDX-License-Identifier: MIT
"""What strangers can make the Worker hold or do, and that others are not hurt by it (docs/worker.md, "What a stranger
costs")."""
import os
import subprocess

import pytest
from harness.tunnel import RELAYS, start_relay
from relay_peers import RelayAccess, Room, base64url, client_path, from_base64url, pair_path, scenario
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
