# SPDX-License-Identifier: MIT
"""Access links as the protocol writes them, apart from the project's own parser: to take them apart and to make
wrong ones with a right checksum.

    zks://HOST[:PORT][,...][/PREFIX]/ROOM[?pin=PIN]#base64url(0x01, exit key (32), invite id (8), psk (32), sum (4))
"""
import base64
import dataclasses
import hashlib
import re

LINK = re.compile(r"(?P<scheme>zks(?:\+ws)?)://(?P<hosts>[^/?#]+)(?P<prefix>(?:/[^/?#]+)*)/(?P<room>[a-z2-7]{32})"
                  r"(?:\?pin=(?P<pin>[A-Za-z0-9_-]+))?#(?P<key>[A-Za-z0-9_-]+)")


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclasses.dataclass(frozen=True)
class AccessLink:
    scheme: str
    hosts: str
    prefix: str
    room: str
    pin: str
    exit_key: bytes
    invite: bytes
    psk: bytes

    @classmethod
    def parse(cls, text):
        match = LINK.fullmatch(text)
        assert match, "not an access link"
        raw = from_base64url(match["key"])
        assert len(raw) == 77 and raw[0] == 1
        assert hashlib.sha256(raw[:73]).digest()[:4] == raw[73:]
        return cls(match["scheme"], match["hosts"], match["prefix"], match["room"], match["pin"] or "",
                   raw[1:33], raw[33:41], raw[41:73])

    def fragment(self):
        body = b"\x01" + self.exit_key + self.invite + self.psk
        return base64url(body + hashlib.sha256(body).digest()[:4])

    def with_(self, **changes):
        return dataclasses.replace(self, **changes)

    def __str__(self):
        pin = f"?pin={self.pin}" if self.pin else ""
        return f"{self.scheme}://{self.hosts}{self.prefix}/{self.room}{pin}#{self.fragment()}"
