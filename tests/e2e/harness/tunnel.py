# SPDX-License-Identifier: MIT
"""The chain under test: relay, exit peer and SOCKS5 client as real processes over TLS (or plaintext when asked).

Each gets free ports (port 0; the ready file says which) and a directory of its own.
"""
import os
import signal

from .access_link import AccessLink
from .process import CLIENT_PROGRAM, RELAY_PROGRAM, REPOSITORY, ReadyProgram, run

# Both take the same flags (scripts/test --relay worker sets ZKS_RELAY).
RELAYS = {"native": RELAY_PROGRAM, "worker": REPOSITORY / "worker" / "serve"}
RELAY = os.environ.get("ZKS_RELAY", "native")

# What the exit may reach beyond its default policy: one address of each family, so that every other loopback
# address stays a blocked one. 127.255.255.255 is loopback's broadcast address, to which the kernel says ENETUNREACH.
ALLOWED = ("127.0.0.1/32", "::1/128", "127.255.255.255/32")


def start_relay(directory, certificate=None, *extra, name="relay", port=0, kind=RELAY, program=None):
    """A relay on loopback, on a free port unless `port` says which: TLS with `certificate`, plaintext without."""
    transport = ["--tls-cert", certificate.cert, "--tls-key", certificate.key] if certificate else ["--plaintext"]
    # All tests dial from one address, many at once: the join limit has a test of its own.
    rate = [] if "--join-rate" in extra else ["--join-rate", "0"]
    if kind == "worker" and "--log-level" in extra:  # it has no log of its own
        at = extra.index("--log-level")
        extra = extra[:at] + extra[at + 2:]
    relay = ReadyProgram(name, [program or RELAYS[kind], "--listen", f"127.0.0.1:{port}", *transport, *rate, *extra],
                         directory)
    if kind == "worker":
        relay.stop = lambda: _end_workerd(relay)
    relay.port = relay.address()[1]
    relay.url = f"{'wss' if certificate else 'ws'}://localhost:{relay.port}"
    return relay


def _end_workerd(relay):
    """SIGTERM makes workerd wait until every connection has ended by itself; SIGINT ends it, and is its status."""
    status = ReadyProgram.stop(relay, signal.SIGINT)
    return 0 if status == -signal.SIGINT else status


def start_exit(directory, relay_url, *extra, ca_file=None, resolver=None, name="exit", state=None, allowed=ALLOWED,
               program=None):
    """An exit peer registered at `relay_url`, with the keys in `state` where there are some already; `.link()` is the
    access link of its default invite."""
    link_file = directory / f"{name}.link"
    state = state or directory / f"{name}-state"
    options = ["--relay", relay_url, "--state-dir", state, "--link-file", link_file]
    for rule in allowed:
        options += ["--allow", rule]
    if ca_file:
        options += ["--relay-ca", ca_file]
    if resolver:
        options += ["--resolver", resolver]
    exit_peer = ReadyProgram(name, [program or CLIENT_PROGRAM, "exit-peer", *options, *extra], directory)
    exit_peer.link_file = link_file
    exit_peer.state = state
    exit_peer.link = lambda: AccessLink.parse(link_file.read_text().strip())
    return exit_peer


def client_command(directory, link, *extra, ca_file=None, name="client", state=None, program=None):
    """The command line of a SOCKS5 client whose link stands in a file, as the docs advise."""
    link_file = directory / f"{name}.link"
    link_file.write_text(str(link) + "\n")
    link_file.chmod(0o600)
    trust = ["--relay-ca", ca_file] if ca_file else []
    return [program or CLIENT_PROGRAM, "socks5", "--listen", "127.0.0.1:0", "--link-file", link_file,
            "--state-dir", state or directory / f"{name}-state", *trust, *extra]


def start_client(directory, link, *extra, ca_file=None, name="client", state=None, program=None):
    state = state or directory / f"{name}-state"
    command = client_command(directory, link, *extra, ca_file=ca_file, name=name, state=state, program=program)
    client = ReadyProgram(name, command, directory)
    client.state = state
    client.proxy = client.address()
    client.proxy_text = "{}:{}".format(*client.proxy)
    return client


def make_invite(exit_peer, name, *extra, program=None):
    """The link of a new invite of a running exit."""
    made = run([program or CLIENT_PROGRAM, "invite", name, "--state-dir", exit_peer.state, *extra])
    assert made.returncode == 0, made.stderr
    return AccessLink.parse(made.stdout.strip())


class Tunnel:
    """Relay, exit and client over TLS."""

    def __init__(self, directory, authority, resolver=None, relay_options=(), exit_options=(), client_options=()):
        self.directory = directory
        self.authority = authority
        self.programs = []
        try:
            self.relay = self._keep(start_relay(directory, authority.issue(), *relay_options))
            self.exit = self._keep(start_exit(directory, self.relay.url, *exit_options,
                                              ca_file=authority.ca_file, resolver=resolver))
            self.client = self._keep(start_client(directory, self.exit.link(), *client_options,
                                                  ca_file=authority.ca_file))
        except BaseException:
            self.kill()
            raise
        self.proxy = self.client.proxy
        self.proxy_text = self.client.proxy_text

    def _keep(self, program):
        self.programs.append(program)
        return program

    def add_client(self, name, *extra, link=None):
        client = start_client(self.directory, link or self.exit.link(), *extra, ca_file=self.authority.ca_file,
                              name=name)
        return self._keep(client)

    def assert_alive(self):
        for program in self.programs:
            assert program.alive(), f"{program.name} ended with {program.process.returncode}"

    def stop(self):
        """Ends everything as an operator would; a status other than 0 fails the test that did it."""
        statuses = {program.name: program.stop() for program in reversed(self.programs)}
        assert set(statuses.values()) == {0}, statuses

    def kill(self):
        for program in reversed(self.programs):
            program.kill()
