# SPDX-License-Identifier: MIT
"""Hostile bytes at every listening port: garbage, halves of requests, slow senders, hang-ups. The programs live on,
and the tunnel works afterwards."""
import random
import socket
import ssl

import pytest
from conftest import SITE
from harness import socks
from harness.process import run, wait_until

SEED = 20250501
SOCKS_START = [b"", b"\x05", b"\x05\x01", b"\x05\x01\x00", b"\x05\x01\x00\x05\x01", b"\x05\xff" + bytes(255),
               b"\x05\x01\x00\x05\x01\x00\x03\xff", b"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50",
               b"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", b"\x05\x01\x00\x05\x01\x00\x09\x00",
               b"\x05\x00", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"\x05\x01\x02\x01\xff\xff",
               b"GET / HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"]
HTTP_START = [b"", b"G", b"GET", b"GET / HTTP/1.1\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100, b"\r\n" * 1000,
              b"GET /v1/rooms/ HTTP/1.1\r\nHost: a\r\n\r\n", b"PUT /healthz HTTP/1.1\r\n\r\n",
              b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
              b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n",
              b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
              b"GET /v1/rooms/" + b"a" * 32 + b"/client HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
              b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n"]


def hostile_inputs(starts):
    """Each start alone, and followed by noise; then noise alone. The same every time."""
    noise = random.Random(SEED)
    for start in starts:
        yield start
        yield start + noise.randbytes(noise.randrange(1, 2000))
    for size in (1, 2, 10, 100, 1000, 10_000, 100_000):
        yield noise.randbytes(size)


def throw(connect, data, ending):
    """Sends `data` and ends in one of three ways; what the other side answers does not matter, only that it ends
    the connection or outlives it."""
    sock = connect()
    try:
        sock.sendall(data)
        if ending == "half-close":
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(15)
            while sock.recv(65536):
                pass
    except OSError:
        pass  # refused in the middle of it: the best answer
    if ending == "reset":
        socks.abort(sock)
    else:
        sock.close()


def assert_works(tunnel, web):
    (web.root / "alive.html").write_text("alive")
    tunnel.assert_alive()
    got = run(["curl", "-sS", "--noproxy", "", "--socks5-hostname", tunnel.proxy_text,
               f"http://{SITE}:{web.http_port}/alive.html"])
    assert got.stdout == "alive", got.stderr


def over_tcp(address):
    return lambda: socket.create_connection(address, 10)


def over_tls(address, authority):
    context = ssl.create_default_context(cafile=authority.ca_file)
    return lambda: context.wrap_socket(socket.create_connection(address, 10), server_hostname="localhost")


@pytest.mark.parametrize("ending", ["close", "reset", "half-close"])
def test_garbage_at_the_proxy(tunnel, web, ending):
    for data in hostile_inputs(SOCKS_START):
        throw(over_tcp(tunnel.proxy), data, ending)
    assert_works(tunnel, web)


@pytest.mark.parametrize("ending", ["close", "reset", "half-close"])
def test_garbage_at_the_relay_below_tls(tunnel, web, ending):
    for data in hostile_inputs(HTTP_START):
        throw(over_tcp(tunnel.relay.address()), data, ending)
    assert_works(tunnel, web)


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_garbage_at_the_relay_within_tls(tunnel, web, authority, ending):
    for data in hostile_inputs(HTTP_START):
        throw(over_tls(tunnel.relay.address(), authority), data, ending)
    assert_works(tunnel, web)


@pytest.mark.parametrize("port", ["proxy", pytest.param("relay", marks=pytest.mark.native_relay(
    "workerd itself sets no time for a TLS handshake"))])
def test_slow_senders_are_cut_off_and_hold_nobody_up(tunnel, web, port):
    """Two hundred connections that begin a request and never go on: others are served meanwhile, and each is closed when
    its time for a handshake is over (10 s)."""
    address, start = {"proxy": (tunnel.proxy, b"\x05\x01\x00\x05\x01"),
                      "relay": (tunnel.relay.address(), b"\x16\x03\x01")}[port]
    slow = []
    for _ in range(200):
        sock = socket.create_connection(address, 10)
        sock.sendall(start)
        slow.append(sock)
    assert_works(tunnel, web)
    for sock in slow:
        sock.setblocking(False)
    wait_until(lambda: all(is_over(sock) for sock in slow), 30, "every slow connection was closed")
    for sock in slow:
        sock.close()
    assert_works(tunnel, web)


def is_over(sock):
    """True when the other side has ended the connection; reads what it said before."""
    try:
        while sock.recv(4096):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_hostile_payload_is_only_payload(tunnel, web):
    """Bytes within a stream are the stream's business: a target that answers with noise harms nobody."""
    (web.root / "noise").write_bytes(random.Random(SEED).randbytes(1 << 20))
    with socks.connect(tunnel.proxy, "127.0.0.1", web.http_port) as near:
        near.sendall(b"GET /noise HTTP/1.0\r\n\r\n")
        body = b""
        while data := near.recv(65536):
            body += data
    assert body.endswith((web.root / "noise").read_bytes())
    assert_works(tunnel, web)
