# SPDX-License-Identifier: MIT
"""A relay that is not honest: it speaks the relay's protocol, written from PROTOCOL.md, joins clients and exits, and
treats each lane by a conduct that the test chose for it. Lanes without one are treated honestly.

It believes whoever registers and sends no marks: both are the relay's own protection.
"""
import asyncio
import contextlib
import json
import os
import threading

import websockets

from .access_link import base64url

UP, DOWN = "up", "down"  # client to exit, exit to client
CLIENT, EXIT = "client", "exit"
SENDER, RECEIVER = {UP: CLIENT, DOWN: EXIT}, {UP: EXIT, DOWN: CLIENT}
PASSED_ON = (1000, 1001, 4403)
GONE, NO_EXIT, NO_PAIR = 4000, 4404, 4410
WAIT_FOR_EXIT_SECONDS = 10
WINDOW = 16 << 20


class LaneOver(Exception):
    """Raised by a conduct to end its lane: `codes` by half; None for a half that is cut off without a close."""

    def __init__(self, codes):
        super().__init__(codes)
        self.codes = codes


class Honest:
    """The conduct of a relay that does what PROTOCOL.md says."""

    refusal = None  # a close code in place of a pair

    def remote_key(self, half, key):
        return key

    async def forward(self, lane, direction, number, message):
        """`number` counts a direction's binary messages: 0 is of the handshake, record n is number n + 1."""
        await lane.send(direction, message)

    async def heard(self, lane, half, control):
        """A control message of an end, other than `ping`."""


class Lane:
    """Two halves that were joined."""

    def __init__(self, client, exit_half, conduct):
        self.halves = {CLIENT: client, EXIT: exit_half}
        self.conduct = conduct
        self.said = {UP: [], DOWN: []}  # every binary message as its sender sent it
        self.said_bytes = {UP: 0, DOWN: 0}
        self.ended_by = None  # the half that went first; None while it lives, or when the conduct ended it
        self.over = False
        self._held = {}

    async def send(self, direction, message):
        await self.halves[RECEIVER[direction]].send(message)
        held = self._held.pop(direction, None)
        if held is not None:
            await self.halves[RECEIVER[direction]].send(held)

    def hold(self, direction, message):
        """Keeps a message back until the next one has gone."""
        self._held[direction] = message

    async def control(self, half, **members):
        await self.halves[half].send(json.dumps(members))

    async def serve(self):
        pumps = {asyncio.create_task(self._pump(direction)): direction for direction in (UP, DOWN)}
        try:
            key = os.urandom(32)
            for half in self.halves:
                await self.control(half, type="paired", version=1, epoch=0, window=WINDOW,
                                   remote_key=base64url(self.conduct.remote_key(half, key)))
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            await self._end(done.pop().exception())
        except websockets.ConnectionClosed as gone:
            await self._end(gone)
        finally:
            self.over = True
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, direction):
        """Ends by an exception: of whichever socket is gone, or of the conduct."""
        source = self.halves[SENDER[direction]]
        while True:
            message = await source.recv()
            if message == "ping":
                await source.send("pong")
            elif isinstance(message, str):
                await self.conduct.heard(self, SENDER[direction], json.loads(message))
            else:
                number = len(self.said[direction])
                self.said[direction].append(message)
                self.said_bytes[direction] += len(message)
                await self.conduct.forward(self, direction, number, message)

    async def _end(self, reason):
        if isinstance(reason, LaneOver):
            codes = reason.codes
        elif isinstance(reason, websockets.ConnectionClosed):
            gone = next((half for half, ws in self.halves.items() if ws.closed), None)
            self.ended_by = gone
            code = self.halves[gone].close_code if gone else GONE
            codes = {half: code if code in PASSED_ON else GONE for half in self.halves}
        else:
            raise reason
        await asyncio.gather(*(finish(ws, codes[half]) for half, ws in self.halves.items()))


async def finish(ws, code):
    if code is None:
        ws.transport.abort()
    else:
        await ws.close(code)


class HostileRelay:
    """Serves on a free loopback port, on a thread of its own. `conducts` are taken by clients in the order in which
    they come, once an exit is registered."""

    def __init__(self):
        self.conducts = []
        self.lanes = []
        self.registrations = 0
        self.failures = []  # exceptions that are this double's own fault
        self._controls = []
        self._waiting = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(15)

    async def _listen(self):
        return await websockets.serve(self._serve, "127.0.0.1", 0, compression=None, max_size=None, max_queue=2,
                                      ping_interval=None, close_timeout=1)

    async def _serve(self, ws):
        route = ws.path.split("?")[0].split("/")[4]  # /v1/rooms/ROOM/route
        serve = {"exit": self._serve_control, "client": self._serve_client}.get(route, self._serve_exit_half)
        try:
            await serve(ws)
        except websockets.ConnectionClosed:
            pass
        except Exception as failure:
            self.failures.append(failure)
            raise

    async def _serve_control(self, ws):
        await ws.send(json.dumps({"type": "challenge", "nonce": base64url(os.urandom(32))}))
        assert json.loads(await ws.recv())["type"] == "register"
        await ws.send(json.dumps({"type": "registered"}))
        self._controls.append(ws)
        self.registrations += 1
        try:
            async for message in ws:
                assert message == "ping", message
                await ws.send("pong")
        finally:
            self._controls.remove(ws)

    async def _serve_client(self, ws):
        if not self._controls:
            await ws.close(NO_EXIT)
            return
        conduct = self.conducts.pop(0) if self.conducts else Honest()
        if conduct.refusal:
            await ws.close(conduct.refusal)
            return
        pair = base64url(os.urandom(16))
        arrival = self._waiting[pair] = self._loop.create_future()
        await self._controls[-1].send(json.dumps({"type": "knock", "pair": pair}))
        try:
            exit_half, lane_over = await asyncio.wait_for(arrival, WAIT_FOR_EXIT_SECONDS)
        except asyncio.TimeoutError:
            await ws.close(NO_PAIR)
            return
        finally:
            self._waiting.pop(pair, None)
        lane = Lane(ws, exit_half, conduct)
        self.lanes.append(lane)
        try:
            await lane.serve()
        finally:
            lane_over.set()

    async def _serve_exit_half(self, ws):
        arrival = self._waiting.pop(ws.path.rsplit("/", 1)[1], None)
        if arrival is None or arrival.done():
            await ws.close(NO_PAIR)
            return
        lane_over = asyncio.Event()
        arrival.set_result((ws, lane_over))
        await lane_over.wait()

    def close_controls(self, code):
        async def close_all():
            await asyncio.gather(*(finish(ws, code) for ws in list(self._controls)))

        self._call(close_all())

    def kill(self):
        async def stop():
            self._server.close()
            await self._server.wait_closed()

        with contextlib.suppress(Exception):
            self._call(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
