# SPDX-License-Identifier: MIT
"""scripts/bench datagrams: UDP through SOCKS5 at some rates, and what of it arrives."""
import contextlib
import tempfile
from pathlib import Path as File

from . import load, machine, peers
from .results import Result
from .rounds import Job, Path, in_turns, place

NAME = "datagrams"
TITLE = "Datagrams"
ABOUT = """
Datagrams of 1,200 bytes one way through SOCKS5's UDP ASSOCIATE at a steady rate, over loopback: the share that did not arrive.
`zks` carries them in its TLS connections and drops what has waited there for 100 ms; shadowsocks sends each on as a datagram.
"""
PLOTS = []
ZKS, SHADOWSOCKS = "zks", "shadowsocks"
RATES = (20, 50, 100, 200)  # Mbit/s


def job(rate, seconds):
    name = f"{rate} Mbit/s"

    def run(path, _):
        answer = load.run(path.end, "--mode", "datagrams", "--mbit", rate, seconds=seconds)
        return {name: answer["lost_percent"]}, answer["received"] * 1200
    return Job(name, [(name, "% lost", False)], run)


def run(options):
    """With the first congestion control alone."""
    left_out = {SHADOWSOCKS: why} if (why := machine.missing("ss-local", "apt package shadowsocks-libev")) else {}
    header = machine.header(options, ["shadowsocks-libev", "openssl"], "everything on it, over loopback")
    result = Result.new(NAME, header, left_out)
    with tempfile.TemporaryDirectory(prefix="zks-bench-") as folder, contextlib.ExitStack() as stack:
        stack.enter_context(place(options.congestion[0]))
        paths = []
        for name, start in ((ZKS, peers.zks), (SHADOWSOCKS, peers.shadowsocks)):
            if name not in left_out:
                directory = File(folder) / name
                directory.mkdir()
                port, roles = stack.enter_context(start(directory))
                paths.append(Path(name, load.End(port), lambda roles=roles: roles))
        in_turns(result, paths, [job(rate, options.seconds) for rate in RATES], options.rounds, options.congestion[0])
    return result


def claims(result):
    del result
    return []
