# SPDX-License-Identifier: MIT
"""A TCP proxy that keeps every byte of both directions, and a reader of the WebSocket frames (RFC 6455) in them."""
import dataclasses
import socket
import threading

from .servers import accept_in_background


@dataclasses.dataclass
class Connection:
    sent: bytearray = dataclasses.field(default_factory=bytearray)      # by the side that dialled the recorder
    received: bytearray = dataclasses.field(default_factory=bytearray)  # by that side


class Recorder:
    """Listens on a free loopback port and forwards to `target`. `before_forwarding`, when set, is called with what
    came from the target before it is passed on."""

    def __init__(self, target):
        self.target = target
        self.before_forwarding = None
        self.connections = []
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        accept_in_background(self._listener, self._forward)

    def _forward(self, near):
        record = Connection()
        self.connections.append(record)
        try:
            far = socket.create_connection(self.target, 10)
        except OSError:
            near.close()
            return
        self._sockets += [near, far]
        for source, sink, log in ((near, far, record.sent), (far, near, record.received)):
            source.settimeout(None)
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._copy, args=(source, sink, log, log is record.received), daemon=True).start()

    def _copy(self, source, sink, log, from_target):
        try:
            while data := source.recv(65536):
                log += data
                if from_target and self.before_forwarding:
                    self.before_forwarding(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for sock in (source, sink):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def bytes(self):
        """Everything that passed, as on the wire and with the WebSocket mask taken off."""
        parts = []
        for connection in list(self.connections):
            for stream in (bytes(connection.sent), bytes(connection.received)):
                parts.append(stream)
                parts += [payload for _, payload in messages(stream)]
        return b"\n".join(parts)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()


def messages(stream):
    """(opcode, unmasked payload) of each whole WebSocket message that follows the HTTP header in `stream`."""
    at = stream.find(b"\r\n\r\n")
    if at < 0:
        return
    at += 4
    opcode, payload = 0, b""
    while at + 2 <= len(stream):
        first, second = stream[at], stream[at + 1]
        at += 2
        length = second & 0x7F
        extra = {126: 2, 127: 8}.get(length, 0)
        if extra:
            length = int.from_bytes(stream[at:at + extra], "big")
            at += extra
        mask = stream[at:at + 4] if second & 0x80 else b""
        at += len(mask)
        body = stream[at:at + length]
        if len(body) < length:
            return
        at += length
        opcode = first & 0x0F or opcode
        payload += unmask(body, mask) if mask else body
        if first & 0x80:
            yield opcode, payload
            payload = b""


def unmask(body, mask):
    repeated = (mask * (len(body) // 4 + 1))[:len(body)]
    return (int.from_bytes(body, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(body), "big")
