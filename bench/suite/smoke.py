# SPDX-License-Identifier: MIT
"""scripts/bench --smoke: two ratios between the tunnel and the plaintext chain, for CI. A machine that does other things too
moves both sides of a ratio; only a fall to less than half of what docs/benchmarks/proxies.json recorded fails."""
import contextlib
import tempfile
from pathlib import Path as File

from . import load, peers
from .proxies import CHAIN, NAME, ZKS
from .results import Result
from .rounds import CONGESTION, Path, in_turns

ROUNDS, SECONDS = 5, 1
DOWN, ECHO = "1 stream down", "echo of 64 bytes"
# (measure, whether more is better)
RATIOS = [(DOWN, True), (f"{ECHO} p50", False)]
SHARE = 0.5


def measure():
    result = Result.new("smoke", {})
    with tempfile.TemporaryDirectory(prefix="zks-bench-") as folder, contextlib.ExitStack() as stack:
        paths = []
        for name, start in ((ZKS, peers.zks), (CHAIN, peers.chain)):
            directory = File(folder) / name
            directory.mkdir()
            port, _ = stack.enter_context(start(directory))
            paths.append(Path(name, load.End(port)))
        jobs = [load.throughput("down", 1, SECONDS), load.latency(ECHO, "echo", 1000, 1000)]
        in_turns(result, paths, jobs, ROUNDS, CONGESTION.read_text().strip())
    return result


def run():
    """The exit status."""
    result, recorded, status = measure(), Result.load(NAME), 0
    for name, more in RATIOS:
        now = result.ratio(name, ZKS, CHAIN)
        before = recorded.ratio(name, ZKS, CHAIN) if recorded else None
        text = f"{name}: {now:.3f} × the plaintext chain"
        if before:
            share = now / before if more else before / now
            text += f", recorded {before:.3f} ×"
            if share < SHARE:
                text += f": less than half as good ({share:.2f})"
                status = 1
        print(text, flush=True)
    return status
