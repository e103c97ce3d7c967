# SPDX-License-Identifier: MIT
"""SOCKS5 (RFC 1928) as a client speaks it, written from the RFC: with blocking sockets and with asyncio."""
import asyncio
import ipaddress
import socket
import struct

REFUSED, HOST_UNREACHABLE, NETWORK_UNREACHABLE, NOT_ALLOWED = 5, 4, 3, 2
TIMEOUT = 30


class SocksError(Exception):
    def __init__(self, code):
        super().__init__(f"SOCKS5 reply {code}")
        self.code = code


def request(host, port):
    """CONNECT to an address (ATYP 1 or 4) or to a name for the exit to resolve (ATYP 3)."""
    try:
        address = ipaddress.ip_address(host)
        target = bytes([1 if address.version == 4 else 4]) + address.packed
    except ValueError:
        name = host.encode()
        target = bytes([3, len(name)]) + name
    return b"\x05\x01\x00" + target + struct.pack("!H", port)


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError(f"end of stream after {len(data)} of {count} bytes")
        data += more
    return data


def read_reply(sock):
    """The reply code; consumes the whole reply."""
    version, code, _, kind = read_exactly(sock, 4)
    assert version == 5
    length = {1: 4, 4: 16}.get(kind) or read_exactly(sock, 1)[0]
    read_exactly(sock, length + 2)
    return code


def greet(proxy, timeout=TIMEOUT, receive_buffer=None):
    """A connection to the proxy after the method negotiation (no authentication)."""
    sock = socket.socket(socket.AF_INET6 if ":" in proxy[0] else socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        sock.connect(proxy)
        sock.sendall(b"\x05\x01\x00")
        assert read_exactly(sock, 2) == b"\x05\x00"
    except BaseException:
        sock.close()
        raise
    return sock


def connect(proxy, host, port, timeout=TIMEOUT, receive_buffer=None):
    """A connection through the proxy; SocksError with the reply's code when it said no."""
    sock = greet(proxy, timeout, receive_buffer)
    try:
        sock.sendall(request(host, port))
        code = read_reply(sock)
    except BaseException:
        sock.close()
        raise
    if code:
        sock.close()
        raise SocksError(code)
    return sock


def abort(sock):
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def open_stream(proxy, host, port):
    """asyncio's (reader, writer) through the proxy."""
    reader, writer = await asyncio.open_connection(*proxy)
    writer.write(b"\x05\x01\x00")
    assert await reader.readexactly(2) == b"\x05\x00"
    writer.write(request(host, port))
    _, code, _, kind = await reader.readexactly(4)
    await reader.readexactly({1: 6, 4: 18}[kind])
    if code:
        writer.close()
        raise SocksError(code)
    return reader, writer
