# SPDX-License-Identifier: MIT
"""UDP through a SOCKS5 proxy (RFC 1928, section 7), written from the RFC, and servers to talk to."""
import contextlib
import ipaddress
import socket
import struct
import threading

from . import socks

TIMEOUT = 10
QUIET = 0.7  # what has not come over loopback by then does not come


def associate_request(host="0.0.0.0", port=0):
    return b"\x05\x03\x00" + socks.request(host, port)[3:]


def read_bound(sock):
    """(code, address) of the reply to UDP ASSOCIATE."""
    version, code, _, kind = socks.read_exactly(sock, 4)
    assert version == 5
    host = socks.read_exactly(sock, {1: 4, 4: 16}[kind])
    (port,) = struct.unpack("!H", socks.read_exactly(sock, 2))
    return code, (str(ipaddress.ip_address(host)), port)


def header(host, port, fragment=0):
    return b"\x00\x00" + bytes([fragment]) + socks.request(host, port)[3:]


def split(datagram):
    """((host, port), payload) of what the proxy sent."""
    assert datagram[:3] == b"\x00\x00\x00"
    size = {1: 4, 4: 16}[datagram[3]]
    host = str(ipaddress.ip_address(datagram[4:4 + size]))
    (port,) = struct.unpack_from("!H", datagram, 4 + size)
    return (host, port), datagram[6 + size:]


class Association:
    """A UDP association of its own. `bind`: the local address that it sends from; `request`: the bytes of another request."""

    def __init__(self, proxy, announce=None, bind=None, request=None):
        self.control = socks.greet(proxy, TIMEOUT)
        self.socket = socket.socket(socket.AF_INET6 if ":" in proxy[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(TIMEOUT)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((bind or proxy[0], 0))
        port = self.socket.getsockname()[1] if announce is None else announce
        self.control.sendall(request or associate_request(port=port))
        code, self.relay = read_bound(self.control)
        if code:
            self.close()
            raise socks.SocksError(code)

    def send(self, host, port, payload, fragment=0):
        self.socket.sendto(header(host, port, fragment) + payload, self.relay)

    def receive(self):
        return split(self.socket.recv(70_000))

    def ask(self, host, port, payload):
        self.send(host, port, payload)
        return self.receive()

    def ask_until_answered(self, host, port, payload, seconds=20):
        """For a path that is being mended: as applications over UDP do."""
        self.socket.settimeout(0.5)
        try:
            for _ in range(seconds * 2):
                self.send(host, port, payload)
                with contextlib.suppress(TimeoutError):
                    return self.receive()
        finally:
            self.socket.settimeout(TIMEOUT)
        raise AssertionError("no answer")

    def is_silent(self):
        self.socket.settimeout(QUIET)
        try:
            self.socket.recv(70_000)
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT)

    def close(self):
        self.control.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class UdpServer:
    """Answers each datagram with what `answer(payload, peer)` makes of it, echoes by default; `seen` says from whom."""

    def __init__(self, host="127.0.0.1", answer=lambda payload, peer: payload):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((host, 0))
        self.address = self.socket.getsockname()[:2]
        self.answer = answer
        self.seen = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            payload, peer = self.socket.recvfrom(70_000)
            if payload == b"end of the server":
                return
            self.seen.append(peer)
            answer = self.answer(payload, peer)
            if answer is not None:
                self.socket.sendto(answer, peer)

    def close(self):
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as last:
            last.sendto(b"end of the server", self.address)
        self._thread.join(5)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
