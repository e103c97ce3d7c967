# SPDX-License-Identifier: MIT
"""scripts/bench streams: what many streams of one session cost beside one."""
import contextlib
import tempfile
from pathlib import Path as File

from . import load, machine, peers
from .results import Result
from .rounds import Path, in_turns, place

NAME = "streams"
TITLE = "Many streams in one session"
ABOUT = """
One session through the TLS relay over loopback, with 1 to 1,000 busy streams in it, each a connection through the SOCKS5
port. CPU seconds are counted while all streams are open and busy. Each socket's buffers end at 256 KiB here: as large as
the kernel would let them grow, those of 1,000 busy connections exceed what it gives to TCP, and then even the load without
a proxy stands still.
"""
PLOTS = ["1000 streams down"]
ZKS = "zks"
COUNTS = (1, 10, 100, 1000)
WAYS = ("down", "up")
MOST_BUFFER = 256 * 1024
WARM_UP = 4  # seconds, in which 1,000 streams have begun


def job_name(count, way):
    return f"{count} stream{'s' if count > 1 else ''} {way}"


def run(options):
    result = Result.new(NAME, machine.header(options, ["openssl"], "everything on it, over loopback"))
    for congestion in options.congestion:
        with tempfile.TemporaryDirectory(prefix="zks-bench-") as folder, contextlib.ExitStack() as stack:
            stack.enter_context(place(congestion, MOST_BUFFER))
            port, roles = stack.enter_context(peers.zks(File(folder)))
            jobs = [load.throughput(way, count, options.seconds, WARM_UP) for count in COUNTS for way in WAYS]
            in_turns(result, [Path(ZKS, load.End(port), lambda: roles)], jobs, options.rounds, congestion)
    return result


def claims(result):
    """More CPU per GB of the three processes together, in percent."""
    rows = []
    for way in WAYS:
        one, many = (result.cpu_sum(job_name(count, way), ZKS) for count in (COUNTS[0], COUNTS[-1]))
        more = (many / one - 1) * 100 if one and many is not None else None
        rows.append((f"1 to 1,000 streams {way} in one session: more CPU per GB", more, 25, 5, " %", False))
    return rows
