# SPDX-License-Identifier: MIT
"""A private Tor network on loopback from Debian's `tor`: directory authorities, relays that are exits, and a client with
a SOCKS5 port. Three hops as outside, by tor's own choice among the relays."""
import contextlib
import subprocess

from harness import namespace
from harness.process import Program, run, wait_until

from .peers import free_port

AUTHORITIES, RELAYS = 3, 3
# Votes every 20 s, so that the first consensus is there after half a minute and not after hours.
VOTING = """
V3AuthVotingInterval 20
V3AuthVoteDelay 4
V3AuthDistDelay 4
TestingV3AuthInitialVotingInterval 20
TestingV3AuthInitialVoteDelay 4
TestingV3AuthInitialDistDelay 4
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
TestingMinExitFlagThreshold 0
"""
NODE = """
TestingTorNetwork 1
AssumeReachable 1
PathsNeededToBuildCircuits 0.67
ShutdownWaitLength 0
"""
HERE = (None, "127.0.0.1")


class Node:
    """`host`: (network namespace or None, address in it)."""

    def __init__(self, directory, name, host, exits):
        self.name = name
        self.place, self.address = host
        self.exits = exits
        self.directory = directory / name
        self.directory.mkdir(mode=0o700)
        with self.inside():
            self.or_port, self.dir_port, self.socks_port = (free_port(self.address), free_port(self.address), free_port())
        self.line = ""  # DirAuthority

    def inside(self):
        return namespace.entered(self.place) if self.place else contextlib.nullcontext()

    def make_authority(self):
        keys = self.directory / "keys"
        keys.mkdir(mode=0o700)
        subprocess.run(["tor-gencert", "--create-identity-key", "--passphrase-fd", "0", "-i", keys / "authority_identity_key",
                        "-s", keys / "authority_signing_key", "-c", keys / "authority_certificate", "-m", "12",
                        "-a", f"{self.address}:{self.dir_port}"], input=b"bench\n", check=True, capture_output=True)
        certificate = (keys / "authority_certificate").read_text().splitlines()
        identity = next(line.split()[1] for line in certificate if line.startswith("fingerprint "))
        empty = self.directory / "empty"
        empty.touch()
        done = run(["tor", "--list-fingerprint", "--orport", "1", "--datadirectory", self.directory, "--dirserver",
                    f"x 127.0.0.1:1 {'f' * 40}", "-f", empty, "--defaults-torrc", empty])
        if done.returncode:
            raise RuntimeError(f"tor --list-fingerprint: {done.stdout}")
        fingerprint = (self.directory / "fingerprint").read_text().split()[1]
        self.line = f"DirAuthority {self.name} orport={self.or_port} no-v2 v3ident={identity} " \
                    f"{self.address}:{self.dir_port} {fingerprint}"

    def config(self, authorities, extra):
        lines = [NODE, f"Address {self.address}", f"DataDirectory {self.directory}", f"Nickname {self.name}",
                 *(node.line for node in authorities), extra]
        if self.name == "client":
            lines.append(f"SocksPort 127.0.0.1:{self.socks_port}")
        else:
            lines += [f"SocksPort 0\nORPort {self.address}:{self.or_port}"]
        if self.line:
            lines += ["AuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\nContactInfo bench@example.org",
                      f"DirPort {self.address}:{self.dir_port}\nExitPolicy reject *:*", VOTING]
        elif self.exits:
            lines.append("ExitRelay 1\nExitPolicyRejectPrivate 0\nExitPolicy accept 127.0.0.0/8:*")
        return "\n".join(lines)


@contextlib.contextmanager
def network(directory, extra="", hosts=None):
    """Yields (SOCKS5 port, {role: pids}) when the client has built circuits. `extra`: lines for every node's torrc. All on
    this namespace's loopback and every relay an exit; or, with `hosts`, {"hub", "client", "exit": host}: the last relay on
    `exit` and the only one, everything else but the client on `hub`."""
    hosts = hosts or {}
    hub, last = hosts.get("hub", HERE), RELAYS - 1
    authorities = [Node(directory, f"authority{number}", hub, False) for number in range(AUTHORITIES)]
    others = [Node(directory, f"relay{number}", hosts.get("exit", hub) if number == last else hub, number == last or not hosts)
              for number in range(RELAYS)]
    others.append(Node(directory, "client", hosts.get("client", hub), False))
    for node in authorities:
        node.make_authority()
    (directory / "none").touch()  # instead of the package's defaults, which are for a daemon
    programs = {}
    try:
        for node in (*authorities, *others):
            config = directory / f"{node.name}.torrc"
            config.write_text(node.config(authorities, extra))
            with node.inside():
                programs[node.name] = Program(node.name, ["tor", "-f", config, "--defaults-torrc", directory / "none"],
                                              directory)
        client = programs["client"]

        def ready():
            for program in programs.values():
                assert program.alive(), f"{program.name} ended:\n{program.stdout()[-2000:]}"
            return "Bootstrapped 100%" in client.stdout()
        wait_until(ready, 240, "the Tor client is bootstrapped")
        yield others[-1].socks_port, {"client": [client.pid],
                                      "relays": [program.pid for name, program in programs.items() if name != "client"]}
    finally:
        for program in reversed(list(programs.values())):
            program.kill()
