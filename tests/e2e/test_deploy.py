# SPDX-License-Identifier: MIT
"""Relays behind the web servers of docs/deploy/, set up from the files there: TLS at the front, a path prefix, addresses
by X-Forwarded-For; and two relays that share the rooms out by their names."""
import asyncio
import socket
import time

import pytest
import websockets
from harness import servers, socks
from harness.chain import LOST, RESUMED, assert_serves, said
from harness.fronts import Haproxy, Nginx
from harness.outages import unused_port
from harness.process import CLIENT_PROGRAM, run, wait_until
from harness.tunnel import start_client, start_exit, start_relay
from relay_peers import Closed, RelayAccess, Room, client_path, complete, open_peers, scenario, upgrade_request

pytestmark = pytest.mark.native_relay("a Worker has its platform in front of it")

FRONTS = {"nginx": Nginx, "haproxy": Haproxy}
ROOMS = 200
AT_ONCE = 20


def start_hidden_relay(directory, *extra, name="relay", port=0):
    return start_relay(directory, None, "--trusted-proxy", "127.0.0.1", "--name", "localhost", *extra, name=name, port=port)


@pytest.fixture(params=FRONTS)
def new_front(request, tmp_path, authority, programs):
    """Starts a relay with `options` and the front before it."""

    def start(*options):
        relay = start_hidden_relay(tmp_path, *options)
        programs.append(relay)
        front = FRONTS[request.param](tmp_path, authority.issue(), [relay.port])
        programs.append(front)
        return front

    return start


def test_a_tunnel_through_the_front(new_front, tmp_path, authority, programs):
    front = new_front()
    exit_peer = start_exit(tmp_path, front.url, ca_file=authority.ca_file)
    programs.append(exit_peer)
    assert f"localhost:{front.port}/zks/" in str(exit_peer.link())
    client = start_client(tmp_path, exit_peer.link(), ca_file=authority.ca_file)
    programs.append(client)
    assert_serves(client.proxy)
    done = run([CLIENT_PROGRAM, "check", "--link-file", exit_peer.link_file, "--state-dir", tmp_path / "check-state",
                "--relay-ca", authority.ca_file])
    assert done.returncode == 0, done.stdout


def test_only_the_prefix_is_the_relays(new_front, authority):
    front = new_front()
    access = RelayAccess(front.url, authority.ca_file)
    for path, status in (("/zks/healthz", 200), ("/healthz", 404), (client_path(Room()), 404), ("/zks/other", 404)):
        request = f"GET {path} HTTP/1.1\r\nHost: {access.authority}\r\n\r\n".encode()
        assert access.http(request)[0] == status, path


def test_joins_count_by_the_address_that_the_front_saw(new_front, authority):
    front = new_front("--join-rate", "0.01/s")
    access = RelayAccess(front.url, authority.ca_file)

    def join(source, *headers):
        plain = socket.create_connection(("127.0.0.1", front.port), 10, source_address=(source, 0))
        with access.tls.wrap_socket(plain, server_hostname="localhost") as connection:
            request = upgrade_request("/zks" + client_path(Room()), *headers, host=access.authority)
            connection.sendall(request)
            answer = b""
            while not complete(answer, request):
                part = connection.recv(4096)
                assert part, answer
                answer += part
        return int(answer.split(b" ", 2)[1])

    assert join("127.0.0.2") == 101
    assert join("127.0.0.2") == 429
    assert join("127.0.0.2", "X-Forwarded-For: 192.0.2.9") == 429, "what a stranger writes there does not count"
    assert join("127.0.0.3") == 101


class Farm:
    """Two relays behind HAProxy."""

    def __init__(self, directory, authority, programs):
        self.directory = directory
        self.ports = [unused_port(), unused_port()]
        self.relays = [None, None]
        self._lives = 0
        for number in (0, 1):
            self.start(number)
        programs.append(self)
        self.front = Haproxy(directory, authority.issue(), self.ports)
        programs.append(self.front)
        self.access = RelayAccess(self.front.url, authority.ca_file)
        self.direct = [RelayAccess(f"ws://127.0.0.1:{port}") for port in self.ports]

    def start(self, number):
        self._lives += 1
        self.relays[number] = start_hidden_relay(self.directory, name=f"relay{number}-{self._lives}",
                                                 port=self.ports[number])

    def kill(self):
        for relay in self.relays:
            relay.kill()

    def where(self, room):
        """The relays at which the room has an exit."""

        async def ask():
            return [number for number in (0, 1) if self.relays[number].alive() and await knocks(self.direct[number], room)]

        return asyncio.run(ask())


async def knocks(access, room):
    """Whether a client finds an exit of the room there: it is left waiting, or paired; without an exit it is told so at
    once."""
    peer = await access.connect(client_path(room))
    try:
        await asyncio.wait_for(peer.receive(), 1)
        return True
    except asyncio.TimeoutError:
        return True
    except Closed as closed:
        if closed.code == 4404:
            return False
        raise
    finally:
        peer.drop()
        open_peers.remove(peer)


@pytest.fixture
def farm(tmp_path, authority, programs):
    return Farm(tmp_path, authority, programs)


async def all_at_once(function, rooms):
    places = asyncio.Semaphore(AT_ONCE)

    async def one(room):
        async with places:
            return await function(room)

    return await asyncio.gather(*(one(room) for room in rooms))


def test_200_rooms_are_shared_out_and_found_again(farm):
    """Raw peers. Rooms of a relay that dies are served by the other; when it is back its rooms belong there again, and
    are found by clients as soon as their exits have registered anew, before they leave the old place."""
    rooms = [Room() for _ in range(ROOMS)]

    async def register(room):
        room.control = await farm.access.register(room, instance=b"instance")

    async def pair(room):
        """A byte each way through the front, between two that came there on their own."""
        async with farm.access.pair(room) as (client, exit_half):
            await client.send(b"up")
            assert await exit_half.receive() == b"up"
            await exit_half.send(b"down")
            assert await client.receive() == b"down"

    async def sides(of_rooms):
        # The control socket of a room is at one relay only: the other says 4404.
        found = await all_at_once(lambda room: is_at(0, room), of_rooms)
        return [0 if at_first else 1 for at_first in found]

    async def is_at(number, room):
        client = await farm.direct[number].connect(client_path(room))
        try:
            knock = asyncio.ensure_future(room.control.receive())
            gone = asyncio.ensure_future(client.close_code())
            done, _ = await asyncio.wait([knock, gone], return_when=asyncio.FIRST_COMPLETED, timeout=20)
            assert done
            if knock in done:
                gone.cancel()
                return True
            knock.cancel()
            assert gone.result() == 4404
            return False
        finally:
            client.drop()

    async def story():
        await all_at_once(register, rooms)
        home = await sides(rooms)
        here, there = ([room for room, at in zip(rooms, home, strict=True) if at == number] for number in (0, 1))
        assert min(len(here), len(there)) > ROOMS // 4, "shared out evenly"
        await all_at_once(pair, rooms)

        farm.relays[0].kill()
        await all_at_once(lambda room: room.control.close_code(), here)
        assert not any(room.control.ws.closed for room in there), "rooms of the other relay notice nothing"
        # Until then a request to the dead relay is tried again, and cut when that one is marked down.
        await asyncio.to_thread(farm.front.program.says, "Server relays/a is DOWN")
        await wait_for_front(farm, [Room() for _ in range(8)], "the front leaves the dead relay out")
        await all_at_once(register, here)
        await all_at_once(pair, here + there[:20])

        farm.start(0)
        await wait_for_front(farm, here[:1], "the front is back at the relay")
        # New clients of these rooms come to the relay that is back, where there is no exit.
        client = await farm.access.client(here[0])
        assert await client.close_code() == 4404
        for room in here:
            room.old = room.control
        await all_at_once(register, here)
        assert not any(room.old.ws.closed for room in here), "the old registration is at the other relay, and stands"
        for room in here:
            room.old.drop()
        await all_at_once(pair, here + there[:20])
        assert set(await sides(here)) == {0}

    scenario(story())


async def wait_for_front(farm, rooms, what):
    """Until a client of each of `rooms` is told through the front that there is no exit."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if not any([await knocks(farm.access, room) for room in rooms]):
                return
        except (OSError, Closed, websockets.InvalidHandshake):
            pass  # what the front says while it still tries the dead relay
        await asyncio.sleep(0.1)
    raise AssertionError(what)


def test_a_session_resumes_at_the_other_relay_and_its_room_is_found_after_the_return(farm, tmp_path, authority, programs):
    exit_peer = start_exit(tmp_path, farm.front.url, "--control-refresh", "1s", ca_file=authority.ca_file)
    programs.append(exit_peer)
    link = exit_peer.link()
    room = type("RoomOfALink", (), {"id": link.room})
    client = start_client(tmp_path, link, ca_file=authority.ca_file)
    programs.append(client)
    (home,) = farm.where(room)
    with servers.accepting() as server, socks.connect(client.proxy, "127.0.0.1", server.port) as near, \
            server.next() as far:
        farm.relays[home].kill()
        client.says(LOST, seconds=20)
        near.sendall(b"while the relay was dead")
        assert socks.read_exactly(far, 24) == b"while the relay was dead"
        client.says(RESUMED)
        assert farm.where(room) == [1 - home]

        farm.start(home)
        wait_until(lambda: home in farm.where(room), 30, "the exit registers at the relay that is back")
        wait_until(lambda: farm.where(room) == [home], 30, "and leaves the other")
        losses = said(client, LOST)
        newcomer = start_client(tmp_path, link, ca_file=authority.ca_file, name="newcomer")
        programs.append(newcomer)
        assert_serves(newcomer.proxy)
        far.sendall(b"the old session is where it was")
        assert socks.read_exactly(near, 31) == b"the old session is where it was"
        assert said(client, LOST) == losses
    assert "trying again" not in exit_peer.stderr().split("registered with relay")[-1], "a replaced line is no error"
