# SPDX-License-Identifier: MIT
"""What ends a session, and what comes after: an exit that restarts, two exits in one room of which one dies, a session
that stays without a lane. Streams are reset then, at both ends and soon, and nothing hangs."""
import contextlib
import signal
import socket
import time

import pytest
from harness import servers, socks
from harness.chain import LOST, SERVED_WITHIN_SECONDS, assert_serves
from harness.outages import pause, unused_port
from harness.process import CLIENT_PROGRAM, Program, ReadyProgram, run, wait_until
from harness.tunnel import start_client, start_exit, start_relay

# The client's pause after the exit is back: with 1 or 2 failed attempts at most 0.8 s, then the new session.
RESET_WITHIN_SECONDS = 2


class End:
    """One end of a stream."""

    def __init__(self, sock):
        self.sock = sock

    def over_after(self, seconds):
        """How it ended by then: "reset", "eof", or "open" when it did not."""
        self.sock.settimeout(max(seconds, 0.01))
        try:
            while self.sock.recv(65536):
                pass
            return "eof"
        except ConnectionResetError:
            return "reset"
        except socket.timeout:
            return "open"

    def still_open(self):
        self.sock.setblocking(False)
        try:
            return self.sock.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False


@contextlib.contextmanager
def stream(chain):
    """The near and the far end of a stream that has carried a byte each way."""
    with servers.accepting() as server:
        near = socks.connect(chain.proxy, "127.0.0.1", server.port)
        far = server.next()
        with near, far:
            near.sendall(b"a")
            assert far.recv(1) == b"a"
            far.sendall(b"b")
            assert near.recv(1) == b"b"
            yield End(near), End(far)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_exit_restarts(new_chain, sig):
    """Its sessions are gone: an idle stream and one in the middle of a transfer are reset as soon as it is back, and a
    connection that was begun in between is served."""
    chain = new_chain()
    with stream(chain) as (idle, _), stream(chain) as (busy, _):
        busy.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                busy.sock.send(bytes(65536))  # until nobody takes any more: the far end does not read
        chain.exit.process.send_signal(sig)
        chain.exit.wait(10)
        chain.exit.forget()
        with servers.accepting() as server:
            between = socks.greet(chain.proxy)
            between.sendall(socks.request("127.0.0.1", server.port))
            chain.start_exit("exit-again", state=chain.exit.state)
            back = time.monotonic()
            assert idle.over_after(RESET_WITHIN_SECONDS) in ("reset", "eof")
            assert busy.over_after(back + RESET_WITHIN_SECONDS - time.monotonic()) == "reset"
            with between:
                assert socks.read_reply(between) == 0
                between.sendall(b"between")
                with server.next() as far:
                    assert socks.read_exactly(far, 7) == b"between"
    assert_serves(chain.proxy)
    assert chain.client.alive()


def test_exit_restarts_in_an_outage_of_the_relay(new_chain):
    """The client learns of it only when there is a relay again."""
    chain = new_chain()
    with stream(chain) as (near, _):
        chain.relay.kill()
        chain.client.says(LOST, seconds=5)
        chain.exit.kill()
        assert near.still_open(), "it may yet go on"
        chain.relay.start()
        chain.start_exit("exit-again", state=chain.exit.state)
        assert near.over_after(SERVED_WITHIN_SECONDS) in ("reset", "eof")
    assert_serves(chain.proxy)


@pytest.mark.parametrize("fate, within", [(signal.SIGKILL, 5), (signal.SIGSTOP, 8)], ids=["killed", "frozen"])
def test_two_exits_in_one_room(new_chain, fate, within):
    """New sessions go to the one that is there. The relay gives a frozen one 3 s to take a pair."""
    chain = new_chain()
    other = chain.start_exit("other", state=chain.exit.state)
    assert str(other.link()) == str(chain.exit.link())
    for client in (chain.client, chain.start_client("early")):
        assert_serves(client.proxy)
    chain.exit.process.send_signal(fate)
    for number in range(3):  # an invite has places for 5 devices
        began = time.monotonic()
        late = chain.start_client(f"late{number}")
        assert time.monotonic() - began < within
        assert_serves(late.proxy)
    assert other.alive()


def test_sessions_of_a_dead_exit_move_to_the_other(new_chain):
    """Clients of both exits; whichever of them lost its exit has a session with the other one soon."""
    chain = new_chain()
    chain.start_exit("other", state=chain.exit.state)
    clients = [chain.client, *(chain.start_client(f"client{number}") for number in range(3))]
    chain.exit.kill()
    for client in clients:
        assert_serves(client.proxy)


ORPHAN_SECONDS = 3


def test_session_without_a_lane_is_reset_at_both_ends(new_chain):
    """No relay for --orphan-timeout: not before that, and then at both ends by themselves."""
    chain = new_chain(exit_options=("--orphan-timeout", str(ORPHAN_SECONDS)))
    with stream(chain) as (near, far):
        chain.relay.kill()
        chain.client.says(LOST, seconds=5)
        lost = time.monotonic()
        pause(ORPHAN_SECONDS - 1)
        assert near.still_open() and far.still_open(), "a lane may yet come"
        assert near.over_after(lost + ORPHAN_SECONDS + 2 - time.monotonic()) == "reset"
        assert far.over_after(lost + ORPHAN_SECONDS + 2 - time.monotonic()) in ("reset", "eof")
    chain.relay.start()
    assert_serves(chain.proxy)


def test_session_is_resumed_just_before_its_time_is_over(new_chain):
    """The same, with a lane in time: the stream goes on."""
    soon = ("--reconnect-max", "1s")
    chain = new_chain(exit_options=("--orphan-timeout", "8", *soon), client_options=soon)
    with stream(chain) as (near, far):
        chain.relay.kill()
        chain.client.says(LOST, seconds=5)
        pause(4)
        chain.relay.start()
        near.sock.settimeout(SERVED_WITHIN_SECONDS)
        far.sock.settimeout(SERVED_WITHIN_SECONDS)
        near.sock.sendall(b"still here")
        assert socks.read_exactly(far.sock, 10) == b"still here"
        pause(5)  # the timer of the loss is not running any more
        far.sock.sendall(b"me too")
        assert socks.read_exactly(near.sock, 6) == b"me too"


def test_a_second_resolver_is_asked_when_the_first_is_silent(tmp_path, programs, dns):
    dns.names["second.exit-only.test"] = ["127.0.0.1"]
    relay = start_relay(tmp_path)
    programs.append(relay)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, servers.accepting() as server:
        silent.bind(("127.0.0.1", 0))
        first = "{}:{}".format(*silent.getsockname())
        exit_peer = start_exit(tmp_path, relay.url, "--resolver", dns.address, resolver=first)
        programs.append(exit_peer)
        client = start_client(tmp_path, exit_peer.link())
        programs.append(client)
        with socks.connect(client.proxy, "second.exit-only.test", server.port, timeout=20), server.next():
            assert silent.recv(1500), "and the first one was asked before"


@pytest.mark.parametrize("mode, door", [("socks5", "--listen"), ("p2p-client", "--socks")])
def test_an_exit_that_is_offline_is_waited_for(tmp_path, programs, mode, door):
    """As a relay that is away is, and said at each attempt; programs may connect meanwhile."""
    relay = start_relay(tmp_path)
    programs.append(relay)
    exit_peer = start_exit(tmp_path, relay.url)
    assert exit_peer.stop() == 0
    link_file = tmp_path / "exit.link"
    client = ReadyProgram("client", [CLIENT_PROGRAM, mode, door, "127.0.0.1:0", "--link-file", link_file, "--state-dir",
                                     tmp_path / "client-state", "--reconnect-max", "1s"], tmp_path, wait=False)
    programs.append(client)
    wait_until(lambda: client.stderr().count("no exit peer is registered in this room; start it") > 1, 30, "two attempts")
    client.says("trying again")
    assert client.alive()
    programs.append(start_exit(tmp_path, relay.url, name="again", state=exit_peer.state))
    client.wait_ready()
    assert_serves(client.address())
    assert client.stop() == 0


def test_a_relay_with_a_mistake_in_its_url_replaces_nothing(tmp_path, authority, programs):
    """What an exit remembers for later starts and invites is a relay that took its room."""
    relay = start_relay(tmp_path, authority.issue())
    programs.append(relay)
    first = start_exit(tmp_path, relay.url, ca_file=authority.ca_file)
    assert first.stop() == 0
    before = (first.state / "relays.json").read_bytes()
    wrong = Program("wrong", [CLIENT_PROGRAM, "exit-peer", "--relay", f"wss://localhost:{unused_port()}", "--state-dir", first.state,
                              "--relay-ca", authority.ca_file], tmp_path)
    programs.append(wrong)
    wait_until(lambda: "trying again" in wrong.stderr(), 20, "it tries, and says so")
    assert (first.state / "relays.json").read_bytes() == before
    invited = run([CLIENT_PROGRAM, "invite", "alice", "--state-dir", first.state])
    assert f"localhost:{relay.port}/" in invited.stdout, invited.stderr
    assert wrong.stop() == 0
    assert wrong.stdout() == "", "no link to a relay that nobody reached"
