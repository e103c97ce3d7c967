# SPDX-License-Identifier: MIT
"""How connections end and fail: half-close in each direction, RST in each direction, and the SOCKS5 reply for every
reason not to connect, at once."""
import select
import socket
import subprocess
import time

import pytest
from conftest import SITE
from harness import servers, socks
from harness.process import clean_environment

AT_ONCE_SECONDS = 2
REQUEST, RESPONSE = b"request " * 10_000, b"response " * 10_000


@pytest.fixture
def server():
    with servers.accepting() as accepting:
        yield accepting


@pytest.fixture
def ends(tunnel, server):
    """The client's and the server's end of one connection through the tunnel."""
    near = socks.connect(tunnel.proxy, "127.0.0.1", server.port)
    far = server.next()
    yield near, far
    near.close()
    far.close()


def read_to_end(sock):
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return data


def test_client_half_closes_and_still_receives(ends):
    near, far = ends
    near.sendall(REQUEST)
    near.shutdown(socket.SHUT_WR)
    assert read_to_end(far) == REQUEST
    far.sendall(RESPONSE)
    far.shutdown(socket.SHUT_WR)
    assert read_to_end(near) == RESPONSE


def test_server_half_closes_and_still_receives(ends):
    near, far = ends
    far.sendall(RESPONSE)
    far.shutdown(socket.SHUT_WR)
    assert read_to_end(near) == RESPONSE
    near.sendall(REQUEST)
    near.shutdown(socket.SHUT_WR)
    assert read_to_end(far) == REQUEST


def test_half_close_without_any_data(ends):
    near, far = ends
    near.shutdown(socket.SHUT_WR)
    assert read_to_end(far) == b""
    far.sendall(RESPONSE)
    far.close()
    assert read_to_end(near) == RESPONSE


def test_nc_half_closes(tunnel, server):
    """`nc -N` sends FIN at the end of its input and prints what still comes."""
    nc = subprocess.Popen(["nc", "-N", "-X", "5", "-x", tunnel.proxy_text, "127.0.0.1", str(server.port)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment())
    try:
        nc.stdin.write(REQUEST)
        nc.stdin.close()
        far = server.next()
        assert read_to_end(far) == REQUEST
        far.sendall(RESPONSE)
        far.close()
        assert nc.stdout.read() == RESPONSE
        assert nc.wait(10) == 0
    finally:
        nc.kill()
        nc.wait()
        nc.stdout.close()


def exchange(near, far):
    """A byte each way, so that both ends are past their handshakes."""
    near.sendall(b"a")
    assert far.recv(1) == b"a"
    far.sendall(b"b")
    assert near.recv(1) == b"b"


def test_client_reset_reaches_server(ends):
    near, far = ends
    exchange(near, far)
    socks.abort(near)
    with pytest.raises(ConnectionResetError):
        far.recv(1)


def test_server_reset_reaches_client(ends):
    near, far = ends
    exchange(near, far)
    socks.abort(far)
    with pytest.raises(ConnectionResetError):
        near.recv(1)


def test_reset_while_the_other_end_sends(ends):
    """The sender learns of it although it is in the middle of writing more than the windows hold."""
    near, far = ends
    exchange(near, far)
    near.settimeout(10)
    socks.abort(far)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(1000):
            near.sendall(bytes(1 << 20))


def fill(sock):
    """Sends until nobody takes any more: the other end does not read."""
    sock.settimeout(1)
    with pytest.raises(socket.timeout):
        while True:
            sock.sendall(bytes(65536))


def is_reset_unread(sock, seconds):
    """True when RST comes to a socket from which nothing is read."""
    poll = select.poll()
    poll.register(sock, 0)  # POLLERR is always told
    return any(events & select.POLLERR for _, events in poll.poll(seconds * 1000))


@pytest.mark.parametrize("sender", ["client", "server"])
def test_reset_reaches_an_end_that_does_not_read(ends, sender):
    """Also where all buffers before it are full, so that the program at its side waits to write."""
    near, far = ends
    exchange(near, far)
    filling, deaf = (near, far) if sender == "client" else (far, near)
    fill(filling)
    socks.abort(filling)
    assert is_reset_unread(deaf, 5)


def reply_and_seconds(proxy, host, port):
    began = time.monotonic()
    with pytest.raises(socks.SocksError) as refused:
        socks.connect(proxy, host, port)
    return refused.value.code, time.monotonic() - began


@pytest.mark.parametrize("host", ["127.0.0.1", SITE])
def test_connection_refused(tunnel, host):
    with servers.closed_port() as port:
        code, seconds = reply_and_seconds(tunnel.proxy, host, port)
    assert code == socks.REFUSED
    assert seconds < AT_ONCE_SECONDS


def test_unknown_host(tunnel):
    code, seconds = reply_and_seconds(tunnel.proxy, "nobody.exit-only.test", 80)
    assert code == socks.HOST_UNREACHABLE
    assert seconds < AT_ONCE_SECONDS


def test_network_unreachable(tunnel):
    """The kernel says ENETUNREACH for TCP to a broadcast address; this one is allowed to the tests' exit."""
    code, seconds = reply_and_seconds(tunnel.proxy, "127.255.255.255", 80)
    assert code == socks.NETWORK_UNREACHABLE
    assert seconds < AT_ONCE_SECONDS


BLOCKED = ["127.0.0.2", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0",
           "224.0.0.1", "255.255.255.255", "::", "fe80::1", "fd00::1", "fd00:ec2::254", "ff02::1",
           "::ffff:10.1.2.3", "::ffff:127.0.0.2", "64:ff9b::a01:203"]


@pytest.mark.parametrize("host", BLOCKED)
def test_blocked_address(tunnel, host):
    code, seconds = reply_and_seconds(tunnel.proxy, host, 80)
    assert code == socks.NOT_ALLOWED
    assert seconds < AT_ONCE_SECONDS


def test_name_of_a_blocked_address(tunnel, dns):
    """What counts is the address that a name stands for when it is connected to."""
    dns.names["rebound.exit-only.test"] = ["10.1.2.3", "127.0.0.2"]
    code, _ = reply_and_seconds(tunnel.proxy, "rebound.exit-only.test", 80)
    assert code == socks.NOT_ALLOWED


def test_name_with_a_blocked_and_an_allowed_address(tunnel, dns, server):
    dns.names["mixed.exit-only.test"] = ["10.1.2.3", "127.0.0.1"]
    near = socks.connect(tunnel.proxy, "mixed.exit-only.test", server.port)
    with near, server.next() as far:
        exchange(near, far)


def test_refusals_leave_the_tunnel_working(tunnel, server):
    for _ in range(50):
        with servers.closed_port() as port:
            assert reply_and_seconds(tunnel.proxy, "127.0.0.1", port)[0] == socks.REFUSED
    near = socks.connect(tunnel.proxy, "127.0.0.1", server.port)
    with near, server.next() as far:
        exchange(near, far)
