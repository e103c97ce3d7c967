# SPDX-License-Identifier: MIT
"""Relays that go away and come back at the same address: killed and started again, or frozen and thawed."""
import random
import signal
import socket
import threading

from .tunnel import start_relay

# Below the range from which the kernel takes port 0 and the ports of outgoing connections (ip_local_port_range), so
# that nobody gets the port while its relay is down.
PORTS = range(15_000, 30_000)


def pause(seconds):
    """Time that is part of a scenario."""
    assert not threading.Event().wait(seconds)


def unused_port():
    while True:
        port = random.choice(PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class MortalRelay:
    """A relay over TLS with one port for all its lives."""

    def __init__(self, directory, authority, name="relay", program=None):
        self._directory = directory
        self._certificate = authority.issue()
        self._name = name
        self._lives = 0
        self._its_program = program
        self.port = unused_port()
        self.program = None
        self.start()

    @property
    def url(self):
        return self.program.url

    def start(self):
        self._lives += 1
        self.program = start_relay(self._directory, self._certificate, name=f"{self._name}-{self._lives}",
                                   port=self.port, program=self._its_program)

    def kill(self):
        self.program.kill()

    def freeze(self):
        """A black hole: the kernel still takes bytes and connections, and nobody answers."""
        self.program.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.program.process.send_signal(signal.SIGCONT)
