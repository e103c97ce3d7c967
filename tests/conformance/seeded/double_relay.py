# SPDX-License-Identifier: MIT
"""A small relay in Python, written from PROTOCOL.md, and bugs to seed in it: what the suite has to catch.

    double_relay.py PORT [BUG]      serves on 127.0.0.1:PORT, says `ready`, ends with its stdin

Each place where a bug can be asks `self.bug`. Keys change every 64 KiB. It is a double: it has no limits of rate and
number, and answers only what the named tests ask.
"""
import asyncio
import base64
import hashlib
import json
import os
import random
import sys
from contextlib import suppress

import websockets
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from relay_peers import base64url, from_base64url

KIB = 1024
ROTATE_BYTES, MARK_EVERY, WINDOW = 64 * KIB, 256 * KIB, 4096 * KIB
NEXT_INSTANCE_SECONDS, CLIENT_WAITS_SECONDS = 3, 10
PASSED_ON = (1000, 1001, 4403)


class Over(Exception):
    """Ends a pair: `code` for the half that caused it, `other` for the other one."""

    def __init__(self, code, other=4000):
        super().__init__(code)
        self.code, self.other = code, other


class Half:
    def __init__(self, ws):
        self.ws = ws
        self.sent = self.marked_at = 0
        self.marks = {}  # id: how much had been sent
        self.unseen = None  # the epoch that it has not answered
        self.other = None


class Relay:
    def __init__(self, bug=None):
        self.bug = bug
        self.exits = {}    # room: {instance: socket}, the one whose turn it is first
        self.waiting = {}  # (room, pair): future of the exit's socket
        self.challenged = {}  # room: how often
        self.pairs = []
        self.nonce = os.urandom(32)

    async def serve(self, ws):
        _, _, _, room, route, *rest = ws.path.split("?")[0].split("/")
        instance = ws.path.partition("instance=")[2]
        with suppress(websockets.ConnectionClosed):
            if route == "exit":
                await self.serve_exit(ws, room, instance)
            elif route == "client":
                await self.serve_client(ws, room, instance)
            else:
                await self.serve_exit_half(ws, room, rest[0])

    # ---- registration

    async def serve_exit(self, ws, room, instance):
        nonce = self.nonce if self.bug == "one nonce for all" else os.urandom(32)
        await ws.send(json.dumps({"type": "challenge", "nonce": base64url(nonce)}))
        self.challenged[room] = self.challenged.get(room, 0) + 1
        answer = await ws.recv()
        exits = self.exits.setdefault(room, {})
        if self.bug == "strangers take places" and self.challenged[room] > 8:
            return await ws.close(4403)
        if not self.owns(room, instance, nonce, ws.request_headers["Host"], answer) or \
                (len(exits) >= 8 and instance not in exits and self.bug != "nine instances"):
            return await ws.close(4403)
        if older := exits.pop(instance, None):
            if self.bug != "the older socket stays":
                asyncio.create_task(older.close(4409))
        exits[instance] = ws
        await ws.send(json.dumps({"type": "registered"}))
        try:
            async for message in ws:
                if len(message) > 4 * KIB and self.bug != "long messages on control sockets":
                    return await ws.close(1009)
                if message != "ping":
                    return await ws.close(1008)
                await ws.send("pong")
        finally:
            if exits.get(instance) is ws:
                del exits[instance]

    def owns(self, room, instance, nonce, authority, answer):
        try:
            answer = json.loads(answer)
            public = from_base64url(answer["room_key"])
            digest = hashlib.sha256(b"zks/1 room" + public).digest()[:20]
            if base64.b32encode(digest).decode().lower() != room and self.bug != "any key opens a room":
                return False
            room_bytes = base64.b32decode(room.upper())
            host = hashlib.sha256(authority.encode()).digest()
            Ed25519PublicKey.from_public_bytes(public).verify(
                from_base64url(answer["signature"]),
                b"zks/1 register" + nonce + host + room_bytes + from_base64url(instance))
            return True
        except InvalidSignature:
            return self.bug == "signatures are not looked at"
        except (ValueError, KeyError, TypeError):
            return False

    # ---- pairing

    async def serve_client(self, ws, room, wanted):
        exits = self.exits.get(room, {})
        instances = [name for name in exits if not wanted or name == wanted or self.bug == "any instance for a named one"]
        if not instances:
            return await ws.close(4404)
        if not wanted and self.bug != "always the same instance":
            exits[instances[0]] = exits.pop(instances[0])  # behind the others
        pair = base64url(os.urandom(16))
        taken = self.waiting[room, pair] = asyncio.get_running_loop().create_future()
        reading = asyncio.create_task(self.read_waiting(ws))
        exit_ws = await self.knock(exits, instances, pair, taken, reading)
        if self.bug != "pairs work twice":
            self.waiting.pop((room, pair), None)
        reading.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await reading
        if exit_ws is None:
            return await ws.close(1008 if ws.open and reading.done() and not reading.cancelled() else 4410)
        await self.splice(Half(ws), Half(exit_ws))

    async def knock(self, exits, instances, pair, taken, reading):
        deadline = asyncio.get_running_loop().time() + CLIENT_WAITS_SECONDS
        for number, instance in enumerate(instances):
            if instance in exits:
                await exits[instance].send(json.dumps({"type": "knock", "pair": pair}))
            last = number == len(instances) - 1 or self.bug == "only one instance is knocked on"
            left = deadline - asyncio.get_running_loop().time()
            await asyncio.wait([taken, reading], timeout=left if last else NEXT_INSTANCE_SECONDS,
                               return_when=asyncio.FIRST_COMPLETED)
            if taken.done() or reading.done():
                return taken.result() if taken.done() else None
            if last:
                return None
        return None

    async def read_waiting(self, ws):
        while await ws.recv() == "ping":
            await ws.send("pong")

    async def serve_exit_half(self, ws, room, pair):
        taken = self.waiting.get((room, pair))
        if self.bug == "any room's pairs":
            taken = next((future for (_, name), future in self.waiting.items() if name == pair), None)
        if taken is None or (taken.done() and self.bug != "pairs work twice"):
            return await ws.close(4410)
        if taken.done():
            await ws.send(json.dumps({"type": "paired"}))
        else:
            taken.set_result(ws)
        await ws.wait_closed()

    # ---- a pair

    async def splice(self, client, exit_half):
        client.other, exit_half.other = exit_half, client
        pair = Pair(self, client, exit_half)
        self.pairs.append(pair)
        try:
            await pair.run()
        finally:
            self.pairs.remove(pair)


class Pair:
    def __init__(self, relay, client, exit_half):
        self.bug = relay.bug
        self.relay = relay
        self.halves = (client, exit_half)
        self.epoch = self.passed = 0
        self.lock = asyncio.Lock()  # a key and the message behind it stay together

    async def run(self):
        key = base64url(bytes(32) if self.bug == "the same key for every pair" else os.urandom(32))
        for half in self.halves:
            if self.bug == "each half another key":
                key = base64url(os.urandom(32))
            await half.ws.send(json.dumps({"type": "paired", "version": 1, "epoch": 0, "remote_key": key, "window": WINDOW}))
        pumps = [asyncio.create_task(self.pump(half)) for half in self.halves]
        done, pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self.end(self.halves[pumps.index(done.pop())], pumps)

    async def end(self, first, pumps):
        why = pumps[self.halves.index(first)].exception()
        if isinstance(why, Over):
            await asyncio.gather(first.ws.close(why.code), first.other.ws.close(why.other))
        else:
            code = first.ws.close_code
            kept = code in PASSED_ON or (self.bug == "every code is passed on" and code not in (1005, 1006))
            await first.other.ws.close(code if kept else 4000)

    async def pump(self, half):
        held = None
        while True:
            message = await half.ws.recv()
            if isinstance(message, str):
                self.on_text(half, message) if message != "ping" else await half.ws.send("pong")
                continue
            if self.bug == "neighbours change places" and held is None and len(message) == 1_000:
                held = message
                continue
            await self.forward(half, message)
            if held is not None:
                await self.forward(half, held)
                held = None

    async def forward(self, half, message):
        async with self.lock:
            self.passed += len(message)
            due = self.passed >= ROTATE_BYTES and (self.bug == "the next key waits for nobody" or
                                                   not any(half.unseen for half in self.halves))
            if due and self.bug != "the key goes behind its message":
                await self.announce()
            await self.deliver(half.other, message)
            if due and self.bug == "the key goes behind its message":
                await self.announce()

    async def announce(self):
        self.passed = 0
        self.epoch = (self.epoch + 1) % (256 if self.bug == "epochs have eight bits" else 1 << 53)
        key = base64url(os.urandom(32))
        for half in self.halves:
            half.unseen = self.epoch
            await half.ws.send(json.dumps({"type": "key", "epoch": self.epoch, "remote_key": key}))

    async def deliver(self, to, message):
        if self.bug == "long messages are cut in two" and len(message) > 64 * KIB:
            await to.ws.send(message[:64 * KIB])
            message = message[64 * KIB:]
        if self.bug == "now and then to another room" and len(self.relay.pairs) > 1 and not random.randrange(50):
            to = random.choice(self.relay.pairs).halves[self.halves.index(to)]
        await to.ws.send(message)
        to.sent += len(message)
        if to.sent - to.marked_at >= MARK_EVERY:
            to.marked_at = to.sent
            to.marks[base64url(os.urandom(9))] = to.sent
            await to.ws.send(json.dumps({"type": "mark", "id": next(reversed(to.marks))}))
        if self.bug == "nobody is too far behind" or not to.marks:
            return
        oldest = min(to.marks.values()) if self.bug != "the newest mark counts" else max(to.marks.values())
        if to.sent - oldest > WINDOW:
            raise Over(4413, 4413)

    def on_text(self, half, text):
        try:
            message = json.loads(text)
            if message["type"] == "mark" and (self.bug == "any echo will do" or message["id"] in half.marks):
                half.marks.pop(message["id"], None)
                return
            if message["type"] == "key_seen" and half.unseen is not None and \
                    (message["epoch"] == half.unseen or self.bug == "any key_seen will do"):
                half.unseen = None
                return
        except (ValueError, KeyError, TypeError):
            pass
        if self.bug != "other text is ignored":
            raise Over(1008)


async def main(port, bug):
    relay = Relay(bug)
    async with websockets.serve(relay.serve, "127.0.0.1", port, compression=None, max_size=1 << 20, max_queue=2,
                                ping_interval=None, close_timeout=5):
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
