# SPDX-License-Identifier: MIT
"""Jobs for rounds.py that run bench_load through a path's SOCKS5 port."""
import contextlib
import json
import subprocess
import threading

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


def run(end, *arguments, seconds=3, meter=None):
    """bench_load's answer. Fails with its message. `meter` is started and stopped when the load says so."""
    command = [LOAD, *arguments, "--seconds", seconds, *(["--proxy-port", end.port] if end.port else [])]
    command = [str(part) for part in command]
    with namespace.entered(end.place) if end.place else contextlib.nullcontext():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    late = threading.Timer(180 + seconds, process.kill)
    late.start()
    answer = None
    for line in process.stdout:
        if line == "measuring\n" and meter:
            meter.begin()
        elif line == "measured\n" and meter:
            meter.end()
        elif line.startswith("{"):
            answer = json.loads(line)
    late.cancel()
    complaint = process.stderr.read()
    if process.wait() != 0 or answer is None:
        raise RuntimeError(f"{' '.join(command)}: {complaint.strip()}")
    return answer


def throughput(mode, streams, seconds, warm_up=WARM_UP):
    name = f"{streams} stream{'s' if streams > 1 else ''} {mode}"

    def take(path, meter):
        answer = run(path.end, "--mode", mode, "--streams", streams, "--warm-up", warm_up, seconds=seconds, meter=meter)
        return {name: answer["gbit_s"]}, answer["bytes"]
    return Job(name, [(name, "Gbit/s", True)], take)


def latency(name, mode, count, slow_count):
    """p50 and p99 of 64-byte echoes, or of connecting and the first 64 bytes back."""
    names = [f"{name} p50", f"{name} p99"]

    def take(path, _):
        answer = run(path.end, "--mode", mode, "--count", slow_count if path.end.slow else count)
        return {names[0]: answer["p50_us"], names[1]: answer["p99_us"]}, 0
    return Job(name, [(measure, "µs", False) for measure in names], take)
