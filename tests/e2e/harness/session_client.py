# SPDX-License-Identifier: MIT
"""A client of an exit, written from PROTOCOL.md: handshake, records and the few frames that it takes to open streams and
to let the exit fill them. One asyncio process holds hundreds.

It gives each stream the credit that it is asked to, never more, and consumes nothing: what the exit has sent stays in
the exit's memory, as it might have to be sent again.
"""
import hashlib
import os
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from .access_link import from_base64url
from .noise import Dissononce, remote_key

UP, DOWN = 0, 1
(PADDING, HELLO, WELCOME, TABLE, LANE_DOWN, LANE_ACK, PING, PONG, OPEN, OPENED, DATA, FIN, CREDIT, RESET,
 DONE) = range(15)
GOAWAY = 0x1F
MAX_STREAMS = 1  # the parameter's id
ACK_EVERY = 256 * 1024  # record bytes


def varint(value):
    for prefix, size in ((0x00, 1), (0x40, 2), (0x80, 4), (0xC0, 8)):
        if value < 1 << (8 * size - 2):
            raw = bytearray(value.to_bytes(size, "big"))
            raw[0] |= prefix
            return bytes(raw)
    raise ValueError(value)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        part = self.data[self.at:self.at + count]
        assert len(part) == count, "a frame is cut off"
        self.at += count
        return part

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        first = self.byte()
        raw = bytes([first & 0x3F]) + self.take((1 << (first >> 6)) - 1)
        return int.from_bytes(raw, "big")

    def address(self):
        kind = self.byte()
        return self.take({1: 4, 4: 16}.get(kind) or self.varint()), self.take(2)

    def left(self):
        return len(self.data) - self.at


class Records:
    """One direction of a lane, in epoch 0 and before the first ratchet: tests of either are elsewhere."""

    def __init__(self, direction, key_local, relay_key, handshake_hash):
        self._local = ChaCha20Poly1305(key_local)
        self._remote = remote_key(relay_key, direction, 0, handshake_hash)
        self._n = 0

    def _next(self):
        n, self._n = self._n, self._n + 1
        outer = Cipher(algorithms.AES(self._remote), modes.CTR(struct.pack(">QQ", n, 0))).encryptor()
        return bytes(4) + struct.pack("<Q", n), outer

    def seal(self, frames):
        nonce, outer = self._next()
        return b"\0" + outer.update(self._local.encrypt(nonce, frames, b"\0"))

    def open(self, record):
        assert record[0] == 0, "another epoch"
        nonce, outer = self._next()
        return self._local.decrypt(nonce, outer.update(record[1:]), record[:1])


class SessionClient:
    """One session on one lane. `peer` is a relay_peers.Peer at the client's route."""

    def __init__(self, peer, link, key_pair):
        self._peer = peer
        self._link = link
        self._key_pair = key_pair
        self._sealer = self._opener = None
        self.instance = None
        self.limits = {}    # stream: how far the exit lets it send
        self.received = {}  # stream: bytes that came
        self._opened = 0
        self._record_bytes = self._acknowledged = 0

    async def start(self, room_id):
        """From `paired` to WELCOME."""
        await self.shake_hands(room_id)
        await self.begin()

    async def shake_hands(self, room_id):
        """From `paired` to the exit's message 2: the exit has seen no proof."""
        paired = await self._peer.expect_paired()
        relay_key = from_base64url(paired["remote_key"])
        noise = Dissononce(True, b"zks/1" + room_id + hashlib.sha256(relay_key).digest(), self._link.psk,
                           remote=self._link.exit_key, key_pair=self._key_pair)
        await self._peer.send(noise.write(b"\x01" + self._link.invite + b"\0"))
        noise.read(await self._peer.receive())
        handshake_hash = noise.symmetric.get_handshake_hash()
        up, down = noise.ciphers
        self._sealer = Records(UP, up._key, relay_key, handshake_hash)
        self._opener = Records(DOWN, down._key, relay_key, handshake_hash)

    async def begin(self):
        """HELLO and WELCOME."""
        await self._send(bytes([HELLO]) + os.urandom(16) + varint(1) + bytes([0]) + bytes(8) + varint(1) +
                         varint(MAX_STREAMS) + varint(2048))
        while self.instance is None:
            await self.step()

    async def _send(self, frames):
        await self._peer.send(self._sealer.seal(frames))

    async def open(self, port, limit):
        """A stream to a port of 127.0.0.1 on which the exit may send `limit` bytes; its id."""
        stream, self._opened = 2 * self._opened, self._opened + 1
        self.received[stream] = 0
        await self._send(bytes([OPEN]) + varint(stream) + bytes([1, 127, 0, 0, 1]) + struct.pack(">H", port) +
                         varint(limit))
        while stream not in self.limits:
            await self.step()
        return stream

    async def send_all_that_is_allowed(self, stream):
        size = 32768
        for offset in range(0, self.limits[stream], size):
            count = min(size, self.limits[stream] - offset)
            await self._send(bytes([DATA]) + varint(stream) + varint(offset) + varint(count) + bytes(count))

    async def step(self):
        """Takes one record."""
        message = await self._peer.receive()
        if not isinstance(message, bytes):
            return  # `pong`, or a key of a later epoch, which a test's relay does not send
        reader = Reader(self._opener.open(message))
        answer = b""
        while reader.left():
            answer += self._frame(reader.byte(), reader)
        self._record_bytes += len(message)
        if self._record_bytes - self._acknowledged >= ACK_EVERY:
            answer += bytes([LANE_ACK]) + varint(self._record_bytes)
            self._acknowledged = self._record_bytes
        if answer:
            await self._send(answer)

    def _frame(self, kind, reader):
        """Takes the fields of a frame; the answer to it."""
        if kind == PING:
            return bytes([PONG]) + reader.take(8)
        if kind == PONG:
            reader.take(8)
        elif kind == DATA:
            stream, _, count = reader.varint(), reader.varint(), reader.varint()
            reader.take(count)
            self.received[stream] += count
        elif kind == OPENED:
            stream = reader.varint()
            self.limits[stream] = reader.varint()
            reader.address()
        elif kind == WELCOME:
            reader.take(16)
            reader.varint()
            reader.byte()
            self.instance = reader.take(8)
            for _ in range(reader.varint()):
                reader.varint(), reader.varint()
        elif kind == CREDIT:
            reader.varint(), reader.varint(), reader.varint()
        elif kind == LANE_ACK:
            reader.varint()
        else:
            raise AssertionError(f"frame {kind:#x}, for which nothing here gives a reason")
        return b""
