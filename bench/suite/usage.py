# SPDX-License-Identifier: MIT
"""What processes use: CPU seconds and peak memory of each and of all its descendants, read from /proc.

The kernel's work for a socket is counted to the process that it interrupts, so on a machine with few cores a part of it
lands on the neighbours. Pages that processes share are counted for each.
"""
import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat behind the program's name, which may contain anything; None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def with_descendants(pids):
    children = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (stat := _stat(entry.name)):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, left = set(), list(pids)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, [])
    return found


def cpu_seconds(pids):
    """User and system time of `pids`, their descendants, and the children that these have waited for."""
    ticks = 0
    for pid in with_descendants(pids):
        if stat := _stat(pid):
            ticks += sum(map(int, stat[11:15]))
    return ticks / TICKS


def _status_kib(pid, field):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field + ":")), 0)


def resident_bytes(pids):
    return sum(_status_kib(pid, "VmRSS") for pid in with_descendants(pids)) * 1024


def peak_mib(pids):
    """Since reset_peak()."""
    return sum(_status_kib(pid, "VmHWM") for pid in with_descendants(pids)) / 1024


def reset_peak(pids):
    """Makes the present resident size the peak (proc(5), clear_refs)."""
    for pid in with_descendants(pids):
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError:
            pass  # it has just ended


class Meter:
    """`roles`: {what a process is: its pids}. Measures from its making, or the last begin(), to the first end()."""

    def __init__(self, roles):
        self._roles = roles
        self._used = None
        self.begin()

    def _cpu(self):
        return {role: cpu_seconds(pids) for role, pids in self._roles.items()}

    def begin(self):
        for pids in self._roles.values():
            reset_peak(pids)
        self._before = self._cpu()

    def end(self):
        if self._used is None:
            now = self._cpu()
            self._used = {role: now[role] - self._before[role] for role in now}

    def take(self, count):
        """({role: CPU seconds per GB of the `count` bytes}, {role: peak MiB}); no CPU where nothing was carried."""
        self.end()
        per_gb = {role: round(seconds / count * 1e9, 3) for role, seconds in self._used.items()} if count else {}
        return per_gb, {role: round(peak_mib(pids), 1) for role, pids in self._roles.items()}
