# SPDX-License-Identifier: MIT
"""What a hostile relay does to a lane: conducts for HostileRelay. Each keeps to honesty until its moment, does one thing,
and says by `done` that it did."""
import asyncio
import os

from .access_link import base64url
from .hostile_relay import CLIENT, DOWN, EXIT, GONE, RECEIVER, UP, Honest, LaneOver

HALVES = (CLIENT, EXIT)


class Misdeed(Honest):
    """Does `deed(lane, direction, message)` in place of forwarding one message of `direction`: the one of a number, or
    the first after so many bytes that way."""

    def __init__(self, deed, direction, number=None, after_bytes=None):
        self._deed = deed
        self._direction = direction
        self._number = number
        self._after_bytes = after_bytes
        self.done = False

    def _is_due(self, lane, direction, number):
        if self.done or direction != self._direction:
            return False
        return number == self._number if self._number is not None else lane.said_bytes[direction] > self._after_bytes

    async def forward(self, lane, direction, number, message):
        if self._is_due(lane, direction, number):
            self.done = True
            await self._deed(lane, direction, message)
        else:
            await lane.send(direction, message)


# Records

async def drop(lane, direction, message):
    pass


async def repeat(lane, direction, message):
    await lane.send(direction, message)
    await lane.send(direction, message)


async def swap(lane, direction, message):
    lane.hold(direction, message)


def altered(change):
    async def deed(lane, direction, message):
        changed = change(message)
        assert changed != message
        await lane.send(direction, changed)

    return deed


def flipped(message, at, bit=1):
    raw = bytearray(message)
    raw[at] ^= bit
    return bytes(raw)


async def repeat_an_old_one(lane, direction, message):
    await lane.send(direction, lane.said[direction][1])


async def reflect(lane, direction, message):
    """Back to its sender, as if the other end had said it."""
    await lane.halves[{UP: CLIENT, DOWN: EXIT}[direction]].send(message)


async def as_text(lane, direction, message):
    await lane.halves[RECEIVER[direction]].send(base64url(message))


async def too_long(lane, direction, message):
    await lane.send(direction, message + bytes(2 << 20))


RECORD_DEEDS = {
    "drop": drop, "repeat": repeat, "swap": swap, "repeat-an-old-one": repeat_an_old_one, "reflect": reflect,
    "as-text": as_text, "too-long": too_long,
    "truncate-by-one": altered(lambda m: m[:-1]), "truncate-to-half": altered(lambda m: m[:len(m) // 2]),
    "truncate-to-16": altered(lambda m: m[:16]), "empty": altered(lambda m: b""),
    "append": altered(lambda m: m + b"\0"), "join-with-itself": altered(lambda m: m + m),
    "flip-epoch": altered(lambda m: flipped(m, 0)), "flip-epoch-high": altered(lambda m: flipped(m, 0, 0x80)),
    "flip-first": altered(lambda m: flipped(m, 1)), "flip-middle": altered(lambda m: flipped(m, len(m) // 2, 0x10)),
    "flip-tag": altered(lambda m: flipped(m, -1)), "random": altered(lambda m: os.urandom(len(m))),
}


# Ends

def close(codes):
    async def deed(lane, direction, message):
        raise LaneOver(codes)

    return deed


def ends_with(code):
    """By name: codes for both halves, or for one of them, where the other one hears what an honest relay says."""
    return {"both": {CLIENT: code, EXIT: code}, "client": {CLIENT: code, EXIT: GONE}, "exit": {CLIENT: GONE, EXIT: code}}


class Refusal(Honest):
    """A close in place of a pair."""

    def __init__(self, code):
        self.refusal = code


# Keys

class DifferentKeys(Honest):
    """Each half hears another Key_remote."""

    def __init__(self):
        self.done = False

    def remote_key(self, half, key):
        self.done = True
        return key if half == CLIENT else os.urandom(32)


def keys(*epochs, halves=HALVES, same=True):
    """`key` messages of these epochs in a row; `same`: both halves hear the same key."""

    async def deed(lane, direction, message):
        for epoch in epochs:
            key = os.urandom(32)
            for half in halves:
                await lane.control(half, type="key", epoch=epoch, remote_key=base64url(key))
                key = key if same else os.urandom(32)
        await lane.send(direction, message)

    return deed


def control(**members):
    async def deed(lane, direction, message):
        for half in HALVES:
            await lane.control(half, **members)
        await lane.send(direction, message)

    return deed


GOOD_KEY = base64url(bytes(range(32)))
KEY_DEEDS = {
    "skips-one": keys(2), "skips-many": keys(1, 3), "epoch-0-again": keys(0), "repeats-with-another-key": keys(1, 1),
    "goes-back": keys(1, 0), "different-keys": keys(1, same=False), "client-only": keys(1, halves=(CLIENT,)),
    "exit-only": keys(1, halves=(EXIT,)), "epoch-256": keys(256), "largest-epoch": keys(2**53 - 1),
    "beyond-the-largest": keys(2**53), "negative": keys(-1), "text": keys("1"), "none": keys(None),
    "short-key": control(type="key", epoch=1, remote_key=GOOD_KEY[:-2]), "no-key": control(type="key", epoch=1),
    "paired-again": control(type="paired", version=1, epoch=0, remote_key=GOOD_KEY, window=1 << 20),
    "unknown-type": control(type="surprise"), "knock": control(type="knock", pair=base64url(bytes(16))),
    "key-seen": control(type="key_seen", epoch=0),
}


class Rotating(Honest):
    """A new epoch as often as the rule allows: as soon as both halves have seen the last one. A relay counts minutes or
    bytes, so the first comes when both ends have sent more than a handshake."""

    def __init__(self):
        self.epoch = 0
        self._seen = set(HALVES)
        self._one_at_a_time = asyncio.Lock()  # both halves hear of a key before another message passes

    async def forward(self, lane, direction, number, message):
        async with self._one_at_a_time:
            if self._seen == set(HALVES) and min(map(len, lane.said.values())) > 2:
                self.epoch += 1
                self._seen = set()
                key = base64url(os.urandom(32))
                for half in HALVES:
                    await lane.control(half, type="key", epoch=self.epoch, remote_key=key)
            await lane.send(direction, message)

    async def heard(self, lane, half, control_message):
        assert control_message == {"type": "key_seen", "epoch": self.epoch}, control_message
        assert half not in self._seen
        self._seen.add(half)


# Other lanes

class Replay(Honest):
    """In place of what one end says on this lane, from message `first` on, all that it said on the one before."""

    def __init__(self, relay, direction, first):
        self._relay = relay
        self._direction = direction
        self._first = first
        self.done = False

    async def forward(self, lane, direction, number, message):
        if direction != self._direction or number < self._first:
            await lane.send(direction, message)
        elif not self.done:
            self.done = True
            earlier = self._relay.lanes[self._relay.lanes.index(lane) - 1]
            for old in earlier.said[direction][self._first:]:
                await lane.send(direction, old)


class Crossing(Honest):
    """For two lanes: once both carry a transfer, a record of each is given to the other."""

    def __init__(self, direction, after_bytes):
        self._direction = direction
        self._after_bytes = after_bytes
        self._lanes = []
        self.crossed = []

    @property
    def done(self):
        return len(self.crossed) == 2

    async def forward(self, lane, direction, number, message):
        if lane not in self._lanes:
            self._lanes.append(lane)
        other = next((known for known in self._lanes if known is not lane), None)
        due = (other and direction == self._direction and lane not in self.crossed
               and min(known.said_bytes[direction] for known in self._lanes) > self._after_bytes)
        if due:
            self.crossed.append(lane)
        await (other if due else lane).send(direction, message)
