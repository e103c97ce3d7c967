# SPDX-License-Identifier: MIT
"""Rounds: every path takes its turn with every job within each round (A B A B), so that what disturbs one disturbs the
others, and a change of the machine over the minutes is in the spread and not in the ratios."""
import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any, Callable

from harness import namespace

from . import usage

BEGAN = time.monotonic()
CONGESTION = File("/proc/sys/net/ipv4/tcp_congestion_control")
ALLOWED = File("/proc/sys/net/ipv4/tcp_allowed_congestion_control")


@dataclass
class Path:
    """One way for the bytes. `roles()` gives the processes on it, {role: pids}; `end` is what jobs connect to."""
    name: str
    end: Any = None
    roles: Callable[[], dict] = dict


@dataclass
class Job:
    """One run of the load. `run(path, meter)` returns ({measure's name: value}, bytes carried or 0); what is counted begins and
    ends with it unless it says otherwise to the meter. `measures` has (name, unit, whether more is better)."""
    name: str
    measures: list
    run: Callable
    only: tuple = ()  # names of the paths that it is for; all when empty


def say(text):
    print(f"[{time.monotonic() - BEGAN:5.0f} s] {text}", file=sys.stderr, flush=True)


def in_turns(result, paths, jobs, rounds, congestion):
    """Adds a sample for each round, job and path to `result`."""
    result.add_measures(jobs)
    for number in range(1, rounds + 1):
        for job in jobs:
            for path in paths:
                if job.only and path.name not in job.only:
                    continue
                meter = usage.Meter(path.roles())
                values, count = job.run(path, meter)
                cpu, peak = meter.take(count)
                result.add({"congestion": congestion, "round": number, "job": job.name, "path": path.name,
                            "values": values, "cpu_s_per_gb": cpu, "peak_mib": peak})
                shown = ", ".join(f"{value:.4g}" for value in values.values())
                say(f"{congestion}, round {number}: {job.name}: {path.name}: {shown}")


@contextlib.contextmanager
def allowed(congestions):
    """Lets network namespaces use these congestion controls, which the kernel leaves to the machine's owner."""
    before = ALLOWED.read_text()
    ALLOWED.write_text(" ".join(dict.fromkeys([*before.split(), *congestions])))
    try:
        yield
    finally:
        ALLOWED.write_text(before)


@contextlib.contextmanager
def place(congestion, most_buffer=None):
    """A network namespace with this congestion control, in which the calling thread and what it starts live; `most_buffer`
    bounds each socket's buffers, in bytes. Without the right to make one: the machine's own loopback, as it is. Gives the
    congestion control in use."""
    if not namespace.possible():
        yield CONGESTION.read_text().strip()
        return
    with namespace.inside():
        CONGESTION.write_text(congestion)
        if most_buffer:
            for name in ("tcp_rmem", "tcp_wmem"):
                setting = CONGESTION.with_name(name)
                setting.write_text(" ".join([*setting.read_text().split()[:2], str(most_buffer)]))
        yield congestion
