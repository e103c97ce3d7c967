# SPDX-License-Identifier: MIT
"""A line of 10 Mbit/s and 80 ms, full of bulk in both directions: slow is not dead."""
import pytest
from harness.chain import LOST, said
from harness.slow_link import SlowLink
from harness.transfer import MIB, download, upload, write_random
from harness.tunnel import start_client

BYTES_A_SECOND = 10_000_000 // 8
ONE_WAY_SECONDS = 0.04
SECONDS_WITHOUT_A_SIGN = 15  # after which a lane is given up


@pytest.fixture
def slow_line(new_chain):
    chain = new_chain()
    line = SlowLink(chain.relay.port, BYTES_A_SECOND, ONE_WAY_SECONDS)
    yield chain, line
    line.close()


def test_a_full_slow_line_is_no_dead_peer(slow_line, web, tmp_path):
    chain, line = slow_line
    link = chain.exit.link().with_(hosts=f"localhost:{line.port}")
    client = start_client(tmp_path, link, ca_file=chain.authority.ca_file, name="distant")
    chain.peers.append(client)
    source = web.root / "slow"
    # Longer than the time after which silence would be noticed.
    digest = write_random(source, (SECONDS_WITHOUT_A_SIGN + 8) * BYTES_A_SECOND // MIB * MIB)
    ways = [way(tmp_path, client.proxy, web, source) for way in (download, upload)]
    try:
        for way in ways:
            way.assert_complete(digest, 120)
    finally:
        for way in ways:
            way.kill()
            way.result.unlink(missing_ok=True)
        source.unlink()
    assert said(client, LOST) == 0
    assert said(chain.exit, "lost its lane") == 0
