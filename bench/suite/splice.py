# SPDX-License-Identifier: MIT
"""scripts/bench splice: what a relay's splice carries, the native relay, the Worker and a bare splice in its runtime.

The ends are raw sockets: prepared frames on one side, a reader of frame heads on the other, which echoes marks and, as an
end does, says through the relay how much it has read: never more than 3 MiB are on their way.
"""
import asyncio
import contextlib
import os
import socket
import struct
import tempfile
import time
from pathlib import Path as File

from harness.process import Program
from harness.tunnel import start_relay
from relay_peers import RelayAccess, Room, client_path, pair_path, upgrade_request

from . import REPOSITORY, machine
from .peers import free_port, wait_for_port
from .results import Result
from .rounds import Job, Path, in_turns, place, say

NAME = "splice"
TITLE = "The relays alone"
ABOUT = """
One pair, one direction, without TLS, messages of 4 to 256 KiB: the native relay, the Worker on `workerd`, and two sockets and a
`send` in the same runtime (`bench/splice.mjs`), which is what the Worker can't exceed: with sockets that keep their object in
memory, and with sockets that let it hibernate, as the Worker's do. At most 3 MiB are on their way. The ends send records of at
most 64 KiB, one a message: smaller ones cost a relay up to most of its rate, larger ones gain less
than the figures spread, and would keep a keystroke waiting longer behind bulk.
"""
PLOTS = ["messages of 64 KiB"]
NATIVE, WORKER, BARE, HIBERNATING = "native relay", "Worker", "bare splice", "bare splice, hibernating"
WORKERD = REPOSITORY / "worker" / "node_modules" / "workerd" / "bin" / "workerd"
KIB, MIB = 1024, 1024 * 1024
SIZES = [size * KIB for size in (4, 16, 64, 128, 256)]
SENT = 64 * KIB  # by the ends
TOTAL, WARM_UP = 512 * MIB, 32 * MIB
AHEAD = 3 * MIB
BINARY, TEXT, CLOSE = 2, 1, 8


class Reader:
    """Frame by frame from a socket whose upgrade was answered."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray(4 * MIB)
        self.view = memoryview(self.buffer)
        self.begin = self.end = 0

    def need(self, count):
        if self.end - self.begin >= count:
            return
        if len(self.buffer) - self.begin < max(count, 512 * KIB):
            rest = bytes(self.view[self.begin:self.end])
            self.buffer[:len(rest)] = rest
            self.begin, self.end = 0, len(rest)
        while self.end - self.begin < count:
            got = self.sock.recv_into(self.view[self.end:])
            if not got:
                raise EOFError("the relay closed")
            self.end += got

    def frame(self):
        """(opcode, payload as a view)."""
        self.need(2)
        opcode, length, head = self.buffer[self.begin] & 15, self.buffer[self.begin + 1] & 127, 2
        if length == 126:
            self.need(4)
            length, head = struct.unpack_from(">H", self.buffer, self.begin + 2)[0], 4
        elif length == 127:
            self.need(10)
            length, head = struct.unpack_from(">Q", self.buffer, self.begin + 2)[0], 10
        self.need(head + length)
        at = self.begin + head
        self.begin = at + length
        return opcode, self.view[at:at + length]


def masked(opcode, payload):
    """A client's frame with the mask 0: RFC 6455 leaves the choice to the client."""
    length = len(payload)
    size = bytes([128 | length]) if length < 126 else \
        bytes([254]) + struct.pack(">H", length) if length < 65536 else bytes([255]) + struct.pack(">Q", length)
    return bytes([128 | opcode]) + size + bytes(4) + payload


def open_half(port, path):
    """A socket behind its upgrade, and a reader of its frames."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(upgrade_request(path, host=f"localhost:{port}"))
    reader = Reader(sock)
    while (at := reader.buffer.find(b"\r\n\r\n", reader.begin, reader.end)) < 0:
        reader.need(reader.end - reader.begin + 1)
    reader.begin = at + 4
    return sock, reader


def receive(sock, reader, total):
    """Reads until `total` payload bytes were there; echoes marks, and says every 256 KiB how much it has read."""
    got = since = 0
    while got < total:
        opcode, payload = reader.frame()
        if opcode == TEXT:
            text = bytes(payload)
            if b'"mark"' in text:
                sock.sendall(masked(TEXT, text))
        elif opcode == CLOSE:
            raise EOFError(f"the relay closed with {int.from_bytes(payload[:2], 'big')} after {got} bytes")
        elif opcode == BINARY:
            got += len(payload)
            since += len(payload)
            if since >= 256 * KIB or got >= total:
                sock.sendall(masked(BINARY, struct.pack(">I", since)))
                since = 0


def send(sock, reader, size, total):
    """`total` bytes in messages of `size`, and waits until all of it was read."""
    messages = max(1, 256 * KIB // size)
    batch, payload = masked(BINARY, bytes(size)) * messages, size * messages
    sent = read = 0
    while read < total:
        if sent < total and sent + payload - read <= AHEAD:
            sock.sendall(batch)
            sent += payload
            continue
        opcode, told = reader.frame()
        if opcode == BINARY:
            read += struct.unpack(">I", told)[0]


def transfer(sender, receiver, size, total):
    """Seconds for `total` bytes (a multiple of 256 KiB); the sender is a process of its own."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            send(*sender, size, total)
            status = 0
        finally:
            os._exit(status)
    began = time.monotonic()
    try:
        receive(*receiver, total)
        return time.monotonic() - began
    finally:
        os.waitpid(child, 0)


class Relay:
    def __init__(self, program):
        self.program, self.access = program, RelayAccess(program.url)

    def halves(self):
        room = Room()
        opened = {}

        async def knocked():
            control = await self.access.register(room)
            opened["client"] = await asyncio.to_thread(open_half, self.access.port, client_path(room))
            knock = await control.receive()
            opened["exit"] = await asyncio.to_thread(open_half, self.access.port, pair_path(room, knock["pair"]))
            control.drop()

        asyncio.run(knocked())
        return opened["client"], opened["exit"]


class Splice:
    def __init__(self, directory, name):
        self.prefix = "/hibernating/" if name == HIBERNATING else "/"
        self.port = free_port()
        command = [WORKERD, "serve", REPOSITORY / "bench" / "splice.capnp", "config", "--import-path", "/", "--socket-addr",
                   f"main=127.0.0.1:{self.port}"]
        self.program = Program(name.replace(" ", "-").replace(",", ""), command, directory)
        wait_for_port(self.port, self.program)
        self.pairs = 0

    def halves(self):
        self.pairs += 1
        path = f"{self.prefix}{self.pairs}"
        return open_half(self.port, path), open_half(self.port, path)


def carry(relay, size, meter):
    """MB/s of one pair, neither the handshake counted nor what goes first, for the runtime to warm up."""
    client, exit_half = relay.halves()
    for _, reader in (client, exit_half):
        assert b"paired" in bytes(reader.frame()[1])
    transfer(client, exit_half, size, WARM_UP)
    meter.begin()
    seconds = transfer(client, exit_half, size, TOTAL)
    meter.end()
    for sock, _ in (client, exit_half):
        sock.close()
    return TOTAL / seconds / 1e6


def job(size):
    name = f"messages of {size // KIB} KiB"
    return Job(name, [(name, "MB/s", True)], lambda path, meter: ({name: carry(path.end, size, meter)}, TOTAL))


def begin(stack, directory, name):
    say(f"starting {name}")
    relay = Splice(directory, name) if name in (BARE, HIBERNATING) else \
        Relay(start_relay(directory, None, name=name.replace(" ", "-"), kind="worker" if name == WORKER else "native"))
    stack.callback(relay.program.kill)
    return Path(name, relay, lambda: {"relay": [relay.program.pid]})


def run(options):
    """With the first congestion control alone."""
    why = None if WORKERD.exists() else "worker/ is not built (npm ci, npm run build there)"
    left_out = dict.fromkeys((WORKER, BARE, HIBERNATING), why) if why else {}
    result = Result.new(NAME, machine.header(options, ["workerd"], "everything on it, over loopback"), left_out)
    with tempfile.TemporaryDirectory(prefix="zks-bench-") as folder, contextlib.ExitStack() as stack:
        stack.enter_context(place(options.congestion[0]))
        paths = [begin(stack, File(folder), name) for name in (NATIVE, WORKER, BARE, HIBERNATING) if name not in left_out]
        in_turns(result, paths, [job(size) for size in SIZES], options.rounds, options.congestion[0])
    return result


def claims(result):
    name = f"messages of {SENT // KIB} KiB"
    return [(f"Worker, {name}, beside {splice}", result.ratio(name, WORKER, path), 0.8, 1, " ×", True)
            for path, splice in ((BARE, "a bare splice in its runtime"), (HIBERNATING, "one that hibernates, too"))]
