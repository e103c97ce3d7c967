# SPDX-License-Identifier: MIT
"""A program that has used up its descriptors: what an operator asks it, `status` and metrics, is answered all the same."""
import os
import resource
import socket

import pytest
from harness.chain import assert_serves
from harness.process import wait_until
from harness.watching import METRICS, Metrics, metrics_text, status

SPARE = 6

pytestmark = pytest.mark.native_relay("it is about the client's descriptors")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_status_and_metrics_answer_at_the_limit(new_tunnel):
    chain = new_tunnel(client_options=METRICS)
    client = chain.client
    metrics_text(client)
    limit = descriptors(client.pid) + SPARE
    resource.prlimit(client.pid, resource.RLIMIT_NOFILE, (limit, limit))
    connections = [socket.create_connection(chain.proxy, 10) for _ in range(2 * SPARE)]
    try:
        wait_until(lambda: descriptors(client.pid) == limit, 10, "all descriptors are taken")
        for _ in range(3):
            assert status(client)["state"] == "up"
            assert Metrics(metrics_text(client))["process_open_fds"] >= limit - 2
    finally:
        for connection in connections:
            connection.close()
    assert_serves(chain.proxy)
