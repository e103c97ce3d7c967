# SPDX-License-Identifier: MIT
"""scripts/bench links: ours over emulated links (links.py), and beside Tor over the same ones."""
import contextlib
import tempfile
from pathlib import Path as File

from harness.process import BUILD

from . import links, load, machine, tor_network
from .results import Result
from .rounds import Job, Path, in_turns, say

NAME = "links"
TITLE = "Over emulated links"
ABOUT = """
Client, TLS relay and exit in network namespaces with `bench_link` between them: *home* is 100 Mbit/s down, 20 up, 20 ms; *far*
50 Mbit/s, 150 ms, 0.1% of the packets lost; both with a bounded queue. *Echo under load*: 64 bytes there and back, one message at
a time and for 20 s, while a bulk stream fills the client's home link, beside the median without. *Far, no loss*: one stream over
the client's link, share of its rate. *Far twice*: a far link with its losses on both sides of the relay; `Tor` has the same two
links, one at the client and one at its exit, and none between its first two relays.
"""
PLOTS = ["bulk down"]
HOME, FAR, ZKS, TOR = "zks, home", "zks, far, no loss", "zks, far twice", "Tor, far twice"
FAR_MBIT = 50
WARM_UP = 10  # seconds, of 300 ms round trips
LEAST_UNDER_LOAD = 20  # seconds: bbr measures the smallest round trip every ten, and holds all else back for 200 ms


def under_load(way, seconds):
    names = [f"echo idle beside {way}", f"echo p50 while {way}", f"echo p99 while {way}"]
    ratio, rate = f"p99 / idle while {way}", f"bulk {way}"

    def run(path, _):
        found = links.latency_under_load(path.end, way, max(LEAST_UNDER_LOAD, seconds), warm_up=5)
        values = dict(zip(names, (found["idle_ms"], found["p50_ms"], found["p99_ms"])))
        return {**values, ratio: found["ratio"], rate: found["mbit_s"]}, 0
    measures = [*((name, "ms", False) for name in names), (ratio, "ratio", False), (rate, "Mbit/s", True)]
    return Job(f"home, {way}", measures, run, (HOME,))


def far(way, seconds):
    name, rate = f"share of the rate, {way}", f"bulk {way}"

    def run(path, _):
        found = links.share_of_rate(path.end, way, FAR_MBIT, seconds, WARM_UP)
        return {name: found["share"], rate: found["mbit_s"]}, 0
    return Job(f"far, {way}", [(name, "share", True), (rate, "Mbit/s", True)], run, (FAR,))


def far_twice(way, seconds):
    rate = f"bulk {way}"

    def run(path, meter):
        proxy, network = path.end
        answer = load.run(load.End(proxy, network.name("client")), "--mode", way, "--warm-up", WARM_UP, "--serve-in",
                          f"/run/netns/{network.name('exit')}", seconds=seconds, meter=meter)
        return {rate: answer["gbit_s"] * 1e3}, answer["bytes"]
    return Job(f"far twice, {way}", [(rate, "Mbit/s", True)], run, (ZKS, TOR))


def chain_path(stack, directory, name, congestion, **options):
    """`end`: what the name's jobs take."""
    say(f"starting {name}")
    folder = directory / name.replace(" ", "-").replace(",", "")
    folder.mkdir()
    chain = stack.enter_context(links.Chain(folder, congestion=congestion, **options))
    roles = {"client": [chain.client.pid], "relay": [chain.relay.pid], "exit": [chain.exit.pid]}
    return Path(name, (chain.proxy[1], chain.network) if name == ZKS else chain, lambda: roles)


def tor_path(stack, directory, congestion):
    say(f"starting {TOR}")
    folder = directory / "tor"
    folder.mkdir()
    network = stack.enter_context(links.Network(folder, {"client": "far", "exit": "far"}, hub="hub", congestion=congestion))
    hosts = {host: (network.name(host), network.addresses[host]) for host in ("hub", "client", "exit")}
    port, roles = stack.enter_context(tor_network.network(folder, hosts=hosts))
    return Path(TOR, (port, network), lambda: roles)


def run(options):
    left_out = {"Tor": why} if (why := machine.missing("tor", "apt package tor")) else {}
    result = Result.new(NAME, machine.header(options, ["tor", "openssl"], "network namespaces joined by bench_link"), left_out)
    if not (BUILD / "bench_link").exists():
        result.content["left_out"]["links"] = "bench_link is not built"
        return result
    seconds = max(5, options.seconds)
    for congestion in options.congestion:
        with tempfile.TemporaryDirectory(prefix="zks-bench-") as folder, contextlib.ExitStack() as stack:
            directory = File(folder)
            paths = [chain_path(stack, directory, HOME, congestion, client="home", exit="lan"),
                     chain_path(stack, directory, FAR, congestion, client="far-lossless", exit="lan"),
                     chain_path(stack, directory, ZKS, congestion, client="far", exit="far")]
            if "Tor" not in left_out:
                paths.append(tor_path(stack, directory, congestion))
            jobs = [job(way, seconds) for job in (under_load, far, far_twice) for way in ("down", "up")]
            in_turns(result, paths, jobs, options.rounds, congestion)
    return result


def claims(result):
    rows = [(f"echo p99 while a bulk stream fills a home link {way}", result.median(f"p99 / idle while {way}", HOME), 3, 1.5,
             " × idle", False) for way in ("down", "up")]
    rows += [(f"one stream {way} over far without loss, share of the rate", share(result, way), 85, 95, " %", True)
             for way in ("down", "up")]
    rows += [(f"one TCP stream {way}, far links, beside Tor", result.ratio(f"bulk {way}", ZKS, TOR), 1.5, 5, " ×", True)
             for way in ("down", "up")]
    return rows


def share(result, way):
    found = result.median(f"share of the rate, {way}", FAR)
    return None if found is None else found * 100
