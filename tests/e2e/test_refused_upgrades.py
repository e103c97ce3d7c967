# SPDX-License-Identifier: MIT
"""A relay that refuses an upgrade with a body which it sends in the worst pieces. Beast 1.81 aborts on a last chunk
that comes so, and a process that ends by a signal is the relay's doing: exit and client say the status and go on as
after any refusal."""
import socket
import threading
import time

import pytest
from harness.access_link import AccessLink
from harness.process import CLIENT_PROGRAM, Program, run, wait_until
from harness.servers import accept_in_background
from harness.tunnel import client_command

REFUSED = 3
BODIES = {"last-chunk": [b"0\r\n", b"\r", b"\n"], "second-chunk": [b"1\r\na\r\n0\r\n", b"\r", b"\n"],
          "chunk-by-byte": [b"0", b"\r", b"\n", b"\r", b"\n"]}
PAUSE_SECONDS = 0.05  # the misdeed itself: each piece is read alone


class Refusing:
    """Answers whatever comes with `status` and a chunked body in `pieces`."""

    def __init__(self, status, pieces):
        self._header = b"HTTP/1.1 %d No\r\nTransfer-Encoding: chunked\r\n\r\n" % status
        self._pieces = pieces
        self.refused = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        accept_in_background(self._listener, self._spawn)

    def _spawn(self, connection):
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    part = connection.recv(4096)
                    if not part:
                        return
                    request += part
                for piece in [self._header, *self._pieces]:
                    connection.sendall(piece)
                    time.sleep(PAUSE_SECONDS)
            except OSError:
                pass  # it has heard enough
            self.refused += 1

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    kill = stop


@pytest.fixture(params=BODIES)
def refusing(request, programs):
    def start(status):
        relay = Refusing(status, BODIES[request.param])
        programs.append(relay)
        return relay

    return start


def a_link(port):
    return AccessLink("zks+ws", f"127.0.0.1:{port}", "", "a" * 32, "", b"\x09" + bytes(31), bytes(8), bytes(32))


def test_client_says_the_status(refusing, tmp_path):
    relay = refusing(403)
    done = run(client_command(tmp_path, a_link(relay.port), "--log-level", "error"), 15)
    assert done.returncode == REFUSED, done.stderr
    assert "403" in done.stderr


def test_exit_says_the_status(refusing, tmp_path):
    relay = refusing(403)
    done = run([CLIENT_PROGRAM, "exit-peer", "--relay", f"ws://127.0.0.1:{relay.port}", "--state-dir",
                tmp_path / "state", "--log-level", "error"], 15)
    assert done.returncode == REFUSED, done.stderr
    assert "403" in done.stderr


def test_exit_tries_again(refusing, tmp_path, programs):
    relay = refusing(503)
    exit_peer = Program("exit", [CLIENT_PROGRAM, "exit-peer", "--relay", f"ws://127.0.0.1:{relay.port}",
                                 "--state-dir", tmp_path / "state"], tmp_path)
    programs.append(exit_peer)
    wait_until(lambda: relay.refused >= 3, 20, "three attempts")
    assert exit_peer.alive()
    exit_peer.says("503")
