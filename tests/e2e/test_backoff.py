# SPDX-License-Identifier: MIT
"""A success that ends at once is no success: what comes up and breaks, over and over, is tried ever more seldom, as what
does not come up at all is; and once it stays it stays."""
import contextlib
import time

import pytest
from harness import servers, socks
from harness.chain import LOST, RESUMED, said
from harness.process import wait_until
from harness.tunnel import start_client, start_exit
from test_lanes import Cutter, tick

REGISTERED = "registered with relay"
SECONDS = 12
# With pauses that double from 0.3 s on the average it is six or seven; at 0.3 s always it would be 35.
AT_MOST = 14
PATIENCE = 60


@pytest.fixture
def cutter(new_chain):
    chain = new_chain()
    made = Cutter(chain.relay.port)
    made.chain = chain
    yield made
    made.close()


def cut_whenever(program, words, cutter):
    """How often it came up within SECONDS, where it is cut each time."""
    first, seen = said(program, words), said(program, words)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(AssertionError):
            wait_until(lambda: said(program, words) > seen or time.monotonic() > until, SECONDS + 1, words)
        if said(program, words) > seen:
            seen = said(program, words)
            cutter.cut(-1)
    return seen - first


def test_a_lane_that_is_lost_as_soon_as_it_is_up(cutter, programs):
    chain = cutter.chain
    link = chain.exit.link().with_(hosts=f"localhost:{cutter.port}")
    client = start_client(chain.directory, link, ca_file=chain.authority.ca_file, name="cut")
    programs.append(client)
    with servers.accepting() as server, socks.connect(client.proxy, "127.0.0.1", server.port) as near, \
            server.next() as far:
        tick(near, far)
        cutter.cut(-1)
        times = cut_whenever(client, RESUMED, cutter)
        assert 3 <= times <= AT_MOST
        client.says(RESUMED, seconds=PATIENCE, times=times + 1)
        tick(near, far)
    assert said(client, LOST) <= times + 2


def test_a_registration_that_is_lost_as_soon_as_it_is_there(cutter, programs, tmp_path):
    exit_peer = start_exit(tmp_path, f"wss://localhost:{cutter.port}", ca_file=cutter.chain.authority.ca_file,
                           name="cut-exit")
    programs.append(exit_peer)
    cutter.cut(-1)
    assert 3 <= cut_whenever(exit_peer, REGISTERED, cutter) <= AT_MOST
    client = start_client(tmp_path, exit_peer.link().with_(hosts=f"localhost:{cutter.chain.relay.port}"),
                          ca_file=cutter.chain.authority.ca_file, name="its-client")
    programs.append(client)


def test_a_lane_beside_another_one_that_is_lost_as_soon_as_it_joined(cutter, programs):
    chain = cutter.chain
    link = chain.exit.link().with_(hosts=f"localhost:{cutter.port}")
    client = start_client(chain.directory, link, "--lanes", "2", ca_file=chain.authority.ca_file, name="cut")
    programs.append(client)
    joined = "a lane joined the session"
    client.says(joined, seconds=PATIENCE)
    cutter.cut(-1)
    assert 3 <= cut_whenever(client, joined, cutter) <= AT_MOST
    assert said(client, LOST) == 0, "the first one serves on"
