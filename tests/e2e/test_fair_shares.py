# SPDX-License-Identifier: MIT
"""An invite far beyond its limits, and strangers without one, do not slow another invite's users: what such a user gets is
compared with what it gets alone, in the same run."""
import contextlib
import os
import socket
import statistics
import sys
import threading
import time

import pytest
from harness import servers, socks
from harness.process import Program, wait_until
from harness.tunnel import make_invite, start_client, start_exit, start_relay

PINGS, BULK_SECONDS = 300, 3
RATE = 1 << 20
# The machine has two processors and the abuse takes some of them, whatever the exit does. Without limits, and with
# turns that are not taken, both are exceeded by far.
LATENCY_RATIO, LATENCY_SLACK_SECONDS = 4, 0.004
THROUGHPUT_RATIO = 0.4


@contextlib.contextmanager
def server(serve):
    """Serves each connection in a thread of its own; yields the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        def begin(connection):
            threading.Thread(target=guarded, args=(connection,), daemon=True).start()

        def guarded(connection):
            with connection, contextlib.suppress(OSError):
                serve(connection)

        servers.accept_in_background(listener, begin)
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def pour(connection):
    piece = bytes(1 << 18)
    while True:
        connection.sendall(piece)


def swallow(connection):
    while connection.recv(1 << 18):
        pass


def echo(connection):
    while data := connection.recv(1 << 16):
        connection.sendall(data)


def latency(proxy, port):
    """The median seconds of a byte there and back."""
    with socks.connect(proxy, "127.0.0.1", port) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        seconds = []
        for _ in range(PINGS):
            began = time.perf_counter()
            sock.sendall(b"?")
            assert sock.recv(1) == b"?"
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def throughput(proxy, port):
    """Bytes a second of a download; the first second opens its window."""
    with socks.connect(proxy, "127.0.0.1", port) as sock:
        buffer = bytearray(1 << 18)
        began = time.monotonic()
        counted = 0
        while (now := time.monotonic()) < began + 1 + BULK_SECONDS:
            count = sock.recv_into(buffer)
            counted += count if now >= began + 1 else 0
        socks.abort(sock)
    return counted / BULK_SECONDS


@pytest.mark.load
@pytest.mark.native_relay("strangers are held back by its --join-rate")
def test_abuse_does_not_slow_another_invite(tmp_path, programs):
    relay = start_relay(tmp_path, None, "--join-rate", "20/s")
    programs.append(relay)
    exit_peer = start_exit(tmp_path, relay.url)
    programs.append(exit_peer)
    calm = start_client(tmp_path, make_invite(exit_peer, "calm"), name="calm")
    programs.append(calm)
    wild = start_client(tmp_path, make_invite(exit_peer, "wild", "--max-streams", "40", "--stream-rate", "20/s",
                                              "--rate", str(RATE)), name="wild")
    programs.append(wild)
    os.setpriority(os.PRIO_PROCESS, wild.pid, 19)  # on a machine of its own
    with server(pour) as source, server(swallow) as sink, server(echo) as echoes:
        alone = latency(calm.proxy, echoes), throughput(calm.proxy, source)
        abuser = Program("abuser", [sys.executable, os.path.join(os.path.dirname(__file__), "abusive_user.py"), wild.proxy[1],
                                    source, sink, relay.url, exit_peer.link().room], tmp_path)
        programs.append(abuser)
        wait_until(lambda: exit_peer.stderr().count("stream refused") > 20
                   and "a client did not get a session" in exit_peer.stderr(), 20, "the abuse is under way")
        beside = latency(calm.proxy, echoes), throughput(calm.proxy, source)
        assert abuser.alive() and exit_peer.alive() and relay.alive()
    print(f"echo {alone[0] * 1e3:.2f} ms alone, {beside[0] * 1e3:.2f} ms beside; "
          f"{alone[1] / 1e6:.0f} MB/s alone, {beside[1] / 1e6:.0f} MB/s beside")
    assert beside[0] <= alone[0] * LATENCY_RATIO + LATENCY_SLACK_SECONDS
    assert beside[1] >= alone[1] * THROUGHPUT_RATIO
