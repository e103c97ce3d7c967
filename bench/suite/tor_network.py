# SPDX-License-Identifier: MIT
"""A private Tor network on loopback from Debian's `tor`: directory authorities, relays that are exits, and a client with
a SOCKS5 port. Three hops as outside, by tor's own choice among the relays."""
import contextlib
import subprocess

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
Address 127.0.0.1
"""


class Node:
    def __init__(self, directory, name):
        self.name = name
        self.directory = directory / name
        self.directory.mkdir(mode=0o700)
        self.or_port, self.dir_port, self.socks_port = free_port(), free_port(), free_port()
        self.line = ""  # DirAuthority

    def make_authority(self):
        keys = self.directory / "keys"
        keys.mkdir(mode=0o700)
        subprocess.run(["tor-gencert", "--create-identity-key", "--passphrase-fd", "0", "-i", keys / "authority_identity_key",
                        "-s", keys / "authority_signing_key", "-c", keys / "authority_certificate", "-m", "12",
                        "-a", f"127.0.0.1:{self.dir_port}"], input=b"bench\n", check=True, capture_output=True)
        certificate = (keys / "authority_certificate").read_text().splitlines()
        identity = next(line.split()[1] for line in certificate if line.startswith("fingerprint "))
        empty = self.directory / "empty"
        empty.touch()
        done = run(["tor", "--list-fingerprint", "--orport", "1", "--datadirectory", self.directory, "--dirserver",
                    f"x 127.0.0.1:1 {'f' * 40}", "-f", empty, "--defaults-torrc", empty])
        if done.returncode:
            raise RuntimeError(f"tor --list-fingerprint: {done.stdout}")
        fingerprint = (self.directory / "fingerprint").read_text().split()[1]
        self.line = f"DirAuthority {self.name} orport={self.or_port} no-v2 v3ident={identity} 127.0.0.1:{self.dir_port} {fingerprint}"

    def config(self, authorities, extra):
        lines = [NODE, f"DataDirectory {self.directory}", f"Nickname {self.name}", *(node.line for node in authorities), extra]
        if self.name == "client":
            lines.append(f"SocksPort 127.0.0.1:{self.socks_port}")
        else:
            lines += [f"SocksPort 0\nORPort 127.0.0.1:{self.or_port}"]
        if self.line:
            lines += ["AuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\nContactInfo bench@example.org",
                      f"DirPort 127.0.0.1:{self.dir_port}\nExitPolicy reject *:*", VOTING]
        elif self.name != "client":
            lines.append("ExitRelay 1\nExitPolicyRejectPrivate 0\nExitPolicy accept 127.0.0.0/8:*")
        return "\n".join(lines)


@contextlib.contextmanager
def network(directory, extra=""):
    """Yields (SOCKS5 port, {role: pids}) when the client has built circuits. `extra`: lines for every node's torrc."""
    authorities = [Node(directory, f"authority{number}") for number in range(AUTHORITIES)]
    others = [Node(directory, f"relay{number}") for number in range(RELAYS)] + [Node(directory, "client")]
    for node in authorities:
        node.make_authority()
    (directory / "none").touch()  # instead of the package's defaults, which are for a daemon
    programs = {}
    try:
        for node in (*authorities, *others):
            config = directory / f"{node.name}.torrc"
            config.write_text(node.config(authorities, extra))
            programs[node.name] = Program(node.name, ["tor", "-f", config, "--defaults-torrc", directory / "none"], directory)
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
