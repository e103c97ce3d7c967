# SPDX-License-Identifier: MIT
"""SIGTERM and SIGINT end every program with status 0, soon, and remove its ready file; what was open is closed."""
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import servers, socks
from harness.process import RELAY_PROGRAM, ReadyProgram, wait_until
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


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("streams", [0, 1])
def test_a_client_that_is_stopped_says_goodbye_and_blames_nobody(new_tunnel, sig, streams):
    tunnel = new_tunnel()
    with servers.accepting() as server:
        near = [socks.connect(tunnel.proxy, "127.0.0.1", server.port) for _ in range(streams)]
        far = [server.next() for _ in near]
        log_before = len(tunnel.client.stderr())
        assert tunnel.client.stop(sig, seconds=20) == 0
        for each in near + far:
            each.close()
    said = tunnel.client.stderr()[log_before:]
    assert "shutting down" not in said and "lost" not in said, said
    wait_until(lambda: "a session ended" in tunnel.exit.stderr(), 10, "the exit lets go of the session at once")
    assert "it is kept" not in tunnel.exit.stderr()


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


# Starts `sleep`, which leaves the signal's action alone, as the harness starts programs; prints how the signal ended it.
END_SLEEP = """
import signal, sys, time
from pathlib import Path
from harness.process import Program
program = Program("sleep", ["sleep", "60"], Path(sys.argv[2]))
print(program.stop(signal.Signals[sys.argv[1]]))
"""


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1])
def test_what_the_harness_starts_does_not_inherit_that_signals_are_ignored(tmp_path, sig):
    harness = Path(__file__).parent
    done = subprocess.run(["sh", "-c", f"trap '' INT QUIT HUP USR1; exec {sys.executable} -c \"$0\" \"$@\"", END_SLEEP,
                           sig.name, tmp_path], cwd=harness, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(-sig), done.stderr


@pytest.mark.native_relay("workerd ends in its own way")
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_background_job_is_ended_by_signals_that_its_shell_ignored(tmp_path, programs, sig):
    """As `nohup zks-tunnel-relay &` in a script has it: the programs ask for the signals that they end by."""
    command = ["sh", "-c", 'trap "" INT HUP; exec "$0" "$@"', RELAY_PROGRAM, "--plaintext", "--listen", "127.0.0.1:0"]
    relay = ReadyProgram("relay", command, tmp_path)
    programs.append(relay)
    assert relay.stop(sig, seconds=15) == 0
