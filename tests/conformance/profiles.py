# SPDX-License-Identifier: MIT
"""Where relays may differ: what PROTOCOL.md, "What a relay may see and do", leaves to a relay's platform (limits of
URL, header and message, time-outs, the window, how many messages it holds, which flags it can be started with).

A field that is a tuple holds every answer that is accepted. Nothing here loosens message boundaries and order, keys,
epochs, single-use pairs or the isolation of rooms.
"""
from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024
# Answers of a server that looks at a request before the relay does: its own status, or none at all (0).
FRONT_END = (0, 400, 403, 404, 413, 414, 421, 426, 429, 431, 500, 501, 503, 505)


@dataclass(frozen=True)
class Profile:
    name: str
    flags: frozenset = frozenset()          # of its launcher, for tests that start a relay of their own
    max_message: int = MIB                  # the longest that has to pass
    too_long: int = MIB + 1                 # the shortest that is refused, with 1009
    window: int | None = None               # None: any that `paired` announces
    not_http: tuple = FRONT_END
    long_target: tuple = FRONT_END
    long_header: tuple = FRONT_END
    no_key: tuple = FRONT_END               # an upgrade without Sec-WebSocket-Key
    early_bytes: tuple = FRONT_END          # bytes behind the request before its answer
    other_version: tuple = FRONT_END
    other_host: tuple = FRONT_END
    # A pair id that nobody waits under: an HTTP status, or the close code after the upgrade.
    no_such_pair: tuple = (410, 4410)
    broken_frame: tuple = (1002, 1006)
    not_utf8: tuple = (1007, 1006)
    lenient_masks: bool = True              # whether a client's frame without a mask may pass
    # Of a receiver that stops reading a relay without backpressure may part, after `window` bytes.
    stalled_sender: tuple = ("held back", 4413)
    hangs_up_seconds: float = 40            # after a close, whether it is answered or not
    registration_seconds: float = 30        # by then a challenge has to be answered


NATIVE = Profile(
    "native", window=16 * MIB, not_http=(0, 400), long_target=(414,), long_header=(431,), no_key=(400,),
    early_bytes=(400,), other_version=(426,), other_host=(400, 421),
    no_such_pair=(410,), broken_frame=(1002,), not_utf8=(1007,),
    lenient_masks=False, stalled_sender=("held back",), hangs_up_seconds=8, registration_seconds=12,
    flags=frozenset({"--allow-rooms", "--idle-timeout", "--join-rate", "--max-pairs", "--max-pairs-per-room",
                     "--max-pairs-per-source",
                     "--rotate-bytes", "--rotate-seconds", "--upgrade-timeout"}))
WORKER = Profile(
    # workerd reads a byte that is not UTF-8 as U+FFFD, and a text that has no place is 1008.
    "worker", window=4 * MIB, early_bytes=(*FRONT_END, 101), no_such_pair=(410,), not_utf8=(1007, 1008),
    hangs_up_seconds=40,
    flags=frozenset({"--allow-rooms", "--join-rate", "--max-pairs-per-room", "--max-pairs-per-source", "--rotate-bytes",
                     "--rotate-seconds"}))
GENERIC = Profile("generic", early_bytes=(*FRONT_END, 101))

PROFILES = {profile.name: profile for profile in (NATIVE, WORKER, GENERIC)}
