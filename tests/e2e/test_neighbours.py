# SPDX-License-Identifier: MIT
"""What one invite or one device of it takes of an exit, beside another user who still gets what he needs: sessions, names,
and what carries nothing."""
import asyncio
import base64
import contextlib
import resource
import socket

import pytest
from dissononce.dh.x25519.x25519 import X25519DH
from harness import honest_user, load, servers, socks, udp
from harness.chain import assert_serves
from harness.dns import DnsServer
from harness.process import wait_until
from harness.session_client import SessionClient
from harness.tunnel import make_invite, start_client, start_exit, start_relay
from harness.watching import status
from relay_peers import Closed, RelayAccess, scenario

MAX_SESSIONS = 12
SITE = "good.test"
both_kinds = pytest.mark.parametrize("kind", ["user", "sharer"], ids=["an-invite-each", "one-link-for-both"])
LEAST_BYTES = 64  # of a datagram and of a connection


class Silent(DnsServer):
    """Never answers for names that begin with "slow"."""

    def _answer(self, query):
        answer = super()._answer(query)
        if self.asked[-1][0].startswith("slow"):
            raise IndexError("no answer")
        return answer


@pytest.fixture
def place(tmp_path, programs):
    """An exit with a few places for sessions; `user()` is a client with an invite of its own, `sharer()` one with the exit's
    default link."""
    dns = Silent({SITE: ["127.0.0.1"]})
    relay = start_relay(tmp_path)
    programs.append(relay)
    exit_peer = start_exit(tmp_path, relay.url, "--max-sessions", str(MAX_SESSIONS), resolver=dns.address)
    programs.append(exit_peer)
    exit_peer.relay = relay

    def user(name, *options):
        client = start_client(tmp_path, make_invite(exit_peer, name, *options), name=name)
        programs.append(client)
        return client

    def sharer(name):
        client = start_client(tmp_path, exit_peer.link(), name=name)
        programs.append(client)
        return client

    exit_peer.user, exit_peer.sharer = user, sharer
    yield exit_peer
    dns.close()


def sessions_by_invite(exit_peer):
    names = [session["invite"] for session in status(exit_peer)["exit"]["sessions"]]
    return {name: names.count(name) for name in names}


@pytest.mark.load
@pytest.mark.parametrize("devices", [1, 3])
def test_one_invite_takes_no_session_of_another(place, tmp_path, devices):
    """Many sessions of one device, or of the few that an invite has: who was in stays in, and who comes gets in."""
    calm = place.user("calm")
    wild = make_invite(place, "wild", "--devices", str(devices))
    late = make_invite(place, "late")
    alone = honest_user.at_exit(calm.proxy, late, tmp_path)
    keys = [X25519DH().generate_keypair() for _ in range(devices)]

    async def stay(key, begun):
        relay = RelayAccess(place.relay.url)
        peer = await relay.connect(f"/v1/rooms/{wild.room}/client")
        session = SessionClient(peer, wild, key)
        try:
            await session.start(base64.b32decode(wild.room.upper()))
            begun.append(session)
            while True:
                with contextlib.suppress(asyncio.TimeoutError):
                    await session.step()
        except Closed:
            begun.append(None)  # refused, or it had to give way

    async def crowd():
        begun = []
        crowd = [asyncio.create_task(stay(keys[i % devices], begun)) for i in range(3 * MAX_SESSIONS)]
        while len(begun) < len(crowd):
            await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()
        held = await loop.run_in_executor(None, sessions_by_invite, place)
        assert held == {"calm": 1, "wild": MAX_SESSIONS - 1}, "the control: it takes all that nobody else has"
        beside = await loop.run_in_executor(None, honest_user.at_exit, calm.proxy, late, tmp_path)
        honest_user.assert_stays(alone, beside)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

    scenario(crowd())
    assert "calm" in sessions_by_invite(place)
    place.says("its place was needed by somebody who has fewer")


@pytest.mark.load
@both_kinds
def test_names_that_nobody_answers_stop_only_who_asks_for_them(place, tmp_path, kind):
    calm, wild = getattr(place, kind)("calm"), getattr(place, kind)("wild")
    late = make_invite(place, "late")
    alone = honest_user.at_exit(calm.proxy, late, tmp_path, SITE)
    with servers.accepting() as server, contextlib.ExitStack() as waiting:
        for i in range(600):
            sock = waiting.enter_context(socks.greet(wild.proxy))
            sock.sendall(socks.request(f"slow{i}.test", 80))
        wait_until(lambda: status(place)["exit"]["counters"]["failed_streams"].get("limit", 0) > 0, 20,
                   "its share of the lookups is taken")
        honest_user.assert_stays(alone, honest_user.at_exit(calm.proxy, late, tmp_path, SITE))
        socks_error = None
        try:
            socks.connect(wild.proxy, SITE, server.port).close()
        except socks.SocksError as error:
            socks_error = error
        assert socks_error is not None, "the control: who asks for them has none left"


@pytest.mark.load
@both_kinds
def test_connections_of_one_user_leave_descriptors_to_others(place, tmp_path, kind):
    calm, wild = getattr(place, kind)("calm"), getattr(place, kind)("wild")
    late = make_invite(place, "late")
    alone = honest_user.at_exit(calm.proxy, late, tmp_path)
    descriptors = 400
    resource.prlimit(place.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
    with servers.accepting() as server, contextlib.ExitStack() as held:
        code = 0
        while code == 0:
            try:
                held.enter_context(socks.connect(wild.proxy, "127.0.0.1", server.port))
                held.enter_context(server.next())
            except socks.SocksError as error:
                code = error.code
        place.says("stream refused: this device's share of all connections is in use")
        honest_user.assert_stays(alone, honest_user.at_exit(calm.proxy, late, tmp_path))
        for _ in range(20):
            held.enter_context(socks.connect(calm.proxy, "127.0.0.1", server.port))
            held.enter_context(server.next())
        status(place)
    assert_serves(wild.proxy)


@pytest.mark.load
def test_what_carries_nothing_counts(place, tmp_path):
    count = 20
    calm, late = place.user("calm"), make_invite(place, "late")
    alone = honest_user.at_exit(calm.proxy, late, tmp_path)
    wild = place.user("wild", "--quota", str(LEAST_BYTES * count))
    with udp.UdpServer() as echo, udp.Association(wild.proxy) as association:
        for _ in range(10 * count):
            association.send(*echo.address, b"")
        wait_until(lambda: session_of(place, "wild")["invite_used_bytes"] >= LEAST_BYTES * count, 10, "its quota is used up")
        answers = 0
        association.socket.settimeout(udp.QUIET)
        with contextlib.suppress(TimeoutError, socket.timeout):
            while association.receive():
                answers += 1
        assert answers <= count
    connector = place.user("connector", "--quota", str(LEAST_BYTES * count))
    with servers.accepting() as server:
        codes = []
        for _ in range(2 * count):
            try:
                socks.connect(connector.proxy, "127.0.0.1", server.port).close()
                codes.append(0)
            except socks.SocksError as error:
                codes.append(error.code)
    assert codes == [0] * count + [socks.NOT_ALLOWED] * count
    with udp.UdpServer() as echo, udp.Association(wild.proxy) as association, \
            load.under(lambda: association.send(*echo.address, b""), 2_000):
        honest_user.assert_stays(alone, honest_user.at_exit(calm.proxy, late, tmp_path))


def session_of(exit_peer, invite):
    (session,) = [session for session in status(exit_peer)["exit"]["sessions"] if session["invite"] == invite]
    return session
