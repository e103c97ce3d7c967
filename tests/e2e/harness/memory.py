# SPDX-License-Identifier: MIT
"""The memory of a running process, by /proc/PID/mem (needs root or the same user, and ptrace permission)."""
from pathlib import Path


def regions(pid, writable_only=False):
    """(start, bytes) of every readable mapping."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions, *rest = line.split(None, 5)
            if permissions[0] != "r" or rest[-1] in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                continue
            if writable_only and permissions[1] != "w":
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            data = _read(memory, start, end)
            if data:
                found.append((start, data))
    return found


def _read(memory, start, end):
    """The pages that can be read: a mapping may end in a guard page or behind its file's end."""
    parts = []
    step = 16 << 20
    for at in range(start, end, step):
        try:
            memory.seek(at)
            parts.append(memory.read(min(step, end - at)))
        except OSError:
            break
    return b"".join(parts)


def search(pid, needles):
    """The names of those `needles` (name: bytes) that stand somewhere in the process's memory."""
    found = set()
    for _, data in regions(pid):
        found |= {name for name, needle in needles.items() if needle in data}
    return found


def random_looking(pid, length=32, alignment=8):
    """Every aligned window of `length` bytes in writable memory that looks like key material: of 32 random bytes
    30 are distinct on average, and fewer than 24 practically never."""
    windows = set()
    zeros = bytes(4096)
    for _, data in regions(pid, writable_only=True):
        for page in range(0, len(data), 4096):
            if data[page:page + 4096] == zeros[:len(data) - page]:
                continue
            for at in range(page, min(page + 4096, len(data) - length + 1), alignment):
                window = data[at:at + length]
                if len(set(window)) >= 24:
                    windows.add(window)
    return windows
