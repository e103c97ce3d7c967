# SPDX-License-Identifier: MIT
"""Programs under test as processes: started with a ready file, waited for with a deadline, stopped by pid.

Everything that is started here is in `started` until it is stopped, so that conftest.py can show the logs of a
failed test and leave nothing running.
"""
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from . import signals

# Whoever starts programs imports this: the end-to-end tests, the conformance suite, the benchmarks.
signals.inherit_defaults()

REPOSITORY = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("ZKS_BUILD_DIR", REPOSITORY / "build" / "release")).resolve()
RELAY_PROGRAM = BUILD / "zks-tunnel-relay"
CLIENT_PROGRAM = BUILD / "zks-tunnel-client"

# A sanitized program is several times slower to start and to stop.
START_SECONDS = 30
STOP_SECONDS = 15
SAY_SECONDS = 10

started = []


def clean_environment(**extra):
    """The environment for programs: without proxies and links of whoever runs the tests."""
    dropped = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "zks_link", "xdg_state_home", "notify_socket")
    kept = {name: value for name, value in os.environ.items() if name.lower() not in dropped}
    return {**kept, **extra}


def wait_until(condition, seconds, what):
    """Polls `condition` until it is truthy and returns its value; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        pause.wait(0.02)


class Program:
    """A running process whose stdout and stderr are files in `directory`."""

    def __init__(self, name, argv, directory, environment=None, stdin=None, pass_fds=()):
        self.name = name
        self.stdout_path = directory / f"{name}.stdout"
        self.stderr_path = directory / f"{name}.stderr"
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(
                [str(part) for part in argv], stdout=out, stderr=err, stdin=stdin or subprocess.DEVNULL,
                cwd=directory, env=environment or clean_environment(), pass_fds=pass_fds,
                start_new_session=True)  # a group of its own: kill() takes its children too
        started.append(self)

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def says(self, text, times=1, seconds=SAY_SECONDS):
        """Waits until the text stands in the log that often. The programs write their logs in a thread of its own, so a
        line can come after what it tells of."""
        wait_until(lambda: self.stderr().count(text) >= times, seconds, f"{self.name} says {text!r}, {times} times")

    def wait(self, seconds):
        """The exit status, which must come within `seconds`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds} s\n{self.stderr()[-2000:]}") from None

    def stop(self, sig=signal.SIGTERM, seconds=STOP_SECONDS):
        """Sends `sig` and returns the exit status."""
        if self.alive():
            self.process.send_signal(sig)
        status = self.wait(seconds)
        self.forget()
        return status

    def kill(self):
        if self.alive():
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        self.forget()

    def forget(self):
        if self in started:
            started.remove(self)

    def resident_bytes(self):
        """VmRSS; 0 when the process is gone."""
        return self._status_kib("VmRSS") * 1024

    def peak_resident_bytes(self):
        return self._status_kib("VmHWM") * 1024

    def reset_peak(self):
        """Makes the present resident size the peak (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _status_kib(self, field):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        return 0


class ReadyProgram(Program):
    """A program with --ready-file; `addresses` are the lines after the pid. Waits until it serves."""

    def __init__(self, name, argv, directory, wait=True, **options):
        self.ready_path = directory / f"{name}.ready"
        self.ready_path.unlink(missing_ok=True)
        self.addresses = []
        super().__init__(name, [*argv, "--ready-file", self.ready_path], directory, **options)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=START_SECONDS):
        wait_until(lambda: self.ready_path.exists() or not self.alive(), seconds,
                   f"{self.name} ready; its log:\n{self.stderr()[-2000:]}")
        if not self.ready_path.exists():
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.stderr()[-2000:]}")
        pid, *self.addresses = self.ready_path.read_text().splitlines()
        assert int(pid) == self.pid

    def address(self, index=0):
        """(host, port) of a line of the ready file."""
        host, port = self.addresses[index].rsplit("/", 1)[-1].rsplit(":", 1)
        return host.strip("[]"), int(port)


def run(argv, seconds=60, **options):
    """Runs a program to its end. Returns subprocess's result with text output; a timeout fails the test."""
    options.setdefault("env", clean_environment())
    argv = [str(part) for part in argv]
    try:
        return subprocess.run(argv, timeout=seconds, capture_output=True, text=True, errors="replace", **options)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"still runs after {seconds} s: {' '.join(argv)}\n{late.stderr}") from None
