# SPDX-License-Identifier: MIT
"""A network namespace in which a test and everything that it starts live: nothing that is sent there leaves it."""
import contextlib
import ctypes
import itertools
import os
import subprocess

CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


def _enter(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)


def possible():
    return os.geteuid() == 0 and subprocess.run(["ip", "netns", "list"], capture_output=True).returncode == 0


@contextlib.contextmanager
def inside(commands=()):
    """Moves the calling thread; threads and programs that it starts begin there. `commands` are arguments of `ip`."""
    name = f"zks-test-{os.getpid()}-{next(_numbers)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in ("link set lo up", *commands):
            subprocess.run(["ip", "-n", name, *command.split()], check=True)
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _enter(f"/var/run/netns/{name}")
        try:
            yield
        finally:
            _enter(f"/proc/self/fd/{before}")
            os.close(before)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
