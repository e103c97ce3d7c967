# SPDX-License-Identifier: MIT
"""scripts/bench profile: where client, relay and exit spend their time under one stream, as flame graphs."""
import contextlib
import tempfile
import threading
from pathlib import Path as File

from . import flame, load, machine, peers
from .results import FOLDER, Result
from .rounds import place, say

NAME = "profile"
TITLE = "Where the time goes"
ABOUT = """
Client, TLS relay and exit while one stream downloads over loopback, sampled by `perf`. A frame is as wide as its share of the
process's samples, callers below; orange are ciphers, blue the kernel and system calls. The tables show the functions in
which samples ended.
"""
ROLES = ("client", "relay", "exit")


def run(options):
    result = Result.new(NAME, machine.header(options, ["openssl"], "everything on it, over loopback"))
    if why := machine.missing("perf", "apt package linux-perf"):
        result.content["left_out"]["flame graphs"] = why
        return result
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="zks-bench-") as folder, contextlib.ExitStack() as stack:
        stack.enter_context(place(options.congestion[0]))
        port, roles = stack.enter_context(peers.zks(File(folder)))
        for role in ROLES:  # one after the other: perf itself takes time
            say(f"sampling the {role}")
            busy = threading.Thread(target=load.run, args=(load.End(port), "--mode", "down"),
                                    kwargs={"seconds": options.seconds + 1})
            busy.start()
            data = File(folder) / f"{role}.perf"
            flame.record(roles[role], options.seconds, data)
            busy.join()
            folded = flame.fold(data)
            data.unlink()
            result.facts[role] = [[round(100 * share, 1), name] for share, name in flame.hottest(folded)]
            if not options.dry:
                (FOLDER / f"flame-{role}.svg").write_text(flame.svg(f"{role}, one stream down", folded))
    return result


def section(result):
    """The page's lines, instead of tables of samples."""
    lines = []
    for role, functions in result.facts.items():
        lines += ["", f"| {role}, % of samples | function |", "|--:|---|"]
        lines += [f"| {share:.1f} | `{name}` |" for share, name in functions]
        lines += ["", f"![{role}](benchmarks/flame-{role}.svg)"]
    return lines


def claims(result):
    del result
    return []
