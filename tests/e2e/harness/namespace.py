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
def made():
    """The name of a new one, with lo up."""
    name = f"zks-test-{os.getpid()}-{next(_numbers)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@contextlib.contextmanager
def entered(name):
    """Moves the calling thread; sockets, threads and programs that it starts begin there."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(f"/var/run/netns/{name}")
        try:
            yield
        finally:
            _enter(f"/proc/self/fd/{before}")
    finally:
        os.close(before)


@contextlib.contextmanager
def inside(commands=()):
    """Both. `commands` are arguments of `ip`."""
    with made() as name:
        for command in commands:
            subprocess.run(["ip", "-n", name, *command.split()], check=True)
        with entered(name):
            yield
