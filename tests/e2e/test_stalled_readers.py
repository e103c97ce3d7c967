# SPDX-License-Identifier: MIT
"""A reader that goes at full speed for 5 s and then stops, then a hundred such: the streams beside them are not
slowed, and the memory of all three processes stays within the bounds that PROTOCOL.md states.

Rates are only compared with rates of the same run. The source is nginx sending a sparse file, which costs no
memory of its own.
"""
import statistics
import threading
import time

import pytest
from harness import servers, socks

MIB = 1 << 20
FULL_SPEED_SECONDS = 5
WINDOW_SECONDS = 4
HEALTHY = 4

# Above what the process holds idle. Endpoints: 64 MiB of session credit in each direction, 12 MiB in flight on the
# lane, 64 MiB for both kernels' buffers being copied, the allocator's slack. Relay: two messages of at most 1 MiB
# a direction and the buffers of two TLS sockets.
ENDPOINT_BOUND = 256 * MIB
RELAY_BOUND = 64 * MIB


class Reader(threading.Thread):
    """Downloads without end and counts, until it is told to stop reading; its socket stays open then."""

    def __init__(self, proxy, web):
        super().__init__(daemon=True)
        self.bytes = 0
        self._reading = True
        self._socket = socks.connect(proxy, "127.0.0.1", web.http_port)
        self._socket.sendall(b"GET /endless HTTP/1.0\r\n\r\n")
        self.start()

    def run(self):
        buffer = bytearray(MIB)
        try:
            while self._reading:
                count = self._socket.recv_into(buffer)
                if not count:
                    return
                self.bytes += count
        except OSError:
            return  # closed by the test

    def stop_reading(self):
        self._reading = False

    def close(self):
        self._reading = False
        socks.abort(self._socket)


def rates(readers, seconds):
    """Bytes that each reader got in the next `seconds`."""
    before = [reader.bytes for reader in readers]
    assert not threading.Event().wait(seconds)  # the time itself is what is measured here
    return [reader.bytes - start for reader, start in zip(readers, before)]


class MemoryWatch:
    """The most that each program's resident memory grew above what it was when this began, as the kernel saw it."""

    def __init__(self, programs):
        self._idle = {program: program.resident_bytes() for program in programs}
        for program in programs:
            program.reset_peak()

    def growth(self):
        return {program.name: program.peak_resident_bytes() - idle for program, idle in self._idle.items()}


def stall(tunnel, web, count):
    """Readers that had FULL_SPEED_SECONDS of reading and then stopped."""
    readers = [Reader(tunnel.proxy, web) for _ in range(count)]
    rates(readers, FULL_SPEED_SECONDS)
    assert all(reader.bytes for reader in readers), "each got data before it stopped"
    for reader in readers:
        reader.stop_reading()
    return readers


@pytest.mark.load
@pytest.mark.timeout(300)
def test_stalled_readers_slow_nobody_and_hold_bounded_memory(new_tunnel, web):
    with open(web.root / "endless", "wb") as sparse:
        sparse.truncate(1 << 40)
    tunnel = new_tunnel()
    watch = MemoryWatch(tunnel.programs)
    healthy = [Reader(tunnel.proxy, web) for _ in range(HEALTHY)]
    rates(healthy, 1)  # windows open
    alone = rates(healthy, WINDOW_SECONDS)
    stalled = stall(tunnel, web, 1)
    beside_one = rates(healthy, WINDOW_SECONDS)
    stalled += stall(tunnel, web, 100)
    beside_many = rates(healthy, WINDOW_SECONDS)
    late = [Reader(tunnel.proxy, web) for _ in range(HEALTHY)]
    late_rates = rates(late, WINDOW_SECONDS)
    growth = watch.growth()
    for reader in (*healthy, *stalled, *late):
        reader.close()

    shown = f"alone {alone}, beside one {beside_one}, beside many {beside_many}, late {late_rates}, growth {growth}"
    print(shown)
    assert statistics.median(beside_one) >= statistics.median(alone) / 2, shown
    assert statistics.median(beside_many) >= statistics.median(alone) / 2, shown
    assert min(beside_many) > 0 and min(late_rates) > 0, shown
    assert growth["client"] <= ENDPOINT_BOUND, shown
    assert growth["exit"] <= ENDPOINT_BOUND, shown
    assert growth["relay"] <= RELAY_BOUND, shown
    tunnel.assert_alive()
    tunnel.stop()


@pytest.mark.load
@pytest.mark.timeout(300)
def test_stalled_server_bounds_memory_too(new_tunnel):
    """The other direction: servers that never read what a hundred clients send as fast as they can."""
    tunnel = new_tunnel()
    watch = MemoryWatch(tunnel.programs)
    with servers.accepting() as server:
        senders = []
        for _ in range(100):
            near = socks.connect(tunnel.proxy, "127.0.0.1", server.port)
            near.setblocking(False)
            senders.append(near)
        held = [server.next() for _ in senders]
        sent = [0] * len(senders)
        quiet_since = time.monotonic()
        block = bytes(256 * 1024)
        while time.monotonic() - quiet_since < 2:  # until nobody takes any more
            for index, near in enumerate(senders):
                try:
                    sent[index] += near.send(block)
                    quiet_since = time.monotonic()
                except BlockingIOError:
                    pass
        growth = watch.growth()
        for sock in (*senders, *held):
            socks.abort(sock)
    assert min(sent) > 0
    assert growth["client"] <= ENDPOINT_BOUND, growth
    assert growth["exit"] <= ENDPOINT_BOUND, growth
    assert growth["relay"] <= RELAY_BOUND, growth
    tunnel.assert_alive()
    tunnel.stop()
