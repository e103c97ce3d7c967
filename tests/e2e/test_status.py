# SPDX-License-Identifier: MIT
"""`status`: what a running client or exit says about itself moves as it should, whom it answers, and what it does not
tell."""
import json
import os
import signal
import socket
import stat
import subprocess

import pytest
from harness import socks
from harness.chain import assert_serves
from harness.process import CLIENT_PROGRAM, Program, run, wait_until
from harness.transfer import MIB, download, upload, write_random
from harness.tunnel import client_command, make_invite, start_client
from harness.watching import NOT_UP, UP, WRONG_USAGE, ask, status, wait_for_status

# Record headers, tags and frames, credits and acknowledgements, against what the streams carried.
OVERHEAD = 0.05


def sockets_of(program):
    return sorted((program.state / "control").glob("*.sock"))


@pytest.fixture
def chain(new_chain):
    return new_chain()


def test_a_clients_path_lanes_and_front_door(chain):
    found = status(chain.client)
    assert (found["mode"], found["state"], found["pid"]) == ("socks5", "up", chain.client.pid)
    client = found["client"]
    assert client["state"] == "up" and client["counters"]["sessions"] == 1 and client["last_error"] is None
    (lane,) = client["session"]["lanes"]
    assert lane["path"]["relay_url"] == chain.relay.url
    host, port = lane["path"]["address"].rsplit(":", 1)
    assert host in ("127.0.0.1", "[::1]") and int(port) == chain.relay.port
    assert lane["path"]["proxy"] is None
    assert lane["path"]["tls"]["version"] == "TLSv1.3" and lane["path"]["tls"]["pinned"] is False
    assert 0 < lane["rtt_milliseconds"] < 5_000
    assert found["front_doors"] == [{"kind": "proxy", "address": chain.client.proxy_text, "connections": 0}]
    exit_peer = status(chain.exit)
    assert exit_peer["mode"] == "exit-peer" and exit_peer["state"] == "up"
    assert exit_peer["exit"]["instance"] == client["exit_instance"]
    assert exit_peer["exit"]["room"] == chain.exit.link().room
    assert exit_peer["exit"]["relays"][0]["registered"] is True
    (session,) = exit_peer["exit"]["sessions"]
    assert session["invite"] == "default" and len(session["lanes"]) == 1


def test_bytes_and_streams_are_those_of_the_transfers(chain, web):
    sent_before = status(chain.client)["client"]["traffic"]
    down, up = web.root / "status-down", chain.directory / "status-up"
    digests = write_random(down, 8 * MIB), write_random(up, 4 * MIB)
    download(chain.directory, chain.proxy, web, down).assert_complete(digests[0], 60)
    upload(chain.directory, chain.proxy, web, up).assert_complete(digests[1], 60)
    traffic = wait_for_status(chain.client, lambda found: found["client"]["session"]["open_streams"] == 0, 10,
                              "streams are over")["client"]["traffic"]
    assert traffic["streams"] - sent_before["streams"] == 2
    for way, size in (("received", 8 * MIB), ("sent", 4 * MIB)):
        assert size <= traffic[f"stream_{way}_bytes"] <= size + 4096  # HTTP's header
        assert size <= traffic[f"lane_{way}_bytes"] <= size * (1 + OVERHEAD) + 65536
    exit_peer = status(chain.exit)["exit"]
    assert exit_peer["counters"]["connected_streams"] == 2
    for ours, theirs in (("sent", "received"), ("received", "sent")):
        assert exit_peer["traffic"][f"stream_{ours}_bytes"] == traffic[f"stream_{theirs}_bytes"]


@pytest.mark.native_relay("its death is told in other words by the Worker's runtime")
def test_a_relay_that_is_away_and_back(chain):
    chain.relay.kill()
    away = wait_for_status(chain.client, lambda found: found["state"] == "orphaned", 20, "client is orphaned")
    assert ask(chain.client.state).returncode == NOT_UP
    assert away["client"]["session"]["lanes"] == [] and away["client"]["session"]["orphaned"] is True
    refused = wait_for_status(chain.client, lambda found: found["client"]["counters"]["failed_attempts"] > 0, 20,
                              "an attempt failed")["client"]["last_error"]
    assert "Connection refused" in refused["text"] and f"localhost:{chain.relay.port}" in refused["text"]
    exit_peer = wait_for_status(chain.exit, lambda found: found["state"] == "connecting", 20, "exit is not registered")
    assert exit_peer["exit"]["relays"][0]["registered"] is False and exit_peer["exit"]["orphans"] == 1
    assert exit_peer["exit"]["relays"][0]["last_error"]["text"]
    text = ask(chain.client.state).stdout
    assert "orphaned for" in text and "Connection refused" in text

    chain.relay.start()
    back = wait_for_status(chain.client, lambda found: found["state"] == "up", 30, "client is up again")["client"]
    counters = back["counters"]
    assert (counters["reconnects"], counters["resumes"], counters["sessions"]) == (1, 1, 1)
    assert counters["lanes_lost"] == 1
    assert status(chain.exit)["exit"]["counters"]["resumes"] == 1
    assert_serves(chain.proxy)


@pytest.mark.native_relay("the Worker has no --rotate-bytes below its own least")
def test_key_epochs_go_up_and_lanes_are_renewed(new_tunnel, web):
    tunnel = new_tunnel(relay_options=("--rotate-bytes", "64KiB"), client_options=("--lanes", "3"))
    tunnel.client.says("a lane joined the session", seconds=20, times=2)
    source = web.root / "epochs"
    digest = write_random(source, 4 * MIB)
    for number in range(3):
        download(tunnel.directory, tunnel.proxy, web, source, name=f"epochs{number}").assert_complete(digest, 60)
    client = status(tunnel.client)["client"]
    lanes = client["session"]["lanes"]
    assert len(lanes) == client["lanes_wanted"] == 3
    busy = max(lanes, key=lambda lane: lane["received_bytes"])
    assert busy["receiving_epoch"] > 0 and busy["sending_epoch"] > 0
    assert sum(lane["received_bytes"] for lane in lanes) == client["traffic"]["lane_received_bytes"]
    text = ask(tunnel.client.state).stdout
    assert "lanes        3 of 3" in text


def test_renewals_are_counted(new_chain):
    chain = new_chain(client_options=("--renew-after", "1s"))
    client = wait_for_status(chain.client, lambda found: found["client"]["counters"]["renewals"] > 0, 30,
                             "a renewal")["client"]
    assert client["counters"]["lanes_lost"] == 0 and client["counters"]["reconnects"] == 0


def test_before_the_first_session_it_says_why_not(tmp_path, programs, new_chain):
    chain = new_chain()
    link = chain.exit.link()
    chain.exit.stop()
    chain.relay.kill()
    client = Program("early", client_command(tmp_path, link, ca_file=chain.authority.ca_file, name="early"), tmp_path)
    programs.append(client)
    client.state = tmp_path / "early-state"
    wait_until(lambda: sockets_of(client), 20, "control socket")
    found = wait_for_status(client, lambda now: now["client"]["last_error"], 20, "a reason")
    assert found["state"] == "connecting" and found["client"]["session"] is None
    assert "Connection refused" in found["client"]["last_error"]["text"]


def test_two_clients_at_once_and_none(chain, programs):
    state = chain.client.state
    second = start_client(chain.directory, chain.exit.link(), ca_file=chain.authority.ca_file, name="second",
                          state=state)
    programs.append(second)
    asked = ask(state)
    assert asked.returncode == WRONG_USAGE
    paths = [line.split()[1] for line in asked.stderr.splitlines() if line.startswith("  --control ")]
    assert len(paths) == 2
    pids = {json.loads(ask(state, "--json", "--control", path).stdout)["pid"] for path in paths}
    assert pids == {chain.client.pid, second.pid}
    assert second.stop() == 0
    assert status(chain.client)["pid"] == chain.client.pid
    assert chain.client.stop() == 0
    none = ask(state)
    assert none.returncode == NOT_UP and "nothing runs" in none.stderr and "--state-dir" in none.stderr
    assert list((state / "control").iterdir()) == []


def test_a_socket_that_a_killed_client_left_is_replaced(chain, programs):
    path = chain.directory / "control.sock"
    options = ("--control", path)

    def start(name):
        program = start_client(chain.directory, chain.exit.link(), *options, ca_file=chain.authority.ca_file, name=name)
        programs.append(program)
        return program

    first = start("first")
    taken = run(client_command(chain.directory, chain.exit.link(), *options, ca_file=chain.authority.ca_file,
                               name="taken"))
    assert taken.returncode == WRONG_USAGE and "a running program has it" in taken.stderr
    assert run([CLIENT_PROGRAM, "status", "--control", path]).returncode == UP
    first.kill()
    assert path.is_socket()
    gone = run([CLIENT_PROGRAM, "status", "--control", path])
    assert gone.returncode == NOT_UP and "no program serves" in gone.stderr
    second = start("second")
    found = json.loads(run([CLIENT_PROGRAM, "status", "--json", "--control", path]).stdout)
    assert found["pid"] == second.pid
    assert second.stop() == 0 and not path.exists()


def test_it_answers_its_own_user_alone(chain):
    (path,) = sockets_of(chain.client)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    # Where the kernel's word on the peer is all there is: a stranger gets in by the file's mode, and no answer.
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    parents = [parent for parent in path.parents if parent.stat().st_mode & 0o001 == 0]
    modes = {parent: stat.S_IMODE(parent.stat().st_mode) for parent in parents}
    try:
        for parent in parents:
            parent.chmod(0o711)
        refused = _ask_as_nobody(path)
        assert refused == "PermissionError"
        path.chmod(0o666)
        assert _ask_as_nobody(path) in ("b''", "ConnectionResetError", "BrokenPipeError")
    finally:
        for parent, mode in modes.items():
            parent.chmod(mode)
    path.chmod(0o600)
    assert status(chain.client)["state"] == "up"


def _ask_as_nobody(path):
    code = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect("/proc/self/fd/%s/%s" % (sys.argv[1], sys.argv[2]))
    s.sendall(b'{"request":"status"}\\n')
    print(s.recv(100))
except OSError as failure:
    print(type(failure).__name__)
"""
    directory = os.open(path.parent, os.O_PATH)
    try:
        asked = subprocess.run(["/usr/bin/python3", "-c", code, str(directory), path.name], pass_fds=[directory],
                               capture_output=True, text=True, timeout=30)
    finally:
        os.close(directory)
    assert asked.returncode == 0, asked.stderr
    return asked.stdout.strip()


def test_hostile_askers_leave_the_client_well(chain):
    (path,) = sockets_of(chain.client)
    directory = os.open(path.parent, os.O_PATH)
    held = []
    try:
        for number in range(40):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(15)
            try:  # which also fails when the backlog is full
                sock.connect(f"/proc/self/fd/{directory}/{path.name}")
                sock.sendall((b"", b"x" * 100_000, b"\x00\xff\n", b"{" * 2000 + b"\n")[number % 4])
            except OSError:
                pass
            held.append(sock)
        assert_serves(chain.proxy)
    finally:
        os.close(directory)
        for sock in held:
            sock.close()
    wait_until(lambda: ask(chain.client.state).returncode == UP, 10, "status answers again")


def test_a_broken_place_for_the_socket_does_not_stop_a_client(chain, programs):
    state = chain.directory / "odd-state"
    state.mkdir(mode=0o700)
    (state / "control").write_text("a file, not a directory")
    client = start_client(chain.directory, chain.exit.link(), ca_file=chain.authority.ca_file, name="odd", state=state)
    programs.append(client)
    client.says("no control socket")
    assert_serves(client.proxy)


def test_no_socket_when_none_is_wanted(chain, programs):
    client = start_client(chain.directory, chain.exit.link(), "--control", "none", ca_file=chain.authority.ca_file,
                          name="quiet")
    programs.append(client)
    assert not (client.state / "control").exists()


def test_neither_secrets_nor_destinations_are_in_it(chain, web):
    link = make_invite(chain.exit, "alice")
    client = start_client(chain.directory, link, "--user", "carol:hunter2-secret", ca_file=chain.authority.ca_file,
                          name="alice")
    try:
        with pytest.raises(socks.SocksError):
            socks.connect(chain.proxy, "127.77.66.55", 4321)
        with socks.connect(chain.proxy, "127.0.0.1", web.http_port) as running:
            running.sendall(b"GET /unspoken-name HTTP/1.1\r\n")  # and no end of it yet
            wait_for_status(chain.client, lambda found: found["client"]["session"]["open_streams"] == 1, 10, "a stream")
            said = "".join(ask(program.state, *options).stdout for program in (chain.client, chain.exit, client)
                           for options in ((), ("--json",)))
    finally:
        client.stop()
    assert "alice" in said
    assert "not_allowed" in said  # the refused stream is counted
    for hidden in ("127.77.66.55", "4321", f":{web.http_port}", "unspoken-name", "hunter2", "carol", link.fragment(),
                   str(link)):
        assert hidden not in said, hidden
    # The room is public and the exit's own; the client's owner has it in the link.
    assert link.room not in "".join(ask(program.state, "--json").stdout for program in (chain.client,))


def test_watch_goes_on_until_it_is_interrupted(chain):
    watching = Program("watch", [CLIENT_PROGRAM, "status", "--state-dir", chain.client.state, "--json", "--watch"],
                       chain.directory)
    wait_until(lambda: watching.stdout().count("\n") >= 2, 15, "two answers")
    watching.process.send_signal(signal.SIGINT)
    assert watching.wait(5) == -signal.SIGINT
    watching.forget()
    for line in watching.stdout().splitlines():
        assert json.loads(line)["state"] == "up"


@pytest.mark.parametrize("options", [("--unknown",), ("extra",), ("--state-dir", "")])
def test_wrong_usage(options):
    assert run([CLIENT_PROGRAM, "status", *options]).returncode == WRONG_USAGE
