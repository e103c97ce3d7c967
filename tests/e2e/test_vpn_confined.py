# SPDX-License-Identifier: MIT
"""vpn's processes: what those have that hear the network, and that root is not one of them. Which system calls they are
refused is in tests/unit/vpn/syscall_filter_test.cpp."""
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from harness import namespace
from harness.process import wait_until
from harness.world import RELAY, RELAY_NAME, SITE, World

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]
STOPS_WITHIN = 5
NOBODY = "65534"

# A name server on the router: writes how often it was asked, and says the right thing, nothing, or to its first queries
# whatever a parser may stumble over.
NAME_SERVER = r"""
import socket, struct, sys
how, address, count, LIES = sys.argv[1], socket.inet_aton(sys.argv[2]), 0, 8
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 53))
def answers(query):
    end = 12
    while query[end]:
        end += query[end] + 1
    kind = struct.unpack_from("!H", query, end + 1)[0]
    question = query[12:end + 5]
    records = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + address if kind == 1 else b""
    right = query[:2] + struct.pack("!HHHHH", 0x8180, 1, kind == 1, 0, 0) + question + records
    if how == "hostile" and count <= LIES:
        for size in range(len(right)):
            yield right[:size]
        for at in range(2, len(right)):
            yield right[:at] + b"\xff" + right[at + 1:]
            yield right[:at] + b"\xc0" + right[at + 1:]
        yield query[:2] + struct.pack("!HHHHH", 0x8180, 1, 65535, 65535, 65535) + question
        yield query[:2] + b"\x81\x80" + b"\xc0\x0c" * 2000
    elif how != "silent":
        yield right
while True:
    query, peer = server.recvfrom(1500)
    count += 1
    open(sys.argv[3], "w").write(str(count))
    for answer in answers(query):
        server.sendto(answer, peer)
"""


def start_name_server(world, how):
    asked = world.directory / f"asked-{how}"
    world.start("router", f"names-{how}", sys.executable, "-c", NAME_SERVER, how, RELAY[4], asked)
    wait_until(lambda: "0.0.0.0:53" in world.sh("router", "ss", "-lun"), 20, "the name server listens")
    return asked


def status(pid, *names):
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return [lines[name].split() for name in names]


def children(pid):
    """Of root's process: the one that looks up names is older than the worker."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def sockets_of(pid):
    out = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            out.add(os.readlink(descriptor))
        except FileNotFoundError:
            continue  # it was closed meanwhile
    return {text[8:-1] for text in out if text.startswith("socket:[")}


def internet_sockets(world, pid):
    """The inodes of the process's TCP, UDP and raw sockets."""
    tables = world.sh("client", "cat", *(f"/proc/net/{name}" for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")))
    rows = [line.split() for line in tables.splitlines() if ":" in line.split()[0] and line.split()[0][:-1].isdigit()]
    return {row[9] for row in rows} & sockets_of(pid)


def start_with_name(world, *extra, wait=True):
    """vpn with a relay that has a name; without waiting for a session, a program that may never have one."""
    link = world.exit.link.with_(hosts=f"{RELAY_NAME}:{world.relay_port}")
    if wait:
        return world.start_vpn(link, *extra)
    return world.start("client", "vpn", *world.vpn_argv(link, *extra))


@pytest.fixture
def world(tmp_path):
    with World(tmp_path) as world:
        world.relay = world.start_relay()
        world.exit = world.start_exit()
        world.relay_port = world.exit.link.hosts.rsplit(":", 1)[1]
        yield world


def test_who_hears_the_network_has_no_rights_and_few_system_calls(world):
    start_name_server(world, "right")
    vpn = start_with_name(world)
    below = children(vpn.pid)
    assert len(below) == 2, "one for the session, one for names"
    for pid in below:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            uid, rights, new, filters = status(f"{pid}/task/{thread.name}", "Uid", "CapPrm", "NoNewPrivs", "Seccomp")
            assert uid == [NOBODY] * 4 and int(rights[0], 16) == 0, (pid, thread.name)
            assert (new, filters) == (["1"], ["2"]), (pid, thread.name)
    assert status(vpn.pid, "Uid") == [["0"] * 4]
    names, _ = below
    assert Path(f"/proc/{names}/cmdline").read_bytes().split(b"\0")[1:] == [b"vpn-names", b"nobody", b""]
    assert Path(f"/proc/{names}/environ").read_bytes() == b"", "nothing of the parent's, where the link is"
    assert internet_sockets(world, vpn.pid) == set()
    assert len(internet_sockets(world, below[1])) >= 1, "the worker has the way to the relay"
    assert world.stop(vpn) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in below)


def test_without_names_there_is_no_process_for_them(world):
    vpn = world.start_vpn(world.exit.link)
    assert len(children(vpn.pid)) == 1
    assert world.stop(vpn) == 0


def test_root_has_no_socket_of_a_lookup_and_ends_during_one(world):
    asked = start_name_server(world, "silent")
    vpn = start_with_name(world, wait=False)
    wait_until(asked.exists, 30, "the name server is asked")
    names, worker = children(vpn.pid)
    wait_until(lambda: internet_sockets(world, names), 20, "it waits for an answer")
    assert internet_sockets(world, vpn.pid) == set()
    assert internet_sockets(world, worker) == set()
    began = time.monotonic()
    assert world.stop(vpn) == 0
    assert time.monotonic() - began < STOPS_WITHIN
    assert not Path(f"/proc/{names}").exists()


def test_a_name_server_that_lies_reaches_nobody_with_rights(world):
    asked = start_name_server(world, "hostile")
    vpn = start_with_name(world)  # ready: who was lied to went on
    assert int(asked.read_text()) > 8
    allowed = world.sh("client", "nft", "list", "table", "inet", "zks-vpn")
    assert RELAY[4] in allowed
    assert world.run("client", "ping", "-c", "1", "-W", "10", SITE[4]).returncode == 0
    assert len(children(vpn.pid)) == 2
    assert world.stop(vpn) == 0


@pytest.mark.parametrize("which", ["names", "worker"])
def test_a_process_that_is_ended_for_a_system_call_leaves_the_machine_closed(world, which):
    start_name_server(world, "right")
    vpn = start_with_name(world)
    os.kill(children(vpn.pid)[0 if which == "names" else 1], signal.SIGSYS)
    assert vpn.wait(30) == 1
    wait_until(lambda: "system call that it has no use for" in vpn.stderr(), 20, "it is said why")
    assert world.run("client", "ping", "-c", "1", "-W", "2", SITE[4]).returncode != 0
    assert world.run("client", *world.vpn_argv(world.exit.link, "--down")).returncode == 0
