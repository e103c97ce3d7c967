# SPDX-License-Identifier: MIT
"""The machine's name server says nothing: who is asked to end does not wait for it."""
import signal
import socket
import time

import pytest
from harness import namespace
from harness.process import CLIENT_PROGRAM, Program
from harness.tunnel import client_command

NAME_SERVER = "127.77.0.1"
STOPS_WITHIN = 5  # as README promises

pytestmark = pytest.mark.skipif(not namespace.possible(), reason="takes root, for a mount of one's own")


@pytest.fixture
def name_server():
    """Takes queries and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((NAME_SERVER, 53))
        silent.settimeout(20)
        yield silent


def with_resolv_conf(file, command):
    return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', file, *command]


def command_of(mode, link, directory):
    if mode == "exit-peer":
        return [CLIENT_PROGRAM, mode, "--relay", "wss://relay.example", "--state-dir", directory / "state"]
    return client_command(directory, link.with_(hosts="relay.example:443"))


@pytest.mark.parametrize("mode", ["socks5", "exit-peer"])
def test_who_is_to_end_waits_for_no_name_server(tunnel, tmp_path, programs, name_server, mode):
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver {NAME_SERVER}\n")
    program = Program(mode, with_resolv_conf(file, command_of(mode, tunnel.exit.link(), tmp_path)), tmp_path)
    programs.append(program)
    assert b"relay" in name_server.recv(512)  # it is being looked up
    began = time.monotonic()
    assert program.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < STOPS_WITHIN
