# SPDX-License-Identifier: MIT
"""Faults of one program's clock and disk, by libraries that are loaded before the C library (preload/*.c, compiled
for the test that needs them). The machine's own clock and disk are not touched."""
import contextlib
import mmap
import os
import struct
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "preload"


def compiled(directory, name):
    library = directory / f"{name}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCES / f"{name}.c", "-ldl"], check=True)
    return library


class _Preload:
    """Numbers that the programs and the test share, and the environment that gives programs the library."""

    def __init__(self, directory, name, numbers):
        self._path = directory / f"{name}.shared"
        self._path.write_bytes(bytes(8 * numbers))
        with open(self._path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._environment = {"LD_PRELOAD": str(compiled(directory, name)), f"ZKS_TEST_{name.upper()}": str(self._path)}

    def _get(self, number):
        return struct.unpack_from("=q", self._memory, 8 * number)[0]

    def _set(self, number, value):
        struct.pack_into("=q", self._memory, 8 * number, value)

    @contextlib.contextmanager
    def loaded(self):
        """Programs that are started in here have it (process.clean_environment)."""
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


class Clock(_Preload):
    def __init__(self, directory):
        super().__init__(directory, "clock", 2)

    def shift(self, seconds):
        """How far the programs' wall clock is ahead of the machine's from now on."""
        self._set(0, seconds)

    def armed(self):
        """How often they armed a timer that the kernel cancels when the clock is set."""
        return self._get(1)


class Disk(_Preload):
    def __init__(self, directory):
        super().__init__(directory, "disk", 3)

    def hang(self, yes=True):
        """No fsync() ends."""
        self._set(0, int(yes))

    def full(self, yes=True):
        """No new file can be written."""
        self._set(1, int(yes))

    def fsyncs(self):
        """How often fsync() was called."""
        return self._get(2)


class Memory(_Preload):
    def __init__(self, directory):
        super().__init__(directory, "memory", 2)

    def lacks(self, one_of):
        """One of so many requests for memory fails, at random; 0: none."""
        self._set(0, one_of)

    def lacked(self):
        """How many failed."""
        return self._get(1)
