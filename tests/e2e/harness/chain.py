# SPDX-License-Identifier: MIT
"""Relay, exit and client where the relay is mortal, for tests of what outlives a lane; and the words in which the
client's log tells of its lanes."""
import contextlib

from . import servers, socks
from .outages import MortalRelay
from .tunnel import start_client, start_exit

# Once for each loss, and once for each return.
LOST, RESUMED = "the lane is lost", "resumed"
# Of an exit with a trouble of its own.
LATER = "the exit lets nobody new in at the moment"
# The proxy lets a new connection wait this long for a lane.
SERVED_WITHIN_SECONDS = 10


def said(program, words):
    """How often `words` stand in the program's log."""
    return program.stderr().count(words)


def assert_serves(proxy):
    """A new connection works within the time that the proxy lets one wait."""
    with servers.accepting() as server:
        with socks.connect(proxy, "127.0.0.1", server.port, timeout=SERVED_WITHIN_SECONDS) as near, server.next() as far:
            near.sendall(b"new")
            assert socks.read_exactly(far, 3) == b"new"
            far.sendall(b"too")
            assert socks.read_exactly(near, 3) == b"too"


@contextlib.contextmanager
def a_stream(proxy):
    """A connection that is up: called, it says whether bytes still go both ways."""
    with servers.accepting() as server:
        with socks.connect(proxy, "127.0.0.1", server.port) as near, server.next() as far:
            def assert_alive():
                near.sendall(b"there")
                assert socks.read_exactly(far, 5) == b"there"
                far.sendall(b"back")
                assert socks.read_exactly(near, 4) == b"back"

            assert_alive()
            yield assert_alive


class Chain:
    """Over TLS. With several relays the exit is registered with each, and the link names them in order."""

    def __init__(self, directory, authority, relays=1, exit_options=(), client_options=()):
        self.directory = directory
        self.authority = authority
        self.relays, self.peers = [], []
        try:
            for number in range(relays):
                self.relays.append(MortalRelay(directory, authority, f"relay{number}"))
            self.relay = self.relays[0]
            self.exit = self.start_exit("exit", *exit_options)
            self.client = self.start_client("client", *client_options)
        except BaseException:
            self.kill()
            raise
        self.proxy = self.client.proxy

    def start_exit(self, name, *options, state=None):
        others = [part for relay in self.relays[1:] for part in ("--relay", relay.url)]
        program = start_exit(self.directory, self.relays[0].url, *others, *options, ca_file=self.authority.ca_file,
                             name=name, state=state)
        self.peers.append(program)
        program.says("registered with relay", times=len(self.relays))
        return program

    def start_client(self, name, *options):
        program = start_client(self.directory, self.exit.link(), *options, ca_file=self.authority.ca_file, name=name)
        self.peers.append(program)
        return program

    def kill(self):
        for program in (*reversed(self.peers), *self.relays):
            program.kill()
