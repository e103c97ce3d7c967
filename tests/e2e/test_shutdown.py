# SPDX-License-Identifier: MIT
"""SIGTERM and SIGINT end every program with status 0, soon, and remove its ready file; what was open is closed."""
import signal
import socket

import pytest
from harness import servers, socks
from harness.tunnel import start_exit

PROGRAMS = [pytest.param("relay", marks=pytest.mark.native_relay("workerd ends in its own way")), "exit", "client"]


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_cleanly(new_tunnel, name, sig):
    tunnel = new_tunnel()
    program = getattr(tunnel, name)
    assert program.ready_path.exists()
    assert program.stop(sig, seconds=10) == 0
    assert not program.ready_path.exists()


@pytest.mark.parametrize("name", PROGRAMS)
def test_signal_ends_cleanly_with_open_streams(new_tunnel, name):
    tunnel = new_tunnel()
    with servers.accepting() as server:
        near = socks.connect(tunnel.proxy, "127.0.0.1", server.port)
        with near, server.next():
            near.sendall(b"still here")
            assert getattr(tunnel, name).stop(seconds=15) == 0


def test_client_that_ends_lets_go_of_its_port(new_tunnel):
    tunnel = new_tunnel()
    tunnel.client.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(tunnel.proxy, 5)


def test_exit_state_survives_a_restart(new_tunnel, tmp_path, authority):
    """Keys and invites are the same afterwards: a link that was handed out stays good."""
    tunnel = new_tunnel()
    before = str(tunnel.exit.link())
    tunnel.client.stop()
    tunnel.exit.stop()
    tunnel.exit = start_exit(tmp_path, tunnel.relay.url, ca_file=authority.ca_file)
    tunnel.programs.append(tunnel.exit)
    assert str(tunnel.exit.link()) == before
    client = tunnel.add_client("again")
    with servers.accepting() as server:
        with socks.connect(client.proxy, "127.0.0.1", server.port) as near, server.next() as far:
            near.sendall(b"x")
            assert far.recv(1) == b"x"
