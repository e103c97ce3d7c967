# SPDX-License-Identifier: MIT
"""A slow line in front of a TCP port: a rate and a delay in each direction, and little memory, so that what does not
fit waits in the sender's kernel as it does before a slow modem."""
import asyncio
import contextlib
import socket
import threading

PIECE = 8 * 1024
KERNEL_BYTES = 32 * 1024


class SlowLink:
    """Forwards connections to `target_port` on loopback; `rate` in bytes a second, `delay` in seconds one way."""

    def __init__(self, target_port, rate, delay):
        self._target_port, self._rate, self._delay = target_port, rate, delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        self.port = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listener, limit=PIECE))
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
        self._loop.close()

    async def _serve(self, reader, writer):
        upstream = socket.socket()
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        upstream.setblocking(False)
        await asyncio.get_running_loop().sock_connect(upstream, ("127.0.0.1", self._target_port))
        far_reader, far_writer = await asyncio.open_connection(sock=upstream, limit=PIECE)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

    async def _carry(self, reader, writer):
        clock = asyncio.get_running_loop().time
        on_the_line = asyncio.Queue()
        arriving = asyncio.create_task(self._arrive(on_the_line, writer))
        free_at = clock()
        while data := await reader.read(PIECE):
            free_at = max(free_at, clock()) + len(data) / self._rate
            await asyncio.sleep(free_at - clock())
            on_the_line.put_nowait((free_at + self._delay, data))
        on_the_line.put_nowait((free_at + self._delay, b""))
        await arriving

    async def _arrive(self, on_the_line, writer):
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await on_the_line.get()
            await asyncio.sleep(max(0, due - clock()))
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._listener.close()
