# SPDX-License-Identifier: MIT
"""A log that nobody reads, and descriptors 0, 1 and 2 that are closed: neither stops what a program does, and nothing
secret goes where it does not belong."""
import contextlib
import fcntl
import os
import socket

import pytest
from harness import socks, tunnel
from harness.chain import assert_serves
from harness.process import CLIENT_PROGRAM, RELAY_PROGRAM, Program, run, wait_until
from harness.world import SITE, World

F_SETPIPE_SZ = 1031
PIPE_BYTES = 4096
# More lines than pipe and queue (256 KiB) hold.
MANY = 6_000
DROPPED = "lines of the log were dropped"

needs_native = pytest.mark.native_relay("it is about our programs' logs and descriptors")


class Fifo:
    """A pipe of one page that is full from the beginning."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(self._fd, F_SETPIPE_SZ, PIPE_BYTES)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self._fd, b"\n" * 64)
        self.text = ""

    def read(self):
        """What has come until now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.text += os.read(self._fd, 65536).decode(errors="replace")
        return self.text

    def close(self):
        os.close(self._fd)


@pytest.fixture
def unread(tmp_path):
    pipe = Fifo(tmp_path / "log")
    yield pipe
    pipe.close()


def wrapped(path, program, redirections):
    path.write_text(f'#!/bin/sh\nexec {program} "$@" {redirections}\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def redirect(tmp_path, monkeypatch):
    """Lets one kind of program (relay, exit or client) be started with redirections of a shell."""
    begin = tunnel.ReadyProgram

    def apply(kind, redirections):
        programs = {kind: wrapped(tmp_path / f"{kind}-wrapper", program, redirections)
                    for program in ([RELAY_PROGRAM] if kind == "relay" else [CLIENT_PROGRAM])}

        def start(name, argv, *arguments, **options):
            return begin(name, [programs.get(name, argv[0]), *argv[1:]], *arguments, **options)

        monkeypatch.setattr(tunnel, "ReadyProgram", start)

    return apply


def say_much(chain, kind):
    """Makes the program log more than its pipe holds, and the client more than its queue."""
    if kind == "exit":
        for _ in range(200):
            with pytest.raises(socks.SocksError):
                socks.connect(chain.proxy, "192.168.99.1", 80)
    elif kind == "client":
        for _ in range(MANY):
            with socket.create_connection(chain.proxy, 10) as nonsense:
                nonsense.sendall(b"\x16\x03\x01")
                while nonsense.recv(64):
                    pass
    else:
        for _ in range(100):
            run(["kill", "-HUP", chain.relay.pid])
            assert_serves(chain.proxy)


@needs_native
@pytest.mark.parametrize("kind", ["relay", "exit", "client"])
def test_a_log_that_nobody_reads_stops_nothing(kind, redirect, unread, new_tunnel):
    redirect(kind, f"2>{unread.path}")
    chain = new_tunnel(client_options=("--log-level", "debug"))
    say_much(chain, kind)
    assert_serves(chain.proxy)
    program = getattr(chain, kind)
    if kind == "client":
        wait_until(lambda: DROPPED in unread.read(), 30, "how many lines were dropped")
        with socket.create_connection(chain.proxy, 10) as nonsense:
            nonsense.sendall(b"\x16\x03\x01")
            who = "{}:{}".format(*nonsense.getsockname())
            wait_until(lambda: who in unread.read(), 30, "the log goes on")
    assert program.stop() == 0, "SIGTERM ends it all the same"
    chain.programs.remove(program)


def test_the_last_words_come_out_once_somebody_reads(unread, tmp_path):
    program = Program("wrong", [wrapped(tmp_path / "wrapper", CLIENT_PROGRAM, f"2>{unread.path}"), "exit-peer", "--relay",
                                "ws://127.0.0.1:1", "--state-dir", "/dev/null/state"], tmp_path)
    wait_until(lambda: "/dev/null/state" in unread.read(), 30, "why it ended")
    assert program.wait(30) == 1
    program.forget()


def test_and_nobody_is_waited_for(unread, tmp_path):
    program = Program("wrong", [wrapped(tmp_path / "wrapper", CLIENT_PROGRAM, f"2>{unread.path}"), "exit-peer", "--relay",
                                "ws://127.0.0.1:1", "--state-dir", "/dev/null/state"], tmp_path)
    assert program.wait(30) == 1
    program.forget()


@needs_native
def test_vpn_parent_and_worker_go_on_without_a_reader(unread, tmp_path):
    with World(tmp_path) as world:
        world.start_relay()
        link = world.start_exit("--allow", SITE[4]).link
        argv = world.vpn_argv(link, "--no-kill-switch", "--log-level", "debug")
        wrapper = wrapped(tmp_path / "wrapper", argv[0], f"2>{unread.path}")
        vpn = world.start("client", "vpn", wrapper, *argv[1:], ready=True)
        world.sh("client", "ping", "-c", "1", "-W", "10", SITE[4])
        assert world.stop(vpn) == 0


@needs_native
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "<&- 2>&-"])
@pytest.mark.parametrize("kind", ["relay", "exit", "client"])
def test_closed_descriptors_are_taken_by_nothing_else(kind, closed, redirect, new_tunnel):
    redirect(kind, closed)
    chain = new_tunnel()
    program = getattr(chain, kind)
    for number, sign in enumerate(("<&-", ">&-", "2>&-")):
        if sign in closed.split():
            assert os.readlink(f"/proc/{program.pid}/fd/{number}") == "/dev/null"
    assert_serves(chain.proxy)
    assert program.stop() == 0
    chain.programs.remove(program)


def test_a_link_that_can_go_nowhere_is_an_error(new_tunnel, tmp_path):
    chain = new_tunnel()
    argv = [wrapped(tmp_path / "wrapper", CLIENT_PROGRAM, ">&-"), "invite", "bob", "--state-dir", chain.exit.state]
    done = run(argv)
    assert done.returncode == 1 and "could not be written" in done.stderr
