# SPDX-License-Identifier: MIT
"""A lane that gets a successor while it serves: bulk goes over many lanes, and a ticker hardly sees it."""
import time

import pytest
from harness import servers, socks
from harness.transfer import MIB, download, upload, write_random

RENEW_BYTES = 16 * MIB
RENEWED = "the lane is renewed"
TICK_SECONDS = 0.01


@pytest.mark.load
def test_bulk_over_many_lanes_and_epochs(new_tunnel, web, full, tmp_path):
    """A new lane every 16 MiB, a new key of the relay as often as it may: no byte is lost or doubled."""
    tunnel = new_tunnel(relay_options=("--rotate-bytes", "65536"),
                        client_options=("--renew-bytes", str(RENEW_BYTES)))
    size = (1024 if full else 256) * MIB
    source = web.root / "renewal"
    digest = write_random(source, size)
    for way in upload, download:
        transfer = way(tmp_path, tunnel.proxy, web, source)
        try:
            transfer.assert_complete(digest, 300)
        finally:
            transfer.kill()
            transfer.result.unlink(missing_ok=True)
    source.unlink()
    # A lane carries on while its successor is made, so it gets more than its share.
    tunnel.client.says(RENEWED, times=size // RENEW_BYTES // 4)
    assert "lost" not in tunnel.client.stderr()


def echo_gaps(near, far, seconds):
    """Sends a byte there and back every 10 ms; how long each took, in seconds."""
    took = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        near.sendall(b"t")
        far.sendall(socks.read_exactly(far, 1))
        assert socks.read_exactly(near, 1) == b"t"
        took.append(time.monotonic() - began)
        time.sleep(max(0.0, TICK_SECONDS - took[-1]))
    return took


def longest_and_typical(tunnel):
    with servers.accepting() as server:
        with socks.connect(tunnel.proxy, "127.0.0.1", server.port) as near, server.next() as far:
            gaps = sorted(echo_gaps(near, far, 6))
    return gaps[-1], gaps[len(gaps) // 2]


@pytest.mark.load
def test_ticker_sees_no_gap(new_tunnel):
    """Renewals cost a ticker at most two round trips and 50 ms. The machine's own pauses are measured beside it,
    through a tunnel that does not renew; they can only make a gap longer, so the best of three runs counts."""
    calm = new_tunnel()
    renewing = new_tunnel(client_options=("--renew-after", "1s"))
    pause, round_trip = longest_and_typical(calm)
    longest = []
    for _ in range(3):
        before = renewing.client.stderr().count(RENEWED)
        longest.append(longest_and_typical(renewing)[0])
        renewing.client.says(RENEWED, times=before + 4)
        if longest[-1] <= pause + 2 * round_trip + 0.05:
            return
    pytest.fail(f"gaps of {longest} s, {pause} s without renewals, a round trip takes {round_trip} s")
