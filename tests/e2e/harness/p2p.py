# SPDX-License-Identifier: MIT
"""p2p-client with forwards, for tests of -L and -R."""
import socket

from .process import CLIENT_PROGRAM

BACK_WITHIN_SECONDS = 30


def free_port(address="127.0.0.1"):
    """For programs that take no port 0: one that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def p2p_command(chain, *options, name="p2p", link=None):
    link_file = chain.directory / f"{name}.link"
    link_file.write_text(str(link or chain.exit.link()) + "\n")
    link_file.chmod(0o600)
    return [CLIENT_PROGRAM, "p2p-client", "--link-file", link_file, "--state-dir", chain.directory / f"{name}-state",
            "--relay-ca", chain.authority.ca_file, *options]
