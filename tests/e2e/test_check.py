# SPDX-License-Identifier: MIT
"""`check`: step by step what works, and the first step that does not is the one that is broken."""
import contextlib
import re
import secrets
import socket
import threading

import pytest
from harness.process import CLIENT_PROGRAM, run, wait_until

STEPS = ["DNS", "TCP", "TLS, relay", "exit", "key", "session", "stream"]


def check(tunnel, link, directory, *extra):
    """(exit status, [(step, outcome)]) of a check."""
    link_file = directory / "checked.link"
    link_file.write_text(str(link) + "\n")
    link_file.chmod(0o600)
    done = run([CLIENT_PROGRAM, "check", "--link-file", link_file, "--state-dir", directory / "check-state", *extra])
    assert link.fragment() not in done.stdout + done.stderr
    return done.returncode, re.findall(r"^  (\S.*?) +(ok|FAILED) ", done.stdout, re.MULTILINE)


def test_every_step_passes(tunnel, tmp_path):
    status, steps = check(tunnel, tunnel.exit.link(), tmp_path, "--relay-ca", tunnel.authority.ca_file)
    assert steps == [(step, "ok") for step in STEPS]
    assert status == 0


def test_a_check_leaves_no_session_behind(new_tunnel, tmp_path):
    """Or they would push the sessions of others out of the exit."""
    tunnel = new_tunnel()
    tunnel.client.stop()
    for _ in range(3):
        assert check(tunnel, tunnel.exit.link(), tmp_path, "--relay-ca", tunnel.authority.ca_file)[0] == 0
    wait_until(lambda: tunnel.exit.stderr().count("a session ended") == 4, 10, "the client's and three checks' sessions ended")
    assert "it is kept" not in tunnel.exit.stderr()


class ForTwo:
    """Passes two connections on to the relay, check's own, and is closed then: the exit's stream to it is refused."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(port,), daemon=True).start()

    def _serve(self, port):
        accepted = [self.listener.accept()[0] for _ in range(2)]
        self.listener.close()
        for near in accepted:
            far = socket.create_connection(("127.0.0.1", port))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    @staticmethod
    def _pass_on(source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


def test_a_stream_that_fails_is_named_and_leaves_no_session_either(new_tunnel, tmp_path):
    tunnel = new_tunnel()
    link = tunnel.exit.link().with_(hosts=f"localhost:{ForTwo(tunnel.relay.port).port}")
    status, steps = check(tunnel, link, tmp_path, "--relay-ca", tunnel.authority.ca_file)
    assert steps == [(step, "ok") for step in STEPS[:-1]] + [("stream", "FAILED")]
    assert status == 1
    wait_until(lambda: "a session ended" in tunnel.exit.stderr(), 10, "the check's session ended")
    assert "it is kept" not in tunnel.exit.stderr()


@pytest.mark.parametrize("changes, trusted, failing, expected", [
    ({"hosts": "nobody.invalid"}, True, ["DNS"], 1),
    ({"hosts": "localhost:1"}, True, ["TCP"], 1),
    ({}, False, ["TLS, relay"], 3),
    ({"room": "a" * 32}, True, ["exit"], 3),
    ({"exit_key": secrets.token_bytes(32)}, True, ["key"], 3),
    ({"psk": secrets.token_bytes(32)}, True, ["key", "session"], 3),
], ids=["name", "port", "certificate", "room", "exit key", "psk"])
def test_the_step_that_fails_is_named(tunnel, tmp_path, changes, trusted, failing, expected):
    trust = ["--relay-ca", tunnel.authority.ca_file] if trusted else []
    status, steps = check(tunnel, tunnel.exit.link().with_(**changes), tmp_path, *trust)
    *before, (last, outcome) = steps
    assert outcome == "FAILED" and last in failing
    assert before == [(step, "ok") for step in STEPS[:STEPS.index(last)]]
    assert status == expected
