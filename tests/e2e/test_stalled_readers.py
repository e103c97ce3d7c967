# SPDX-License-Identifier: MIT
"""A reader that goes at full speed for 5 s and then stops, then a hundred such: the streams beside them are not
slowed, and the memory of all three processes stays within the bounds that ARCHITECTURE.md states.

Rates are only compared with rates of the same run. The source is nginx sending a sparse file, which costs no
memory of its own.
"""
import statistics
import threading
import time

import pytest
from harness import servers, socks
from harness.process import wait_until
from harness.tunnel import RELAY

MIB = 1 << 20
FULL_SPEED_SECONDS = 5
WINDOWS, WINDOW_SECONDS = 5, 1
HEALTHY = 4

# Above what the process holds idle. Endpoints: 64 MiB of session credit in each direction, 12 MiB in flight on the
# lane, 64 MiB for both kernels' buffers being copied, the allocator's slack. Native relay: one message of at most
# 1 MiB a direction and the buffers of two TLS sockets. The Worker: two queues of 5.3 MiB, and the messages that passed
# since JavaScript's collector last looked (docs/guide/worker.md).
ENDPOINT_BOUND = 256 * MIB
RELAY_BOUND = {"native": 64 * MIB, "worker": 256 * MIB}[RELAY]


class Reader(threading.Thread):
    """Downloads without end and counts, until it is told to stop reading; its socket stays open then."""

    def __init__(self, proxy, web):
        super().__init__(daemon=True)
        self.bytes = 0
        self._reading = True
        self._socket = socks.connect(proxy, "127.0.0.1", web.http_port)
        self.port = self._socket.getsockname()[1]
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


def pass_time(seconds):
    """Lets readers read; the time itself is what is measured."""
    assert not threading.Event().wait(seconds)


def rates(readers):
    """The median bytes of these readers in each of a few windows of time, sorted: what disturbs the machine for a
    moment shows in one of them."""
    found = []
    for _ in range(WINDOWS):
        before = [reader.bytes for reader in readers]
        pass_time(WINDOW_SECONDS)
        found.append(statistics.median(reader.bytes - start for reader, start in zip(readers, before)))
    return sorted(found)


def queued_bytes(readers):
    """What the kernel holds between the proxy and these readers, from /proc/net/tcp."""
    ports = {reader.port for reader in readers}
    total = 0
    with open("/proc/net/tcp") as table:
        next(table)
        for line in table:
            _, local, remote, _, queues, *_ = line.split()
            to_send, to_receive = (int(part, 16) for part in queues.split(":"))
            if int(remote.split(":")[1], 16) in ports:
                total += to_send
            if int(local.split(":")[1], 16) in ports:
                total += to_receive
    return total


def wait_until_full(readers):
    """Readers that stopped take part until the kernel's buffers before them are full: many megabytes each."""
    seen = []

    def steady():
        seen.append(queued_bytes(readers))
        pass_time(0.5)
        # Probes of closed windows carry a few bytes each.
        return len(seen) >= 4 and max(seen[-4:]) - min(seen[-4:]) <= 4096 * len(readers)

    wait_until(steady, 60, "the stalled readers' buffers are full")


class MemoryWatch:
    """The most that each program's resident memory grew above what it was when this began, as the kernel saw it."""

    def __init__(self, programs):
        self._idle = {program: program.resident_bytes() for program in programs}
        for program in programs:
            program.reset_peak()

    def growth(self):
        return {program.name: program.peak_resident_bytes() - idle for program, idle in self._idle.items()}


def stall(tunnel, web, count):
    """Readers that had FULL_SPEED_SECONDS of reading and then stopped, with all buffers before them full."""
    readers = [Reader(tunnel.proxy, web) for _ in range(count)]
    pass_time(FULL_SPEED_SECONDS)
    assert all(reader.bytes for reader in readers), "each got data before it stopped"
    for reader in readers:
        reader.stop_reading()
    wait_until_full(readers)
    return readers


@pytest.mark.load
@pytest.mark.timeout(300)
def test_stalled_readers_slow_nobody_and_hold_bounded_memory(new_tunnel, web):
    with open(web.root / "endless", "wb") as sparse:
        sparse.truncate(1 << 40)
    tunnel = new_tunnel()
    watch = MemoryWatch(tunnel.programs)
    healthy = [Reader(tunnel.proxy, web) for _ in range(HEALTHY)]
    pass_time(1)  # windows open
    alone = rates(healthy)
    stalled = stall(tunnel, web, 1)
    beside_one = rates(healthy)
    stalled += stall(tunnel, web, 100)
    beside_many = rates(healthy)
    late = [Reader(tunnel.proxy, web) for _ in range(HEALTHY)]
    beside_late = rates(late)
    growth = watch.growth()
    for reader in (*stalled, *late):
        reader.close()
    alone_again = rates(healthy)
    for reader in healthy:
        reader.close()

    shown = (f"alone {alone}, beside one {beside_one}, beside many {beside_many}, late {beside_late}, "
             f"alone again {alone_again}, growth {growth}")
    print(shown)
    fair = min(statistics.median(alone), statistics.median(alone_again))
    assert max(beside_one) >= fair / 2, shown
    assert max(beside_many) >= fair / 2, shown
    assert max(beside_late) >= fair / 8, f"streams that begin beside stalled ones share with {HEALTHY} others: {shown}"
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
