# SPDX-License-Identifier: MIT
"""bench_link does what it is told: round trip by ping, rate by iperf3, losses by its own count. Machines are late and
never early, so bounds are tight on one side and generous on the other."""
import json
import re
import sys

import pytest
from harness import namespace
from harness.process import BUILD, REPOSITORY, run, wait_until

sys.path.insert(0, str(REPOSITORY / "bench"))
from suite.links import LINK_PROGRAM, Network  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.skipif(not LINK_PROGRAM.exists(), reason=f"{BUILD} was configured without -DZKS_BENCH=ON"),
    pytest.mark.native_relay("no relay is in it"),
]
HUB = "10.81.0.1"


@pytest.fixture
def link(tmp_path):
    """A function that makes a network of one host and a hub, with a link of these options."""
    made = []

    def make(*options):
        made.append(Network(tmp_path, {"host": list(options)}, hub="hub"))
        return made[-1]

    yield make
    for network in made:
        network.close()


def ping(network, *options):
    """(packets received, smallest round trip in ms)."""
    answer = run(network.argv("host", "ping", "-q", *options, HUB)).stdout
    received = int(re.search(r"(\d+) received", answer)[1])
    smallest = re.search(r"= ([\d.]+)/", answer)
    return received, float(smallest[1]) if smallest else None


def test_the_round_trip_is_both_delays(link):
    received, smallest = ping(link("--delay", "30ms", "--delay-back", "10ms"), "-c", "20", "-i", "0.05")
    assert received == 20
    assert 40 <= smallest < 60


def test_losses_are_told_and_the_seed_decides_them(link):
    network = link("--loss", "20%", "--loss-back", "0%", "--seed", "5")
    received, _ = ping(network, "-c", "500", "-i", "0.002", "-W", "1")
    counted = json.loads(network.counters("host"))
    up, down = counted["up"], counted["down"]
    assert (up["packets"], up["overflowed"], down["lost"]) == (500, 0, 0)
    assert up["delivered"] == 500 - up["lost"] == received == down["delivered"]
    assert 60 < up["lost"] < 140  # 100 expected, 9 the standard deviation


@pytest.mark.load
def test_each_way_has_its_rate(link):
    network = link("--rate", "10Mbit", "--rate-back", "40Mbit", "--delay", "5ms", "--queue", "128KiB")
    measured = {}
    for way, option in (("up", ()), ("down", ("-R",))):
        # For one run: a server that goes on resets who connects while it ends the run before.
        server = network.start("hub", f"iperf3-{way}", "iperf3", "-s", "--one-off", "--forceflush")
        wait_until(lambda: "Server listening" in server.stdout(), 20, "iperf3 listens")
        answer = json.loads(run(network.argv("host", "iperf3", "-J", "-t", "3", "-O", "1", "-C", "cubic", "-c", HUB, *option)).stdout)
        assert server.wait(20) == 0
        measured[way] = answer["end"]["sum_received"]["bits_per_second"] / 1e6
    assert 7 < measured["up"] < 10
    assert 28 < measured["down"] < 40


def test_the_queue_is_bounded_in_bytes(link):
    """200 packets of 1,028 bytes come in a moment: 10 KiB hold ten of them, and few more leave meanwhile."""
    network = link("--rate", "100kbit", "--queue", "10KiB")
    received, _ = ping(network, "-c", "200", "-l", "200", "-s", "1000", "-W", "2")
    up = json.loads(network.counters("host"))["up"]
    assert up["packets"] == 200
    assert 9 <= up["delivered"] < 60
    assert up["overflowed"] == 200 - up["delivered"]


@pytest.mark.parametrize("option", [("--loss", "2"), ("--rate", "10"), ("--delay", "10"), ("--scenario", "moon"), ("--from", "uplink")])
def test_wrong_options_are_refused(option):
    answer = run([LINK_PROGRAM, "--from", "none:a", "--to", "none:b", *option])
    assert answer.returncode != 0 and answer.stderr and "ready" not in answer.stdout
