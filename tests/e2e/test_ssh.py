# SPDX-License-Identifier: MIT
"""ssh through the tunnel to a real sshd, with nc as ProxyCommand (its -X 5 resolves names at the proxy)."""
import hashlib
import os
import subprocess

import pytest
from conftest import SITE
from harness.process import run
from harness.ssh import SshServer


@pytest.fixture(scope="module")
def sshd(workspace):
    server = SshServer(workspace)
    yield server
    server.close()


def through(tunnel):
    return ["-o", f"ProxyCommand=nc -X 5 -x {tunnel.proxy_text} %h %p", "-o", "ConnectTimeout=20"]


@pytest.mark.parametrize("host", ["127.0.0.1", SITE])
def test_command_status_and_output(tunnel, sshd, host):
    done = run([*sshd.command(*through(tunnel), host=host), "echo out; echo err >&2; exit 7"])
    assert (done.stdout, done.returncode) == ("out\n", 7), done.stderr + sshd.log()
    assert "err\n" in done.stderr


def test_data_both_ways(tunnel, sshd, tmp_path):
    """16 MiB in, the same back out: what ssh sends passes twice."""
    data = os.urandom(16 << 20)
    source, result = tmp_path / "source", tmp_path / "result"
    source.write_bytes(data)
    with open(source, "rb") as stdin, open(result, "wb") as stdout:
        done = subprocess.run([*sshd.command(*through(tunnel)), "cat"], stdin=stdin, stdout=stdout,
                              stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(result.read_bytes()).digest() == hashlib.sha256(data).digest()
