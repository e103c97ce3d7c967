# SPDX-License-Identifier: MIT
"""scripts/bench relay: the native relay with TLS and thousands of pairs."""
import contextlib
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path as File

from harness.certificates import Authority
from harness.process import BUILD
from harness.tunnel import start_relay
from harness.web import WebServer

from . import machine, usage
from .results import Result
from .rounds import Job, Path, in_turns, place, say

NAME = "relay"
TITLE = "The relay at scale"
HELD = 9_500
BUSY = 100
AT_ONCE = 32
HANDSHAKERS = 8
ABOUT = f"""
One native relay with TLS on loopback that holds {HELD:,} pairs, {2 * HELD:,} sockets; each pair was made with Noise and carried
a sealed record both ways. *Resident* is the relay's memory with them less that without, for each socket. *Busy* sends
records of 64 KiB through 1 or {BUSY} of these pairs while the others idle. *New pairs* joins, knocks, pairs, shakes hands by
Noise and waits for the first sealed byte, {AT_ONCE} at once by two processes with a room each, at a relay of its own; beside
it nginx with two workers answers full TLS 1.3 handshakes of {HANDSHAKERS} `openssl s_time`, with the same kind of
certificate. A pair takes two TLS handshakes. At the limit of pairs (`--max-pairs`) one more is refused by HTTP status.
"""
ONE, MANY, PAIRS, NGINX, IDLE = "1 busy pair", f"{BUSY} busy pairs", "zks relay", "nginx", "zks relay, idle pairs"
BUSY_JOB, RATE, RESIDENT = "busy", "made per second", "KiB resident per socket"


class Rig:
    """A bench_pairs at a relay."""

    def __init__(self, relay, authority, state):
        self.process = subprocess.Popen(
            [str(part) for part in (BUILD / "bench_pairs", "--relay", relay.url, "--ca", authority.ca_file, "--state", state)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("bench_pairs failed, see above")
        return json.loads(line)

    def __call__(self, *words):
        self.begin(*words)
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def started_relay(stack, directory, authority, pairs, name):
    """Without what would come between the figures: no new keys by volume, no idle time-out."""
    relay = start_relay(directory, authority.issue(), "--max-pairs", str(pairs), "--max-pairs-per-source", str(pairs),
                        "--max-pairs-per-room", str(pairs), "--idle-timeout", "3600s", "--rotate-bytes", "1TiB", name=name, kind="native")
    stack.callback(relay.kill)
    return relay


def handshakes(port, ca_file, seconds):
    """Full TLS handshakes a second, by HANDSHAKERS processes."""
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(max(1, round(seconds))),
               "-CAfile", str(ca_file)]
    began = time.monotonic()
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for _ in range(HANDSHAKERS)]
    texts = [process.communicate(timeout=60 + seconds)[0] for process in running]
    took = time.monotonic() - began  # it tells whole seconds only
    found = [re.search(r"(\d+) connections in \d+ real seconds", text) for text in texts]
    if None in found:
        raise RuntimeError(f"openssl s_time:\n{texts}")
    return sum(int(match[1]) for match in found) / took


def rate_of(rigs, seconds):
    for rig in rigs:
        rig.begin("rate", seconds, AT_ONCE // len(rigs))
    answers = [rig.answer() for rig in rigs]
    return sum(answer["pairs"] for answer in answers) / seconds


def measure_rates(result, options, directory, authority, congestion):
    with contextlib.ExitStack() as stack:
        relay = started_relay(stack, directory, authority, HELD, "rate-relay")
        rigs = [stack.enter_context(Rig(relay, authority, directory / f"rate{number}")) for number in range(2)]
        web = WebServer(directory, authority.issue(), workers=2)
        stack.callback(web.close)
        runs = {PAIRS: lambda: rate_of(rigs, options.seconds),
                NGINX: lambda: handshakes(web.https_port, authority.ca_file, options.seconds)}
        paths = [Path(PAIRS, None, lambda: {"relay": [relay.pid]}), Path(NGINX, None, lambda: {"nginx": [web.program.pid]})]
        job = Job("new", [(RATE, "a second", True)], lambda path, _: ({RATE: runs[path.name]()}, 0))
        in_turns(result, paths, [job], options.rounds, congestion)


def measure_held(result, options, directory, authority, congestion):
    with contextlib.ExitStack() as stack:
        relay = started_relay(stack, directory, authority, HELD, "relay")
        rig = stack.enter_context(Rig(relay, authority, directory / "held"))
        rig("hold", 1, 1)
        before = usage.resident_bytes([relay.pid])
        say(f"making {HELD} pairs")
        took = rig("hold", HELD, AT_ONCE)["seconds"]
        grown = (usage.resident_bytes([relay.pid]) - before) / (2 * (HELD - 1)) / 1024
        say(f"{HELD} pairs in {took:.0f} s, {grown:.1f} KiB a socket")
        idle = Job("idle", [(RESIDENT, "KiB", False)], lambda *_: ({RESIDENT: grown}, 0))
        in_turns(result, [Path(IDLE, None, lambda: {"relay": [relay.pid]})], [idle], 1, congestion)

        def busy(path, _):
            answer = rig("busy", path.end, options.seconds)
            return {BUSY_JOB: answer["bytes"] * 8 / answer["seconds"] / 1e9}, answer["bytes"]
        paths = [Path(name, count, lambda: {"relay": [relay.pid]}) for name, count in ((ONE, 1), (MANY, BUSY))]
        in_turns(result, paths, [Job(BUSY_JOB, [(BUSY_JOB, "Gbit/s", True)], busy)], options.rounds, congestion)
        result.facts["one pair more than --max-pairs"] = f"HTTP status {rig('refused')['status']}; a pair that is there goes on"


def run(options):
    """With the first congestion control alone: nothing here depends on it."""
    left_out = {NGINX: why} if (why := machine.missing("nginx", "apt package nginx-light")) else {}
    result = Result.new(NAME, machine.header(options, ["openssl", "nginx"], "everything on it, over loopback"), left_out)
    result.content["header"]["descriptors"] = f"{os.sysconf('SC_OPEN_MAX')} for each process"
    congestion = options.congestion[0]
    with tempfile.TemporaryDirectory(prefix="zks-bench-") as folder, place(congestion):
        authority = Authority(File(folder) / "ca")
        measure_rates(result, options, File(folder), authority, congestion)
        measure_held(result, options, File(folder), authority, congestion)
    return result


def claims(result):
    one, many = (result.cpu(BUSY_JOB, path, "relay") for path in (ONE, MANY))
    more = (many / one - 1) * 100 if one and many else None
    return [(f"relay with TLS, {HELD:,} pairs idle: resident a socket", result.median(RESIDENT, IDLE), 60, 25, " KiB", False),
            (f"relay with {HELD:,} pairs, {BUSY} of them busy: more CPU per GB than with 1", more, 25, 5, " %", False),
            ("pairs made a second, beside full TLS handshakes of nginx", result.ratio(RATE, PAIRS, NGINX), 0.16, 0.3, " ×", True)]
