# SPDX-License-Identifier: MIT
"""A link names two relays, and the first is of no use: the second one is there before the first has timed out."""
import contextlib
import socket
import threading
import time

import pytest
from harness import socks
from harness.servers import accepting
from harness.tunnel import start_client

DIAL_TIMEOUT = 10  # of a relay that does not answer


class Useless:
    """A relay's port where connections are accepted by the kernel, and then: nothing, a close, or somebody else."""

    def __init__(self, kind):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.kind = kind
        self.seen = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        held = []
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                self.seen += 1
                if self.kind == "nothing":
                    held.append(connection)
                elif self.kind == "no TLS":
                    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                    held.append(connection)
                else:
                    connection.close()

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


@pytest.mark.parametrize("kind", ["nothing", "no TLS", "close"])
def test_a_relay_of_no_use_holds_nobody_back(tunnel, tmp_path, programs, kind):
    useless = Useless(kind)
    link = tunnel.exit.link()
    began = time.monotonic()
    client = start_client(tmp_path, link.with_(hosts=f"localhost:{useless.port},{link.hosts}"),
                          ca_file=tunnel.authority.ca_file)
    programs.append(client)
    took = time.monotonic() - began
    assert useless.seen >= 1  # it was asked first
    assert took < DIAL_TIMEOUT - 2
    with accepting() as server, socks.connect(client.proxy, "127.0.0.1", server.port) as stream:
        stream.sendall(b"there")
        assert socks.read_exactly(server.next(), 5) == b"there"
    useless.close()
