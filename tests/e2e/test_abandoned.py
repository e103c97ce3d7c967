# SPDX-License-Identifier: MIT
"""What programs leave behind: streams that were half-closed and are silent make room at every limit, the limit is told once,
whole streams stay; every socket of theirs has keep-alive, and no urgent byte is lost."""
import contextlib
import re
import socket
import subprocess

import pytest
from harness import servers, socks
from harness.process import wait_until
from harness.tunnel import make_invite

PLACES = 4


def abandon(proxy, server):
    """A program that asks, and closes without an answer; the server's side stays open and mute."""
    with socks.connect(proxy, "127.0.0.1", server.port) as near:
        near.sendall(b"GET / HTTP/1.1\r\n\r\n")
    return server.next()


def answers(sock, server_side):
    sock.settimeout(10)
    server_side.sendall(b"yes")
    return sock.recv(3) == b"yes"


@pytest.mark.parametrize("kind", ["session", "invite"])
def test_what_was_abandoned_makes_room(new_tunnel, kind):
    tunnel = new_tunnel(exit_options=("--max-streams", str(PLACES)) if kind == "session" else ())
    client = tunnel.client
    if kind == "invite":
        link = make_invite(tunnel.exit, "few", "--max-streams", str(PLACES))
        client = tunnel.add_client("few", link=link)
    proxy = client.proxy
    with servers.accepting() as server, contextlib.ExitStack() as held:
        whole = held.enter_context(socks.connect(proxy, "127.0.0.1", server.port))
        whole_far = held.enter_context(server.next())
        for _ in range(3 * PLACES):
            held.enter_context(abandon(proxy, server))
        assert answers(whole, whole_far), "a whole stream stays, however silent"
        teller = client if kind == "session" else tunnel.exit
        teller.says("are in use: those that are half-closed")
        assert teller.stderr().count("are in use: those that are half-closed") == 1, "the limit is told once"


def test_whole_streams_are_not_thrown_out(new_tunnel):
    tunnel = new_tunnel(exit_options=("--max-streams", str(PLACES)))
    with servers.accepting() as server, contextlib.ExitStack() as held:
        pairs = []
        for _ in range(PLACES):
            near = held.enter_context(socks.connect(tunnel.proxy, "127.0.0.1", server.port))
            pairs.append((near, held.enter_context(server.next())))
        for _ in range(3):
            with pytest.raises(socks.SocksError) as refused:
                socks.connect(tunnel.proxy, "127.0.0.1", server.port)
            assert refused.value.code == 1, "5 is the destination's word"
        assert all(answers(*pair) for pair in pairs)


def keepalive_timers(port):
    """What the kernel will do about connections of this port, as ss tells."""
    done = subprocess.run(["ss", "-Htno", "state", "established", f"( sport = :{port} or dport = :{port} )"],
                          capture_output=True, text=True, check=True)
    return re.findall(r"timer:\(keepalive,(\S+?),\d+\)", done.stdout)


def test_every_socket_of_a_program_has_keepalive(new_tunnel):
    tunnel = new_tunnel()
    with servers.accepting() as server, socks.connect(tunnel.proxy, "127.0.0.1", server.port):
        with server.next():
            # While an acknowledgment is on its way, the kernel has another timer for the socket.
            wait_until(lambda: len(keepalive_timers(server.port)) == 1, 20, "keep-alive at the exit")
            wait_until(lambda: len(keepalive_timers(tunnel.proxy[1])) == 1, 20, "keep-alive at the proxy")


@pytest.mark.parametrize("sender", ["program", "server"])
def test_urgent_bytes_stay_in_the_stream(new_tunnel, sender):
    tunnel = new_tunnel()
    with servers.accepting() as server, socks.connect(tunnel.proxy, "127.0.0.1", server.port) as near:
        with server.next() as far:
            source, sink = (near, far) if sender == "program" else (far, near)
            sink.settimeout(10)
            source.sendall(b"abc")
            assert socks.read_exactly(sink, 3) == b"abc"
            source.send(b"X", socket.MSG_OOB)
            assert socks.read_exactly(sink, 1) == b"X"
            source.sendall(b"def")
            source.send(b"Y", socket.MSG_OOB)
            source.sendall(b"ghi")
            assert socks.read_exactly(sink, 7) == b"defYghi"
