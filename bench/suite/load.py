# SPDX-License-Identifier: MIT
"""Jobs for rounds.py that run bench_load through a path's SOCKS5 port."""
import json
import subprocess

from harness import namespace
from harness.process import BUILD

from .rounds import Job

LOAD = BUILD / "bench_load"
WARM_UP = 1  # second


class End:
    """Where a path's SOCKS5 proxy is: port on loopback (None: no proxy) of a network namespace (None: this one).
    `slow` paths get fewer exchanges."""

    def __init__(self, port, place=None, slow=False):
        self.port, self.place, self.slow = port, place, slow


def run(end, *arguments, seconds=3):
    """bench_load's answer. Fails with its message."""
    command = [LOAD, *arguments, "--seconds", seconds, *(["--proxy-port", end.port] if end.port else [])]
    command = [str(part) for part in command]
    if end.place:
        with namespace.entered(end.place):
            done = subprocess.run(command, capture_output=True, text=True, timeout=180 + seconds, check=False)
    else:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180 + seconds, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def throughput(mode, streams, seconds, skip=()):
    name = f"{streams} stream{'s' if streams > 1 else ''} {mode}"

    def take(path):
        answer = run(path.end, "--mode", mode, "--streams", streams, "--warm-up", WARM_UP, seconds=seconds)
        return {name: answer["gbit_s"]}, answer["total_bytes"]
    return Job(name, [(name, "Gbit/s", True)], take, set(skip))


def latency(name, mode, count, slow_count):
    """p50 and p99 of 64-byte echoes, or of connecting and the first 64 bytes back."""
    names = [f"{name} p50", f"{name} p99"]

    def take(path):
        answer = run(path.end, "--mode", mode, "--count", slow_count if path.end.slow else count)
        return {names[0]: answer["p50_us"], names[1]: answer["p99_us"]}, 0
    return Job(name, [(measure, "µs", False) for measure in names], take)
