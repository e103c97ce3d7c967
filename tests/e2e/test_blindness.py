# SPDX-License-Identifier: MIT
"""The relay is blind: neither its memory nor its traffic, the WebSocket payloads included, holds plaintext, a psk,
a static key or a transport key. The relay is a plaintext one here, so that its traffic can be read.

A search that finds nothing proves little, so the same search must find each secret in the client or the exit, and
Key_remote, the relay's own share, in the relay. The transport keys of the lane are found in the memory of its ends,
and proven by opening the recorded records with them.
"""
import json
import secrets
import socket
import threading
import time
from pathlib import Path

import pytest
from harness import memory, records, servers, socks
from harness.access_link import base64url, from_base64url
from harness.process import wait_until
from harness.recorder import Recorder, messages
from harness.tunnel import start_client, start_exit, start_relay

TEXT, BINARY = 1, 2
SECRET_MEMBERS = {"room_seed": "room key", "static_key": "static key", "psk": "psk"}


class RecordedChain:
    """Plaintext relay with a recorder before each of its two peers."""

    def __init__(self, directory, programs):
        self.relay = start_relay(directory)
        programs.append(self.relay)
        self.exit_side = Recorder(self.relay.address())
        self.client_side = Recorder(self.relay.address())
        self.exit = start_exit(directory, f"ws://127.0.0.1:{self.exit_side.port}")
        programs.append(self.exit)
        self.link = self.exit.link()
        self.client = start_client(directory, self.link.with_(hosts=f"127.0.0.1:{self.client_side.port}"))
        programs.append(self.client)

    def wire(self):
        return self.client_side.bytes() + self.exit_side.bytes()

    def client_lane(self):
        """The recorded connection that carried the lane."""
        (connection,) = self.client_side.connections
        return connection

    def close(self):
        self.exit_side.close()
        self.client_side.close()


@pytest.fixture
def chain(tmp_path, programs):
    made = RecordedChain(tmp_path, programs)
    yield made
    made.close()


def stored_secrets(directory, owner):
    """name: bytes of the secrets in a state directory's files."""
    found = {}

    def walk(value, path):
        if isinstance(value, dict):
            for name, member in value.items():
                if name in SECRET_MEMBERS:
                    found[f"{owner}'s {SECRET_MEMBERS[name]}"] = from_base64url(member)
                else:
                    walk(member, path)
        elif isinstance(value, list):
            for member in value:
                walk(member, path)

    for path in directory.glob("*.json"):
        walk(json.loads(path.read_text()), path)
    return found


def spellings(named):
    """Each secret as bytes, and in the texts that it has in links and files."""
    out = {}
    for name, raw in named.items():
        out[name] = raw
        out[f"{name}, as base64url"] = base64url(raw).encode()
        out[f"{name}, as hex"] = raw.hex().encode()
    return out


def spoken(stream, opcode):
    return [payload for kind, payload in messages(bytes(stream)) if kind == opcode]


def remote_key(connection):
    """The relay's key of epoch 0, out of its `paired` message."""
    paired = [m for m in map(json.loads, (t for t in spoken(connection.received, TEXT) if t.startswith(b"{")))
              if m["type"] == "paired"]
    return from_base64url(paired[0]["remote_key"])


def exchange(chain, marker):
    """The marker passes once each way."""
    with servers.accepting() as server:
        with socks.connect(chain.client.proxy, "127.0.0.1", server.port) as near, server.next() as far:
            near.sendall(marker)
            assert socks.read_exactly(far, len(marker)) == marker
            far.sendall(marker)
            assert socks.read_exactly(near, len(marker)) == marker


def transport_keys(chain, marker):
    """{name: key} of both directions, proven by opening everything that was recorded so far."""
    wire = chain.wire()
    shared = memory.random_looking(chain.client.pid) & memory.random_looking(chain.exit.pid)
    candidates = [window for window in shared if window not in wire]  # ciphertext is at both ends too
    keys = {}
    lane = chain.client_lane()
    for name, stream in (("client to exit", lane.sent), ("exit to client", lane.received)):
        _handshake, *sealed = spoken(stream, BINARY)
        pair = records.find_keys(candidates, sealed[0])
        assert pair, f"no key {name} among {len(candidates)} candidates"
        assert marker in records.open_all(pair, sealed), "what was recorded is what the keys open"
        keys[f"Key_local, {name}"], keys[f"Key_remote, {name}"] = pair
    return keys


def fill_with(chain, marker):
    """Leaves the marker in the buffers of both ends: neither application reads what the other sends."""
    block = marker * 2048
    server = servers.Accepting()
    near = socks.connect(chain.client.proxy, "127.0.0.1", server.port, receive_buffer=4096)
    far = server.next()
    for sock in (near, far):
        sock.settimeout(1)
        with pytest.raises(socket.timeout):
            while True:
                sock.sendall(block)
    return server, near, far


@pytest.mark.timeout(180)
def test_relay_holds_no_secret(chain):
    marker = secrets.token_bytes(32)
    exchange(chain, marker)
    named = {"marker": marker, "link's psk": chain.link.psk,
             **stored_secrets(chain.client.state, "client"), **stored_secrets(chain.exit.state, "exit"),
             **transport_keys(chain, marker)}
    assert {"client's static key", "exit's static key", "exit's room key", "exit's psk"} <= set(named)
    server, near, far = fill_with(chain, marker)
    needles = spellings(named) | {"link": chain.link.fragment().encode()}

    at_the_ends = memory.search(chain.client.pid, needles) | memory.search(chain.exit.pid, needles)
    missing = {name for name in named if not at_the_ends & spellings({name: b""}).keys()}
    assert missing <= {"exit's room key"}, "the search finds what is there"

    assert memory.search(chain.relay.pid, needles) == set()
    wire = chain.wire()
    assert {name for name, needle in needles.items() if needle in wire} == set()
    for sock in (near, far):
        socks.abort(sock)
    server.close()


def asleep(pid):
    """Whether each thread of the process waits for something, 20 times in a row."""
    for _ in range(20):
        states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
        if set(states) != {"S"}:
            return False
        time.sleep(0.01)
    return True


class DeafClient:
    """A client's half that reads nothing, so that what the relay has for it stays in the relay."""

    PING = b"\x81\x84" + bytes(4) + b"ping"  # RFC 6455: a masked text message

    def __init__(self, address, room):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self._socket.connect(address)
        self._socket.sendall(f"GET /v1/rooms/{room}/client HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
        assert self._socket.recv(12) == b"HTTP/1.1 101"

    def clog(self, relay):
        """Asks for pongs until the relay has nowhere to put them and stops reading: nothing more can be sent, and the relay
        sleeps all the same. One that is merely late has pings to read."""
        self._socket.settimeout(0.5)
        left = b""
        while True:
            left = left or self.PING * 1000
            try:
                left = left[self._socket.send(left):]
            except socket.timeout:
                if asleep(relay.pid):
                    return

    def read_until(self, word):
        self._socket.settimeout(10)
        tail = b""
        while word not in tail:
            data = self._socket.recv(65536)
            assert data, "the relay closed"
            tail = tail[-len(word):] + data

    def close(self):
        self._socket.close()


@pytest.mark.native_relay("V8 copies strings as it likes: the Worker can't promise to wipe Key_remote")
def test_relay_holds_its_own_share_until_it_is_sent(chain):
    """Key_remote is found in the relay while one half has not been able to take it, and wiped when it has. Its value
    comes from the other half, the exit's."""
    clogged = threading.Event()

    def hold_knock(data):
        if b'"knock"' in data:
            clogged.wait(10)

    chain.exit_side.before_forwarding = hold_knock
    client = DeafClient(chain.relay.address(), chain.link.room)
    client.clog(chain.relay)
    known = len(chain.exit_side.connections)
    clogged.set()
    pair = wait_until(lambda: next((c for c in chain.exit_side.connections[known:] if b'"paired"' in c.received), None),
                      5, "the exit's half was paired")
    needles = spellings({"Key_remote": remote_key(pair)})
    assert memory.search(chain.relay.pid, needles), "the search finds in the relay what is there"
    client.read_until(b'"paired"')
    assert memory.search(chain.relay.pid, needles) == set()
    client.close()
