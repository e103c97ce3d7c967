# SPDX-License-Identifier: MIT
"""Transfers during which the relay changes the pair's key as often as it may: once 64 KiB have passed and both ends
have answered the last key."""
import hashlib
import os
import re

import pytest
from conftest import SITE
from harness.process import run
from harness.tunnel import RELAY

MIB = 1 << 20
ROTATE_BYTES = 64 * 1024
PARTS = 512


@pytest.fixture
def rotating(new_tunnel):
    """A tunnel whose relay logs every epoch of its one pair."""
    tunnel = new_tunnel(relay_options=("--rotate-bytes", str(ROTATE_BYTES), "--log-level", "debug"))
    yield tunnel
    tunnel.assert_alive()
    assert "lost" not in tunnel.client.stderr(), "the lane lived through all of it"


def epochs(tunnel):
    """How many keys the pair got after its first, by the log of the native relay. Another one's keys are counted by
    tests/conformance; here it shows that no byte is lost meanwhile."""
    if RELAY != "native":
        return float("inf")
    seen = [int(epoch) for epoch in re.findall(r"a pair gets the key of epoch (\d+)", tunnel.relay.stderr())]
    assert seen == list(range(1, len(seen) + 1)), "one pair, one epoch after the other"
    return len(seen)


def curl(tunnel, *arguments):
    got = run(["curl", "-sS", "--fail", "--noproxy", "", "--socks5-hostname", tunnel.proxy_text, *arguments],
              seconds=300)
    assert got.returncode == 0, got.stderr


def sha256(*contents):
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content)
    return digest.hexdigest()


def test_bulk_in_both_directions(rotating, web, full, tmp_path):
    content = os.urandom((256 if full else 32) * MIB)
    sent = tmp_path / "sent"
    sent.write_bytes(content)
    curl(rotating, "-H", "Expect:", "-T", sent, f"http://{SITE}:{web.http_port}/upload/epochs")
    after_upload = epochs(rotating)
    served = web.uploads / "epochs"
    assert sha256(served.read_bytes()) == sha256(content)
    (web.root / "epochs").write_bytes(content)
    curl(rotating, "-o", tmp_path / "got", f"http://{SITE}:{web.http_port}/epochs")
    assert sha256((tmp_path / "got").read_bytes()) == sha256(content)
    # How many depends on how much stands in the kernels' queues when a key is sent: at most the lane's 12 MiB.
    assert after_upload >= 2
    assert epochs(rotating) >= after_upload + 2
    (web.root / "epochs").unlink()
    served.unlink()


def test_epochs_past_255(rotating, web, tmp_path):
    """One request after the other: both ends have answered each key long before it is time for the next."""
    content = os.urandom(PARTS * ROTATE_BYTES)
    directory = web.root / "parts"
    directory.mkdir()
    for i in range(PARTS):
        (directory / f"{i}").write_bytes(content[i * ROTATE_BYTES:(i + 1) * ROTATE_BYTES])
    curl(rotating, "-o", tmp_path / "part-#1", f"http://{SITE}:{web.http_port}/parts/[0-{PARTS - 1}]")
    got = [(tmp_path / f"part-{i}").read_bytes() for i in range(PARTS)]
    assert sha256(*got) == sha256(content)
    assert epochs(rotating) > 255
