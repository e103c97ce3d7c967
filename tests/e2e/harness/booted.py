# SPDX-License-Identifier: MIT
"""A host of a world with this machine's files, a copy that is thrown away, and a systemd of its own as its first
process: what a unit's settings do to a program only that shows."""
import shutil
import subprocess
from pathlib import Path

from . import namespace
from .process import Program, run, wait_until

# The container's own rights, from which units give some up; CAP_NET_ADMIN is not among nspawn's own.
RIGHTS = "--capability=CAP_NET_ADMIN,CAP_NET_RAW"


def possible():
    """As root, with systemd-nspawn and a file system that overlayfs can lie on."""
    return namespace.possible() and shutil.which("systemd-nspawn") is not None


class Booted:
    """`files`: what the host has beside the copy (path: text, or a file to copy). `units` are started with it."""

    def __init__(self, world, host, files, units):
        self.directory = world.directory / f"booted-{host}"
        self.root = self.directory / "root"
        layers = self.directory / "layers"
        for path in (self.root, layers):
            path.mkdir(parents=True)
        run(["mount", "-t", "tmpfs", "none", layers], check=True)
        self.mounted = [layers]
        try:
            for name in ("upper", "work"):
                (layers / name).mkdir()
            options = f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work"
            run(["mount", "-t", "overlay", "overlay", "-o", options, self.root], check=True)
            self.mounted.append(self.root)
            self._write(files, units)
            self.program = Program(f"booted-{host}", [
                "systemd-nspawn", "-q", "-D", self.root, "--register=no", "--keep-unit", RIGHTS, "--resolv-conf=off",
                f"--network-namespace-path=/run/netns/{world.name(host)}", "--console=pipe", "-b",
                "systemd.unit=booted.target"], world.directory)
            wait_until(lambda: self.run("systemctl", "is-active", "booted.target").stdout == "active\n", 60,
                       "systemd is up")
        except BaseException:
            self.close()
            raise

    def _write(self, files, units):
        for name in ("machine-id", "fstab"):
            (self.root / "etc" / name).write_text("")
        wanted = " ".join((*units, "systemd-journald.service"))
        target = f"[Unit]\nWants={wanted}\n"
        for path, content in {"/etc/systemd/system/booted.target": target, **files}.items():
            place = self.root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            if isinstance(content, Path):
                shutil.copy(content, place)
            else:
                place.write_text(content)
                place.chmod(0o600 if place.suffix == ".link" else 0o644)

    def _first_process(self):
        children = Path(f"/proc/{self.program.pid}/task/{self.program.pid}/children").read_text().split()
        return children[0] if children else None

    def run(self, *argv):
        first = self._first_process()
        if first is None:
            return subprocess.CompletedProcess(argv, 1, "", "not up")
        return run(["nsenter", "-t", first, "-m", "-p", "-n", "-u", "-i", *argv])

    def show(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def wait_active(self, unit, seconds=60):
        def settled():
            return self.show(unit, "ActiveState") in ("active", "failed")
        wait_until(settled, seconds, f"{unit} is up")
        assert self.show(unit, "ActiveState") == "active", self.log(unit)

    def log(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def close(self):
        if hasattr(self, "program"):
            self.program.kill()  # and all of the container with it
        for path in reversed(self.mounted):
            run(["umount", "-l", path])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
