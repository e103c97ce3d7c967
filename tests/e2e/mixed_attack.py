# SPDX-License-Identifier: MIT
"""Everybody whom SECURITY.md names against one relay and one exit, all at once, until killed: python3 mixed_attack.py
COUNTS. Says the URL of its hostile relay on stdout, and begins when a line of JSON comes on stdin (Target). COUNTS is a
file in which it writes down each second how often it did what.

It runs in the idle class, so what it costs itself is taken from nobody; what it makes the programs do is not.
"""
import asyncio
import base64
import collections
import contextlib
import dataclasses
import itertools
import json
import os
import random
import socket
import struct
import sys
from pathlib import Path

from dissononce.dh.x25519.x25519 import X25519DH
from harness import socks, udp
from harness.access_link import AccessLink
from harness.knocking_relay import KnockingRelay
from harness.session_client import SessionClient
from relay_peers import RelayAccess, Room, base64url, client_path, exit_path, joined, open_peers, pair_path

MIB = 1 << 20
MESSAGE_1_BYTES = 32 + 48 + 16 + 10
KNOCKS_A_SECOND = 150
# Of each deed: how many begin in a second, and how many are under way at most.
SILENT, DEAF, MADE_UP, JOINS, CONTROL, NOISE = (150, 600), (3, 24), (40, 20), (40, 20), (20, 64), (5, 20)
HALF_OPEN, SESSIONS, NAMES, DATAGRAMS, CONNECTS = (10, 64), (2, 24), (30, 400), (300, 1), (30, 20)
HELD_SECONDS, STAY_SECONDS = 30, 5


@dataclasses.dataclass(frozen=True)
class Target:
    relay: str
    room: str     # of the exit
    proxy: list   # of a guest's client that runs
    echo: list    # a UDP server that the exit may reach
    port: int     # a TCP server that the exit may reach
    crowd: str    # a link for sessions
    thief: str    # a link for handshakes that stop


@dataclasses.dataclass(frozen=True)
class KnownRoom:
    id: str


class Attack:
    def __init__(self, target, hostile):
        self.target = target
        self.hostile = hostile
        self.room = KnownRoom(target.room)
        self.links = {name: AccessLink.parse(getattr(target, name)) for name in ("crowd", "thief")}
        self.sources = itertools.count(2)
        self.done = collections.Counter()
        self.deaf_room = self.deaf_control = None
        self.deaf_joins = asyncio.Lock()
        self.deaf_source = self.stranger()
        self.device = X25519DH().generate_keypair()

    def stranger(self):
        """The relay, from an address that nobody else of this attack has."""
        return RelayAccess(self.target.relay, source=f"127.0.1.{next(self.sources)}")

    async def keep_doing(self, rate_and_most, deed, *arguments):
        rate, most = rate_and_most
        places = asyncio.Semaphore(most)
        running = set()

        async def once():
            async with places:
                with contextlib.suppress(Exception):  # it is refused in every way that there is
                    await deed(*arguments)

        while True:
            if not places.locked():
                task = asyncio.create_task(once())
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(1 / rate)

    # ---- strangers at the relay

    async def raw(self, deed, relay, request, seconds=HELD_SECONDS):
        """Sends `request`, and holds the connection so long or until it is closed."""
        reader, writer = await asyncio.open_connection(relay.host, relay.port, **relay.bound)
        try:
            writer.write(request)
            if request:
                status = await asyncio.wait_for(reader.read(12), seconds)
                self.done[f"{deed}: {status[9:].decode()}"] += 1
                if status[9:] != b"101":
                    return
            else:
                self.done[deed] += 1
            await asyncio.wait_for(reader.read(), seconds)
        finally:
            writer.transport.abort()

    async def say_nothing(self, relay):
        await self.raw("silent connection", relay, b"")

    async def take_made_up_pair(self, relay):
        await self.raw("made-up pair", relay, relay.upgrade(pair_path(self.room, base64url(os.urandom(16)))))

    async def join_and_leave(self, relay):
        await self.raw("join", relay, relay.upgrade(client_path(Room())), 1)

    async def never_register(self, relay):
        await self.raw("silent control socket", relay, relay.upgrade(exit_path(self.room, os.urandom(8))))

    async def read_nothing(self, relay):
        """A pair with a message each way that neither half takes."""
        async with self.deaf_joins:
            if self.deaf_control is None or not self.deaf_control.ws.open:
                self.deaf_room = Room()
                self.deaf_control = await relay.register(self.deaf_room)
            try:
                halves = await joined(relay, self.deaf_room, relay, self.deaf_control)
            except BaseException:
                forget(self.deaf_control)
                raise
        self.done["pair that reads nothing"] += 1
        for half in halves:
            half.ws.transport.pause_reading()
            half.ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for half in halves:
            for _ in range(2):
                half.ws.transport.write(b"\x82\xff" + struct.pack(">Q", MIB) + bytes(4) + bytes(MIB))
        await asyncio.wait([asyncio.ensure_future(half.ws.wait_closed()) for half in halves], timeout=HELD_SECONDS)
        forget(*halves)

    # ---- strangers and guests at the exit

    async def knock_with_noise(self, relay):
        peer = await relay.connect(client_path(self.room))
        try:
            await peer.expect_paired()
            await peer.send(os.urandom(MESSAGE_1_BYTES))
            self.done["message 1 of noise"] += 1
            await peer.close_code()
        finally:
            forget(peer)

    async def stop_after_message_2(self, relay):
        peer, _ = await self.session(relay, "thief")
        self.done["handshake without a record"] += 1
        try:
            await peer.close_code()
        finally:
            forget(peer)

    async def stay(self, relay):
        """A session that lasts until it has to give way, or is left without a lane."""
        peer, session = await self.session(relay, "crowd")
        try:
            await session.begin()
            self.done["session"] += 1
            async with asyncio.timeout(STAY_SECONDS):
                while True:
                    await session.step()
        finally:
            forget(peer)

    async def session(self, relay, link, to=None):
        link = self.links[link]
        peer = await (to or relay).connect(client_path(self.room))
        try:
            session = SessionClient(peer, link, self.device)
            await session.shake_hands(base64.b32decode(link.room.upper()))
        except BaseException:
            forget(peer)
            raise
        return peer, session

    async def ask_for_a_name_that_nobody_answers(self):
        self.done["name that nobody answers"] += 1
        _, writer = await socks.open_stream(tuple(self.target.proxy), f"slow{random.getrandbits(64)}.test", 80)
        writer.close()

    async def connect_and_leave(self):
        self.done["connection without a byte"] += 1
        _, writer = await socks.open_stream(tuple(self.target.proxy), "127.0.0.1", self.target.port)
        writer.close()

    async def send_empty_datagrams(self, rate):
        with await asyncio.to_thread(udp.Association, tuple(self.target.proxy)) as association:
            for _ in range(10 * rate):
                association.send(*self.target.echo, b"")
                self.done["empty datagram"] += 1
                await asyncio.sleep(1 / rate)

    async def play_old_message_1(self):
        """The hostile relay serves one session; then it knocks for nobody, and plays what it has heard."""
        peer, session = await self.session(None, "thief", to=RelayAccess(self.hostile.url))
        await session.begin()
        forget(peer)
        await asyncio.to_thread(self.hostile.start_knocking, KNOCKS_A_SECOND, None, self.hostile.say_nothing,
                                self.hostile.play_again)

    async def run(self, counts):
        await self.play_old_message_1()
        deeds = [(SILENT, self.say_nothing), (DEAF, self.read_nothing), (MADE_UP, self.take_made_up_pair),
                 (JOINS, self.join_and_leave), (CONTROL, self.never_register), (NOISE, self.knock_with_noise),
                 (HALF_OPEN, self.stop_after_message_2), (SESSIONS, self.stay)]
        doing = [self.keep_doing(pace, deed, self.stranger()) for pace, deed in deeds]
        doing += [self.keep_doing(NAMES, self.ask_for_a_name_that_nobody_answers),
                  self.keep_doing(CONNECTS, self.connect_and_leave),
                  self.keep_doing((1, DATAGRAMS[1]), self.send_empty_datagrams, DATAGRAMS[0])]
        await asyncio.gather(*doing, self.tell(counts))

    async def tell(self, counts):
        while True:
            self.done["dial for nobody"] = self.hostile.dialled
            self.done["old message 1 answered"] = len(self.hostile.answers)
            beside = counts.with_suffix(".new")
            beside.write_text(json.dumps(self.done))
            beside.replace(counts)
            await asyncio.sleep(1)


def forget(*peers):
    for peer in peers:
        peer.drop()
        with contextlib.suppress(ValueError):
            open_peers.remove(peer)


def main(counts):
    os.nice(19)
    hostile = KnockingRelay()
    print(hostile.url, flush=True)
    target = Target(**json.loads(sys.stdin.readline()))
    asyncio.run(Attack(target, hostile).run(Path(counts)))


if __name__ == "__main__":
    main(sys.argv[1])
