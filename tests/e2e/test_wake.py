# SPDX-License-Identifier: MIT
"""What ends the pause before the next attempt at once: the machine wakes (the kernel tells it as it tells that
somebody set the clock, so the clock is set to what it says), or an address changes. The latter in a network
namespace of the test's own, where relay, exit and client run for it."""
import os
import subprocess
import time

import pytest
from harness import tunnel
from harness.chain import RESUMED

# After so many failures the next pause is random up to 51 s.
FAILURES = 8
AT_ONCE_SECONDS = 4


def set_clock():
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))


@pytest.fixture
def namespace(tmp_path, monkeypatch):
    """The programs' network namespace. A wrapper starts each in it, under the same pid."""
    name = f"zks-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        for variable in ("RELAY_PROGRAM", "CLIENT_PROGRAM"):
            wrapper = tmp_path / variable.lower()
            wrapper.write_text(f'#!/bin/sh\nexec ip netns exec {name} {getattr(tunnel, variable)} "$@"\n')
            wrapper.chmod(0o755)
            monkeypatch.setattr(tunnel, variable, wrapper)
            if variable == "RELAY_PROGRAM":
                monkeypatch.setitem(tunnel.RELAYS, "native", wrapper)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def assert_ends_the_pause(chain, event):
    chain.relay.kill()
    chain.client.says("trying again", seconds=90, times=FAILURES)
    chain.relay.start()
    event()
    chain.client.says(RESUMED, seconds=AT_ONCE_SECONDS)


@pytest.mark.timeout(180)
def test_waking_ends_the_pause(new_chain):
    chain = new_chain(client_options=("--reconnect-max", "10m"), exit_options=("--reconnect-max", "10m"))
    assert_ends_the_pause(chain, set_clock)


@pytest.mark.timeout(180)
@pytest.mark.native_relay("relay, exit and client run in one namespace; what is shown is the client's")
def test_a_new_address_ends_the_pause(namespace, new_chain):
    chain = new_chain(client_options=("--reconnect-max", "10m"), exit_options=("--reconnect-max", "10m"))
    assert_ends_the_pause(chain, lambda: subprocess.run(
        ["ip", "-n", namespace, "address", "add", "127.0.0.77/32", "dev", "lo"], check=True))
