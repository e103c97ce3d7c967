# SPDX-License-Identifier: MIT
"""A hostile relay that wakes an exit for pairs that nobody asked for, and what it then does with the exit's half. Clients
that come are served as by any HostileRelay, all under one Key_remote, so that their message 1 can be played again."""
import asyncio
import contextlib
import itertools
import json
import os

import websockets

from .access_link import base64url
from .hostile_relay import UP, WINDOW, Honest, HostileRelay

KEY = b"K" * 32
# An exit gives a dial up after 3 s.
NEVER_SECONDS = 10


class SameKey(Honest):
    def remote_key(self, half, key):
        return KEY


class KnockingRelay(HostileRelay):
    def __init__(self):
        self.dialled = 0     # by the exit, for pairs that were made up
        self.answers = []    # to what was played: lengths of messages, and the close code
        self._made_up = {}   # pair: what is done with its half; None: its upgrade is never answered
        self._knocking = None
        self._over = asyncio.Event()
        super().__init__()

    async def _listen(self):
        return await websockets.serve(self._serve, "127.0.0.1", 0, compression=None, max_size=None, max_queue=2,
                                      ping_interval=None, close_timeout=1, process_request=self._hold_back)

    async def _hold_back(self, path, _headers):
        pair = path.rsplit("/", 1)[1]
        if pair in self._made_up:
            self.dialled += 1
            if self._made_up[pair] is None:
                del self._made_up[pair]
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._over.wait(), NEVER_SECONDS)

    async def _serve_client(self, ws):
        self.conducts.insert(0, SameKey())
        await super()._serve_client(ws)

    async def _serve_exit_half(self, ws):
        conduct = self._made_up.pop(ws.path.rsplit("/", 1)[1], None)
        if conduct is None:
            await super()._serve_exit_half(ws)
        else:
            await conduct(ws)

    def start_knocking(self, rate, *conducts):
        """`rate` knocks a second; the halves that come get `conducts` in turn. Without one an upgrade is never answered."""
        async def knock():
            for conduct in itertools.cycle(conducts or (None,)):
                pair = base64url(os.urandom(16))
                self._made_up[pair] = conduct
                with contextlib.suppress(websockets.ConnectionClosed):
                    await self._controls[-1].send(json.dumps({"type": "knock", "pair": pair}))
                await asyncio.sleep(1 / rate)

        async def start():
            self._knocking = asyncio.create_task(knock())

        self._call(start())

    async def say_nothing(self, ws):
        """The pair is there, and its client is silent."""
        await ws.send(json.dumps({"type": "paired", "version": 1, "epoch": 0, "window": WINDOW, "remote_key": base64url(KEY)}))
        await ws.wait_closed()

    async def play_again(self, ws):
        """The message 1 of the first client that came."""
        await ws.send(json.dumps({"type": "paired", "version": 1, "epoch": 0, "window": WINDOW, "remote_key": base64url(KEY)}))
        await ws.send(self.lanes[0].said[UP][0])
        lengths = []
        try:
            while True:
                lengths.append(len(await ws.recv()))
        finally:
            self.answers.append((lengths, ws.close_code))

    def kill(self):
        async def stop():
            if self._knocking:
                self._knocking.cancel()
            self._over.set()

        self._call(stop())
        super().kill()
