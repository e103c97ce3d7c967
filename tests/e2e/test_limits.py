# SPDX-License-Identifier: MIT
"""Rules and limits of one invite, with real programs: what they hold back, that nothing is lost by it, that others do not
notice, and that changes reach a running exit."""
import contextlib
import hashlib
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from harness import servers, socks, udp
from harness.process import CLIENT_PROGRAM, run, wait_until
from harness.tunnel import make_invite, start_client, start_exit, start_relay
from harness.watching import status

MIB = 1 << 20
# A bucket that is full, one turn on credit, and what the measuring itself takes.
BURST_SECONDS = 0.4


@pytest.fixture(scope="module")
def place(workspace):
    """A relay and an exit over plaintext; `user()` is a client with an invite of its own."""
    relay = start_relay(workspace)
    exit_peer = start_exit(workspace, relay.url)
    clients = []

    def user(name, *options):
        clients.append(start_client(workspace, make_invite(exit_peer, name, *options), name=name))
        return clients[-1]

    exit_peer.user = user
    yield exit_peer
    for program in (*reversed(clients), exit_peer, relay):
        program.stop()


def limit(exit_peer, name, *options):
    done = run([CLIENT_PROGRAM, "limit", name, "--state-dir", exit_peer.state, *options])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def listed(exit_peer, name):
    done = run([CLIENT_PROGRAM, "invites", "--json", "--state-dir", exit_peer.state])
    assert done.returncode == 0, done.stderr
    (entry,) = [entry for entry in json.loads(done.stdout) if entry["name"] == name]
    return entry


@contextlib.contextmanager
def stream(proxy, server):
    near = socks.connect(proxy, "127.0.0.1", server.port)
    with near, server.next() as far:
        near.settimeout(30)
        far.settimeout(30)
        yield near, far


def code_of(proxy, host, port):
    try:
        socks.connect(proxy, host, port).close()
    except socks.SocksError as error:
        return error.code
    return 0


def carry(source, sink, data):
    """Sends all of it and half-closes; what arrived, and how long that took."""
    def send():
        source.sendall(data)
        source.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    began = time.monotonic()
    sender.start()
    arrived = hashlib.sha256()
    while piece := sink.recv(1 << 16):
        arrived.update(piece)
    seconds = time.monotonic() - began
    sender.join()
    assert arrived.digest() == hashlib.sha256(data).digest(), "nothing is lost or altered"
    return seconds


def test_rate_holds_in_each_direction_and_loses_nothing(place):
    client = place.user("slow", "--rate", "1MiB/s")
    data = os.urandom(3 * MIB)
    with servers.accepting() as server, stream(client.proxy, server) as (near, far):
        assert carry(far, near, data) >= 3 - BURST_SECONDS
        # What the exit holds unread does not count as carried: the socket's buffer at the far end may.
        assert carry(near, far, data) >= 3 - BURST_SECONDS


def test_streams_of_one_rate_have_their_turns(place):
    """Eight downloads share it; each gets a part of every second, and together no more than the rate."""
    client = place.user("shared", "--rate", "1MiB/s")
    with servers.accepting() as server, contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(stream(client.proxy, server)) for _ in range(8)]
        for near, far in pairs:
            far.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    far.send(bytes(1 << 16))
        got = [0] * len(pairs)

        def read(index, near, since, until):
            while time.monotonic() < until:
                near.settimeout(max(0.01, until - time.monotonic()))
                with contextlib.suppress(socket.timeout):
                    size = len(near.recv(1 << 16))
                    got[index] += size if time.monotonic() >= since else 0

        # The first to have bytes got what may come at once; turns are what comes after that.
        since = time.monotonic() + 1
        readers = [threading.Thread(target=read, args=(i, near, since, since + 3)) for i, (near, _) in enumerate(pairs)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert sum(got) <= (3 + 2 * BURST_SECONDS) * MIB
        assert min(got) >= max(got) / 3, got


def test_another_rate_reaches_who_waits(place):
    client = place.user("waiting", "--rate", "2KiB/s")
    with servers.accepting() as server, stream(client.proxy, server) as (near, far):
        far.sendall(bytes(64 * 1024))
        assert socks.read_exactly(near, 2048)
        assert limit(place, "waiting", "--rate", "none") == "no rules and limits of its own"
        began = time.monotonic()
        assert socks.read_exactly(near, 62 * 1024)
        assert time.monotonic() - began < 10, "at 2 KiB a second it would be 31 s"


def test_max_streams_of_all_devices_together(place):
    link = make_invite(place, "few", "--max-streams", "3")
    with servers.accepting() as server, contextlib.ExitStack() as stack:
        clients = []
        for name in ("few1", "few2"):
            clients.append(start_client(place.state.parent, link, name=name))
            stack.callback(clients[-1].stop)
        held = [stack.enter_context(stream(clients[i % 2].proxy, server)) for i in range(3)]
        for client in clients:
            assert code_of(client.proxy, "127.0.0.1", server.port) == 1
        place.says("stream refused: this invite's max-streams are in use")
        for end in held[0]:
            end.close()
        wait_until(lambda: code_of(clients[1].proxy, "127.0.0.1", server.port) == 0, 5, "a place is free again")


def test_new_streams_beyond_the_rate_wait_for_their_turn(place):
    client = place.user("eager", "--stream-rate", "5/s")
    with servers.accepting() as server:
        began = time.monotonic()
        codes = []
        openers = [threading.Thread(target=lambda: codes.append(code_of(client.proxy, "127.0.0.1", server.port)))
                   for _ in range(15)]
        for opener in openers:
            opener.start()
        for opener in openers:
            opener.join()
        assert codes == [0] * 15
        assert time.monotonic() - began >= 2 - 0.1, "five at once, ten at five a second"


def test_quota(place, workspace):
    """Used up: running streams end, new ones are refused and say why. Raised: they work again. It is kept on disk."""
    client = place.user("little", "--quota", "1MiB")
    neighbour = place.user("neighbour")
    with servers.accepting() as server, stream(client.proxy, server) as (idle, _), \
            stream(neighbour.proxy, server) as (calm, calm_far):
        with stream(client.proxy, server) as (near, far):
            sender = threading.Thread(target=send_much, args=(far,))
            sender.start()
            arrived = 0
            with pytest.raises(OSError):
                while piece := near.recv(1 << 16):
                    arrived += len(piece)
                raise OSError("closed")
            assert MIB / 2 <= arrived <= MIB + 2 * (1 << 16)
            sender.join()
        idle.settimeout(5)
        with pytest.raises(ConnectionResetError):
            idle.recv(1)
        assert code_of(client.proxy, "127.0.0.1", server.port) == socks.NOT_ALLOWED
        proxy = urllib.request.ProxyHandler({"http": f"http://{client.proxy_text}"})
        with pytest.raises(urllib.error.HTTPError) as page:
            urllib.request.build_opener(proxy).open(f"http://127.0.0.1:{server.port}/", timeout=10)
        assert page.value.code == 403 and "quota is used up" in page.value.read().decode()
        place.says("stream refused: this invite's quota is used up")
        client.says("quota is used up")
        assert client.stderr().count("quota is used up") == 1, "its user is told, and not over and over"
        calm.sendall(b"me")
        assert calm_far.recv(2) == b"me", "nobody else notices"

        limit(place, "little", "--quota", "2MiB")
        wait_until(lambda: code_of(client.proxy, "127.0.0.1", server.port) == 0, 5, "more quota, more streams")
        assert client.alive()


def send_much(sock):
    with contextlib.suppress(OSError):
        sock.sendall(bytes(8 * MIB))


def test_what_was_used_outlives_the_exit(tmp_path, programs):
    relay = start_relay(tmp_path)
    programs.append(relay)
    exit_peer = start_exit(tmp_path, relay.url)
    programs.append(exit_peer)
    client = start_client(tmp_path, make_invite(exit_peer, "alice", "--quota", "200KiB"), name="alice")
    programs.append(client)
    with servers.accepting() as server:
        with stream(client.proxy, server) as (near, far):
            near.sendall(bytes(100_000))
            assert socks.read_exactly(far, 100_000)
            far.sendall(bytes(50_000))
            assert socks.read_exactly(near, 50_000)
        exit_peer.stop()
        assert listed(exit_peer, "alice")["used_bytes"] == 150_000 + 64, "and 64 for the connection"
        again = start_exit(tmp_path, relay.url, name="again", state=exit_peer.state)
        programs.append(again)
        again.state = exit_peer.state
        wait_until(lambda: code_of(client.proxy, "127.0.0.1", server.port) == 0, 20, "the client is back")
        with stream(client.proxy, server) as (near, far):
            near.sendall(bytes(100_000))
            with pytest.raises(OSError):
                while near.recv(1):
                    pass
                raise OSError("closed")
        assert code_of(client.proxy, "127.0.0.1", server.port) == socks.NOT_ALLOWED
        limit(again, "alice", "--reset-used")
        wait_until(lambda: code_of(client.proxy, "127.0.0.1", server.port) == 0, 5, "counted from 0")


def test_rules_of_one_invite(place):
    client = place.user("ruled", "--allow", "127.0.0.7", "--deny", "*:7777", "--deny", "127.0.0.1")
    other = place.user("unruled")
    with servers.closed_port() as port:
        assert code_of(client.proxy, "127.0.0.7", port) == socks.REFUSED
        assert code_of(other.proxy, "127.0.0.7", port) == socks.NOT_ALLOWED
        assert code_of(client.proxy, "127.0.0.1", port) == socks.NOT_ALLOWED
        assert code_of(other.proxy, "127.0.0.1", port) == socks.REFUSED
        assert code_of(client.proxy, "127.0.0.7", 7777) == socks.NOT_ALLOWED
        place.says("this invite's --deny 127.0.0.1")
        place.says("this invite's --deny *:7777")
        assert "127.0.0.7" not in place.stderr()
        limit(place, "ruled", "--allow", "none", "--deny", "none")
        wait_until(lambda: code_of(client.proxy, "127.0.0.1", port) == socks.REFUSED, 5, "the rules are gone")
        assert code_of(client.proxy, "127.0.0.7", port) == socks.NOT_ALLOWED


def test_sighup_reads_the_rules_again(tmp_path, programs):
    """A stream that is up stays up; a file with an error changes nothing."""
    relay = start_relay(tmp_path)
    programs.append(relay)
    config = tmp_path / "exit.toml"
    config.write_text('allow = ["127.0.0.1"]\n')
    exit_peer = start_exit(tmp_path, relay.url, "--config", config, allowed=())
    programs.append(exit_peer)
    client = start_client(tmp_path, exit_peer.link())
    programs.append(client)

    def reload(text, says, times=1):
        config.write_text(text)
        exit_peer.process.send_signal(signal.SIGHUP)
        wait_until(lambda: exit_peer.stderr().count(says) == times, 5, says)

    with servers.accepting() as server, stream(client.proxy, server) as (near, far):
        assert code_of(client.proxy, "127.0.0.2", server.port) == socks.NOT_ALLOWED
        reload('allow = ["127.0.0.2"]\ndeny = ["*:7777"]\n', "were read again")
        assert code_of(client.proxy, "127.0.0.1", server.port) == socks.NOT_ALLOWED
        assert code_of(client.proxy, "127.0.0.2", server.port) == socks.REFUSED
        assert code_of(client.proxy, "127.0.0.2", 7777) == socks.NOT_ALLOWED
        for wrong in ('allow = ["127.0.0.300"]\n', "no toml", 'unknown = "1"\n'):
            reload(wrong, "stay as they were", times=1 + exit_peer.stderr().count("stay as they were"))
            assert code_of(client.proxy, "127.0.0.2", server.port) == socks.REFUSED
        near.sendall(b"still")
        assert socks.read_exactly(far, 5) == b"still"
    assert exit_peer.alive()


def test_sighup_changes_how_long_flows_are_kept_and_how_many(tmp_path, programs):
    relay = start_relay(tmp_path)
    programs.append(relay)
    config = tmp_path / "exit.toml"
    config.write_text("")
    exit_peer = start_exit(tmp_path, relay.url, "--config", config)
    programs.append(exit_peer)
    client = start_client(tmp_path, exit_peer.link())
    programs.append(client)
    with udp.UdpServer() as echo, udp.Association(client.proxy) as association:
        association.ask(*echo.address, b"before")
        config.write_text('flow-timeout = "1s"\nmax-flows = 0\n')
        exit_peer.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "were read again" in exit_peer.stderr(), 5, "the file is read")
        association.ask(*echo.address, b"after")
        assert echo.seen[0] == echo.seen[1], "a flow that is there stays"
        (session,) = status(exit_peer)["exit"]["sessions"]
        assert session["open_flows"] == 1
        wait_until(lambda: status(exit_peer)["exit"]["sessions"][0]["open_flows"] == 0, 10, "it is closed after 1 s")
    late = start_client(tmp_path, exit_peer.link(), name="late")
    programs.append(late)
    with pytest.raises(socks.SocksError):
        udp.Association(late.proxy)


def test_sighup_without_a_config_file_ends_the_exit(tmp_path, programs):
    relay = start_relay(tmp_path)
    programs.append(relay)
    exit_peer = start_exit(tmp_path, relay.url)
    programs.append(exit_peer)
    exit_peer.process.send_signal(signal.SIGHUP)
    assert exit_peer.wait(10) == 0
    exit_peer.forget()
