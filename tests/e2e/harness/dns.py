# SPDX-License-Identifier: MIT
"""A DNS server (RFC 1035, UDP) on a free loopback port for names that only the exit's --resolver can know."""
import ipaddress
import socket
import struct
import threading

TYPE_A, TYPE_CNAME, TYPE_AAAA = 1, 5, 28
NXDOMAIN, NOT_IMPLEMENTED = 3, 4


def _question(message):
    """(name, type, end) of the first question."""
    labels, at = [], 12
    while message[at]:
        length = message[at]
        labels.append(message[at + 1:at + 1 + length].decode())
        at += 1 + length
    (kind,) = struct.unpack_from("!H", message, at + 1)
    return ".".join(labels).lower(), kind, at + 5


def _name(text):
    return b"".join(bytes([len(label)]) + label for label in text.encode().split(b".")) + b"\0"


def _record(owner, kind, data):
    return _name(owner) + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


class DnsServer:
    """Answers A and AAAA from `names` (name: list of addresses), everything else with NXDOMAIN. `aliases` are CNAMEs.
    `turns` (name: list of such lists) answers each query of a type with the next one, and then on with the last."""

    def __init__(self, names, aliases=None, turns=None):
        self.names = names
        self.aliases = aliases or {}
        self.turns = turns or {}
        self.asked = []  # (name, type) in the order of arrival
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._socket.getsockname())
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            query, peer = self._socket.recvfrom(1500)
            if not query:
                return
            try:
                self._socket.sendto(self._answer(query), peer)
            except (IndexError, struct.error, UnicodeDecodeError):
                continue  # not a query

    def _answer(self, query):
        name, kind, end = _question(query)
        self.asked.append((name, kind))
        version = {TYPE_A: 4, TYPE_AAAA: 6}.get(kind)
        records = []
        while name in self.aliases:
            records.append(_record(name, TYPE_CNAME, _name(self.aliases[name])))
            name = self.aliases[name]
        answers = self.names.get(name, ())
        if name in self.turns:
            turn = self.asked.count((name, kind)) - 1
            answers = self.turns[name][min(turn, len(self.turns[name]) - 1)]
        known = [ipaddress.ip_address(text) for text in answers]
        records += [_record(name, kind, address.packed) for address in known if address.version == version]
        code = 0 if known else NXDOMAIN
        header = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        return header + query[12:end] + b"".join(records)

    def close(self):
        host, port = self.address.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (host, int(port)))
        self._thread.join(5)
        self._socket.close()
