# SPDX-License-Identifier: MIT
"""Exits and clients of the relay as raw WebSocket peers, written from PROTOCOL.md with Python's own libraries.

They share no code with the programs under test, and do what real peers never would.
"""
import asyncio
import base64
import hashlib
import json
import os
import random
import socket
import ssl
import time
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import websockets
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.frames import OP_TEXT

# Nothing that the relay does at once may take longer, on a slow machine under sanitizers.
PATIENCE = 20
# 500 rooms are 1,000 joins, of which a relay at its default takes 20 a second.
PATIENCE_WITH_429 = 120


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Room:
    """A room key and its room id."""

    def __init__(self):
        self.key = Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        digest = hashlib.sha256(b"zks/1 room" + self.public).digest()
        self.id_bytes = digest[:20]
        self.id = base64.b32encode(self.id_bytes).decode().lower()

    def answer(self, nonce, authority, instance):
        """The register message for a challenge's nonce."""
        message = (b"zks/1 register" + nonce + hashlib.sha256(authority.encode()).digest() + self.id_bytes + instance)
        return {"type": "register", "room_key": base64url(self.public), "signature": base64url(self.key.sign(message))}


class Closed(Exception):
    """The relay closed; `code` is its close code, 1006 when there was none."""

    def __init__(self, code):
        super().__init__(f"closed with {code}")
        self.code = code


open_peers = []


async def drop_all():
    """Cuts every peer that this process still has."""
    while open_peers:
        peer = open_peers.pop()
        peer.drop()
        await peer.ws.wait_closed()


class Peer:
    """One WebSocket to the relay. Marks are echoed unless `echo` is off; they are counted either way. New keys are
    answered unless `answers_keys` is off, and are then received like any other message."""

    def __init__(self, ws):
        self.ws = ws
        self.echo = True
        self.answers_keys = True
        self.marks = []
        self.paired = None
        open_peers.append(self)

    async def receive(self):
        """The next message that asks for no answer: bytes, str for `pong`, or dict."""
        while True:
            try:
                message = await asyncio.wait_for(self.ws.recv(), PATIENCE)
            except websockets.ConnectionClosed:
                raise Closed(self.ws.close_code) from None
            if isinstance(message, bytes) or message == "pong":
                return message
            control = json.loads(message)
            if control["type"] == "key" and self.answers_keys:
                self.say({"type": "key_seen", "epoch": control["epoch"]})
                continue
            if control["type"] != "mark":
                return control
            self.marks.append(control["id"])
            if self.echo:
                self.say(message)

    def say(self, message):
        """Sends text without waiting until there is room: two ends that both wait before they read on would wait for
        each other."""
        if isinstance(message, dict):
            message = json.dumps(message)
        if self.ws.open:
            self.ws.write_frame_sync(True, OP_TEXT, message.encode())

    async def send(self, message):
        if isinstance(message, dict):
            message = json.dumps(message)
        try:
            await self.ws.send(message)
        except websockets.ConnectionClosed:
            raise Closed(self.ws.close_code) from None

    async def expect_paired(self):
        self.paired = await self.receive()
        assert self.paired["type"] == "paired"
        return self.paired

    async def close_code(self):
        """Reads on until the relay closes; the code."""
        try:
            while True:
                await self.receive()
        except Closed as closed:
            return closed.code

    async def close(self, code=1000):
        await self.ws.close(code)

    def drop(self):
        """The connection is gone without a close."""
        self.ws.transport.abort()


class RelayAccess:
    """How peers reach one relay: `url` is ws:// or wss://, perhaps with a prefix; `ca_file` is what is trusted where the
    system's authorities are not to be. A `patient` peer tries again when it is told 429."""

    def __init__(self, url, ca_file=None, host=None, patient=False):
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        secure = parts.scheme == "wss"
        self.authority = parts.netloc.lower().removesuffix(":443" if secure else ":80")
        self.name, self.prefix = parts.hostname, parts.path
        self.port = parts.port or (443 if secure else 80)
        self.host = host or ("127.0.0.1" if self.name == "localhost" else self.name)
        self.tls = ssl.create_default_context(cafile=ca_file) if secure else None
        self.patient = patient

    async def connect(self, path, headers=None):
        deadline = time.monotonic() + PATIENCE_WITH_429
        while True:
            try:
                ws = await asyncio.wait_for(
                    websockets.connect(self.url + path, ssl=self.tls, compression=None, ping_interval=None, max_size=None,
                                       max_queue=4, open_timeout=None, close_timeout=5, extra_headers=headers or {}),
                    PATIENCE)
                return Peer(ws)
            except websockets.InvalidStatusCode as refused:
                if not self.patient or refused.status_code != 429 or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(1 + random.random())

    async def status_of(self, path, headers=None):
        """The HTTP status that an upgrade of `path` is answered with; 101 when it is accepted."""
        try:
            peer = await self.connect(path, headers)
        except websockets.InvalidStatusCode as refused:
            return refused.status_code
        peer.drop()
        return 101

    def upgrade(self, path, *headers, host=None):
        """The bytes of an upgrade under the relay's own name, or as `host`."""
        return upgrade_request(self.prefix + path, *headers, host=self.authority if host is None else host)

    def raw(self):
        """A blocking socket, TLS done where the relay has it."""
        plain = socket.create_connection((self.host, self.port), PATIENCE)
        return self.tls.wrap_socket(plain, server_hostname=self.name) if self.tls else plain

    def http(self, request):
        """Sends raw bytes and returns (status, answer); status 0 when the relay closed without one."""
        deadline = time.monotonic() + PATIENCE_WITH_429
        while True:
            status, answer = self._http(request)
            if not self.patient or status != 429 or time.monotonic() > deadline:
                return status, answer
            time.sleep(1 + random.random())

    def _http(self, request):
        answer = b""
        with self.raw() as connection:
            connection.sendall(request)
            try:
                while not complete(answer, request) and (part := connection.recv(65536)):
                    answer += part
            except ConnectionResetError:
                pass
        return (int(answer.split(b" ", 2)[1]) if answer else 0), answer

    async def challenge(self, room, instance):
        """An exit's control socket up to the challenge: (peer, nonce)."""
        peer = await self.connect(exit_path(room, instance))
        challenge = await peer.receive()
        assert challenge["type"] == "challenge"
        nonce = from_base64url(challenge["nonce"])
        assert len(nonce) == 32
        return peer, nonce

    async def register(self, room, instance=None):
        instance = instance or os.urandom(8)
        peer, nonce = await self.challenge(room, instance)
        await peer.send(room.answer(nonce, self.authority, instance))
        registered = await peer.receive()
        assert registered == {"type": "registered"}
        return peer

    async def client(self, room, instance=None, headers=None):
        return await self.connect(client_path(room, instance), headers)

    async def take(self, room, knock):
        """The exit's half of the pair that `knock` names."""
        assert knock["type"] == "knock"
        return await self.connect(pair_path(room, knock["pair"]))

    @asynccontextmanager
    async def pair(self, room=None):
        """(client, exit half) of a new pair, both of which have read `paired`."""
        own_room = room is None
        room = room or Room()
        control = await self.register(room) if own_room else room.control
        client = await self.client(room)
        exit_half = await self.take(room, await control.receive())
        await client.expect_paired()
        await exit_half.expect_paired()
        try:
            yield client, exit_half
        finally:
            for peer in (client, exit_half, *([control] if own_room else [])):
                peer.drop()


def scenario(coroutine, seconds=120):
    """Runs a test's peers, and cuts those that it leaves."""

    async def run_and_clean():
        try:
            await asyncio.wait_for(coroutine, seconds)
        finally:
            await drop_all()

    asyncio.run(run_and_clean())


def complete(answer, request):
    """Whether an HTTP answer has its whole body, of those that say how long it is."""
    head, end, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if not end:
        return False
    if head.split(b" ", 2)[1] == b"101" or request.startswith(b"HEAD "):
        return True
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(fields.get(b"content-length", len(body) + 1))


def exit_path(room, instance):
    return f"/v1/rooms/{room.id}/exit?instance={base64url(instance)}"


def client_path(room, instance=None):
    return f"/v1/rooms/{room.id}/client" + (f"?instance={base64url(instance)}" if instance else "")


def pair_path(room, pair):
    return f"/v1/rooms/{room.id}/pairs/{pair}"


def upgrade_request(path, *headers, host="localhost"):
    """The bytes of a WebSocket upgrade."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
             "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(), *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
