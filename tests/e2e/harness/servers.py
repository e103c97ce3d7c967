# SPDX-License-Identifier: MIT
"""Small TCP servers behind the exit, on free loopback ports."""
import asyncio
import contextlib
import queue
import socket
import threading


def accept_in_background(listener, serve):
    """Calls `serve` with each accepted connection, one after the other, until the listener is shut down."""

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    return thread


class Accepting:
    """Hands out accepted connections one by one, for tests that hold the server's end themselves."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepted = queue.Queue()
        accept_in_background(self._listener, self._accepted.put)

    def next(self, seconds=10):
        connection = self._accepted.get(timeout=seconds)
        connection.settimeout(seconds)
        return connection

    def none_accepted(self):
        return self._accepted.empty()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        while not self._accepted.empty():
            self._accepted.get().close()


@contextlib.contextmanager
def accepting():
    server = Accepting()
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def closed_port():
    """A port that is bound and does not listen: connecting to it is refused, and nobody else can take it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.asynccontextmanager
async def echoing():
    """An asyncio echo server; yields its port."""

    async def echo(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=2048)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
