# SPDX-License-Identifier: MIT
"""`check`: step by step what works, and the first step that does not is the one that is broken."""
import re
import secrets

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
