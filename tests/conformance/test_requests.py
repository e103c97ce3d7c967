# SPDX-License-Identifier: MIT
"""Before the upgrade: the table of targets, and the HTTP statuses ("Requests")."""
import contextlib
import json
import os
import select
import socket
import time

import pytest
from relay_peers import Room, base64url, client_path, exit_path, pair_path, scenario


def get(relay, line):
    """A plain request; `line` has the target with {room}."""
    method, target, version = line.replace("{room}", Room().id).split(" ")
    return relay.http(f"{method} {relay.prefix}{target} {version}\r\nHost: {relay.authority}\r\n\r\n".encode())


def test_healthz(relay):
    status, answer = get(relay, "GET /healthz HTTP/1.1")
    assert status == 200
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"application/json" in head.lower()
    health = json.loads(body[body.index(b"{"):body.rindex(b"}") + 1])
    assert health["version"] and health["uptime"] >= 0


@pytest.mark.parametrize("line", [
    "GET / HTTP/1.1", "GET /metrics HTTP/1.1", "POST /healthz HTTP/1.1", "HEAD /healthz HTTP/1.1",
    "GET /healthz?a HTTP/1.1", "GET /healthz/ HTTP/1.1", "GET /v1/rooms/ HTTP/1.1", "GET /v1/rooms/abc/client HTTP/1.1",
    "GET /v1/rooms/{room}/client HTTP/1.1", "GET /v1/rooms/{room}/exit?instance=AAAAAAAAAAA HTTP/1.1",
    "GET /v1/rooms/{room}/pairs/AAAAAAAAAAAAAAAAAAAAAA HTTP/1.1"])
def test_anything_else_is_404(relay, line):
    status, answer = get(relay, line)
    assert status == 404
    assert b"Boost" not in answer and b"zks" not in answer


@pytest.mark.parametrize("path", [
    "/v1/rooms/{room}", "/v1/rooms/{room}/", "/v1/rooms/{room}/client/", "/v1/rooms/{room}/client?instance=",
    "/v1/rooms/{room}/client?instance=AAAA", "/v1/rooms/{room}/client?instance=AAAAAAAAAAB",
    "/v1/rooms/{room}/client?other=1", "/v1/rooms/{room}/client?instance=AAAAAAAAAAA&other=1", "/v1/rooms/{room}/client?",
    "/v1/rooms/{room}/exit", "/v1/rooms/{room}/exit?instance=AAAAAAAAAA", "/v1/rooms/{room}/exit?instance=AAAAAAAAAAA%3D",
    "/v1/rooms/{room}/pairs/", "/v1/rooms/{room}/pairs/AAAA", "/v1/rooms/{room}/pairs/AAAAAAAAAAAAAAAAAAAAAB",
    "/v1/rooms/{room}/%63lient", "/v1//rooms/{room}/client", "/v2/rooms/{room}/client",
    "/v1/rooms/abc/client", "/v1/rooms/" + "A" * 32 + "/client", "/v1/rooms/" + "1" * 32 + "/client"])
def test_upgrades_elsewhere_are_404(relay, path):
    status, _ = relay.http(relay.upgrade(path.replace("{room}", Room().id)))
    assert status == 404


def test_an_upgrade_of_healthz_is_no_upgrade(relay):
    assert relay.http(relay.upgrade("/healthz"))[0] in (200, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS"])
def test_only_get_is_upgraded(relay, method):
    request = relay.upgrade(client_path(Room())).replace(b"GET", method.encode(), 1)
    status, _ = relay.http(request.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"))
    assert status in (400, 404, 405), "never 101"


def test_long_targets(relay, profile):
    path = client_path(Room())
    at_limit = path + "?" + "a" * (512 - len(relay.prefix + path) - 1)
    assert relay.http(relay.upgrade(at_limit))[0] == 404
    for longer in (at_limit + "a", "/" + "a" * 20_000):
        assert relay.http(relay.upgrade(longer))[0] in profile.long_target


def test_long_headers(relay, profile):
    path = client_path(Room())
    for headers in (["X-Long: " + "a" * 9_000], [f"X-{i}: a" for i in range(2_000)]):
        assert relay.http(relay.upgrade(path, *headers))[0] in profile.long_header


@pytest.mark.parametrize("request_bytes", [
    b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n"])
def test_what_is_not_http_is_refused(relay, profile, request_bytes):
    with relay.raw() as connection:
        connection.sendall(request_bytes + b"x" * 100)
        answer = connection.recv(100)
    assert (int(answer.split(b" ", 2)[1]) if answer else 0) in profile.not_http


def test_bytes_ahead_of_the_upgrade_are_refused(relay, profile):
    assert relay.http(relay.upgrade(client_path(Room())) + b"\x82\x80abcd")[0] in profile.early_bytes


def test_an_upgrade_needs_a_key(relay, profile):
    lines = relay.upgrade(client_path(Room())).split(b"\r\n")
    without = b"\r\n".join(line for line in lines if not line.startswith(b"Sec-WebSocket-Key"))
    assert relay.http(without)[0] in profile.no_key


def test_only_version_13_of_websocket(relay, profile):
    request = relay.upgrade(client_path(Room())).replace(b"Version: 13", b"Version: 8")
    assert relay.http(request)[0] in profile.other_version


def test_registration_only_under_the_relays_own_name(relay, profile):
    """A signature is bound to a name; the relay must not take one that was made for another relay."""
    path = exit_path(Room(), b"instance")
    for host in ("other.example", f"other.example:{relay.port}", ""):
        assert relay.http(relay.upgrade(path, host=host))[0] in profile.other_host
    with relay.raw() as connection:
        connection.sendall(relay.upgrade(path))
        assert connection.recv(64).startswith(b"HTTP/1.1 101 ")


def test_no_extension_and_no_subprotocol(relay):
    with relay.raw() as connection:
        connection.sendall(relay.upgrade(client_path(Room()), "Sec-WebSocket-Extensions: permessage-deflate",
                                         "Sec-WebSocket-Protocol: chat"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = connection.recv(4096)
            assert part, answer
            answer += part
    head = answer.split(b"\r\n\r\n", 1)[0].lower()
    assert head.startswith(b"http/1.1 101 ")
    assert b"sec-websocket-extensions" not in head and b"sec-websocket-protocol" not in head


@pytest.mark.needs("--join-rate")
def test_joins_of_an_address_are_limited(relay_with):
    relay = relay_with("--join-rate", "0.01/s")

    async def join():
        path = client_path(Room())
        assert await relay.status_of(path) == 101
        assert await relay.status_of(path) == 429
        assert await relay.status_of(exit_path(Room(), b"instance")) == 429
        # Not behind a trusted proxy, so what the header says does not count.
        assert await relay.status_of(path, {"X-Forwarded-For": "192.0.2.1"}) == 429
        assert await relay.status_of(pair_path(Room(), base64url(bytes(16)))) == 429

    scenario(join())
    assert b"\r\nretry-after: 1\r\n" in relay.http(relay.upgrade(client_path(Room())))[1].lower()


@pytest.mark.needs("--join-rate")
def test_a_pair_that_waits_is_taken_however_many_were_made_up(relay_with):
    """Made-up pair ids are joins of their source, known ones are not: a stranger behind the exit's address does not keep
    it from its clients."""
    relay = relay_with("--join-rate", "0.5/s")  # two at once

    async def join():
        room = Room()
        control = await relay.register(room)
        client = await relay.client(room)
        knock = await control.receive()
        for _ in range(50):
            assert await relay.status_of(pair_path(room, base64url(os.urandom(16)))) in (410, 429)
        assert await relay.status_of(pair_path(room, base64url(os.urandom(16)))) == 429
        exit_half = await relay.take(room, knock)
        await client.expect_paired()
        await exit_half.expect_paired()
        # Used, it is like any other; a relay may have counted it anew by then.
        assert await relay.status_of(pair_path(room, knock["pair"])) in (410, 429)

    scenario(join())


@pytest.mark.needs("--allow-rooms")
def test_allowed_rooms(relay_with, tmp_path):
    allowed, other = Room(), Room()
    rooms = tmp_path / "rooms"
    rooms.write_text(f"# my rooms\n{allowed.id}  # the first\n\n")
    relay = relay_with("--allow-rooms", rooms)

    async def check(room, status):
        for path in (client_path(room), exit_path(room, b"instance")):
            assert await relay.status_of(path) == status
        assert await relay.status_of(pair_path(room, base64url(bytes(16)))) == (410 if status == 101 else status)

    async def check_both():
        await check(allowed, 101)
        await check(other, 403)

    scenario(check_both())


def test_a_header_may_come_in_pieces(relay):
    """By byte, each in a packet of its own, as a slow or a strange network would bring it."""
    request = relay.upgrade(client_path(Room()))
    with relay.raw() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(request)):
            connection.sendall(request[at:at + 1])
            time.sleep(0.002)  # the slowness itself
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = connection.recv(4096)
            assert part, answer
            answer += part
    assert answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("piece", [b"a" * 1000, b"a" * 100 + b"\r\nX-More: "], ids=["one field", "many fields"])
def test_a_header_that_never_ends_is_refused_or_closed(relay, profile, piece):
    start = relay.upgrade(client_path(Room()))[:-2] + b"X-Long: "
    answer = b""
    with relay.raw() as connection:
        try:
            connection.sendall(start)
            for _ in range(2_000_000 // len(piece)):
                connection.sendall(piece)
            assert select.select([connection], [], [], 20)[0], "2 MB of header, and it listens on"
        except OSError:
            pass  # closed while there was more to say
        with contextlib.suppress(OSError):
            answer = connection.recv(4096)
    assert (int(answer.split(b" ", 2)[1]) if answer else 0) in (0, *profile.long_header)


@pytest.mark.needs("--upgrade-timeout")
def test_a_header_that_takes_too_long_is_closed(relay_with):
    """However regularly its bytes come: the limit is for the whole of it."""
    relay = relay_with("--upgrade-timeout", "2s")
    begun = time.monotonic()
    with relay.raw() as connection, contextlib.suppress(OSError):
        connection.sendall(relay.upgrade(client_path(Room()))[:-2] + b"X-Long: ")
        while time.monotonic() - begun < 20 and not select.select([connection], [], [], 0.1)[0]:
            connection.sendall(b"a")
        assert connection.recv(100) == b""
    assert 1.5 < time.monotonic() - begun < 20
