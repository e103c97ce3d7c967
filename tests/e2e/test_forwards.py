# SPDX-License-Identifier: MIT
"""-L and -R with real programs: Redis behind the exit, curl at the exit's port to a web server here; what outlives a
lost relay and an exit that is started again; refusals that say why; how connections end; the config file; rules that
change. For UDP: test_udp_forwards.py."""
import contextlib
import json
import select
import shutil
import signal
import socket
import time

import pytest
from harness import namespace, servers, socks
from harness.chain import LOST, RESUMED
from harness.p2p import BACK_WITHIN_SECONDS, free_port, p2p_command
from harness.process import CLIENT_PROGRAM, Program, ReadyProgram, run, wait_until

REQUEST, RESPONSE = b"request " * 10_000, b"response " * 10_000


@pytest.fixture
def redis(tmp_path, programs):
    """A Redis server on a port of its own; `.port`."""
    if shutil.which("redis-server") is None:
        pytest.fail("redis-server is missing; scripts/setup installs it")
    port = free_port()
    server = Program("redis", ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path],
                     tmp_path)
    programs.append(server)
    wait_for_words_in_stdout(server, "Ready to accept connections")
    server.port = port
    return server


def wait_for_words_in_stdout(program, words):
    wait_until(lambda: words in program.stdout(), 15, f"{program.name} says {words!r}")


def redis_cli(*arguments):
    done = run(["redis-cli", *arguments])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def curl(url, *options):
    return run(["curl", "-sS", "--max-time", "20", *options, url])


def test_redis_behind_the_exit_by_port_and_by_unix_socket(tunnel, start_p2p, redis, tmp_path):
    path = tmp_path / "redis.sock"
    client = start_p2p(tunnel, "-L", f"0:127.0.0.1:{redis.port}", "--local-forward", f"{path}:127.0.0.1:{redis.port}")
    host, port = client.address(0)
    assert client.addresses[1] == str(path)
    assert redis_cli("-h", host, "-p", str(port), "set", "key", "value") == "OK"
    assert redis_cli("-s", str(path), "get", "key") == "value"
    assert path.stat().st_mode & 0o077 == 0, "nobody else's"
    assert client.stop() == 0
    assert not path.exists()


def test_a_unix_socket_that_was_left_behind_is_replaced_and_a_file_is_not(tunnel, start_p2p, redis, tmp_path):
    path = tmp_path / "left.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    client = start_p2p(tunnel, "-L", f"{path}:127.0.0.1:{redis.port}")
    assert redis_cli("-s", str(path), "ping") == "PONG"
    client.stop()
    path.write_text("mine")
    refused = run(p2p_command(tunnel, "-L", f"{path}:127.0.0.1:{redis.port}", name="second"))
    assert refused.returncode == 1
    assert "can't listen on" in refused.stderr
    assert path.read_text() == "mine"


def test_the_exit_s_policy_holds_for_forwards(tunnel, start_p2p):
    client = start_p2p(tunnel, "-L", "0:127.0.0.2:80")
    with socket.create_connection(client.address()) as near:
        with pytest.raises(ConnectionResetError):
            near.recv(1)
    client.says("not allowed by the exit's policy", seconds=5)


def test_curl_at_the_exit_reaches_a_server_here(new_chain, start_p2p, web, tmp_path):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    (web.root / "forwarded").write_text("from here")
    client = start_p2p(chain, "-R", f"{port}:127.0.0.1:{web.http_port}")
    assert client.addresses == [f"127.0.0.1:{port}"]
    assert curl(f"http://127.0.0.1:{port}/forwarded").stdout == "from here"
    assert client.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_reverse_to_a_unix_socket_and_any_port(new_chain, start_p2p, tmp_path):
    low = free_port()
    chain = new_chain(exit_options=("--allow-listen", f"{low}-{min(low + 50, 65535)}"))
    path = tmp_path / "here.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        client = start_p2p(chain, "-R", f"0:{path}")
        with socket.create_connection(client.address()) as near:
            far, _ = listener.accept()
            with far:
                near.sendall(b"question")
                assert socks.read_exactly(far, 8) == b"question"
                far.sendall(b"answer")
                assert socks.read_exactly(near, 6) == b"answer"


def is_reset(sock):
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


def test_a_unix_socket_that_was_closed_lets_its_stream_go_after_a_minute(new_chain, start_p2p, tmp_path):
    """As the kernel does it for TCP: a program that has closed gets no answer any more, and one that is owed to it may
    take its time. For both kinds of forwards."""
    low = free_port()
    chain = new_chain(exit_options=("--allow-listen", f"{low}-{min(low + 50, 65535)}"))
    local, remote = tmp_path / "local.sock", tmp_path / "remote.sock"
    with contextlib.ExitStack() as held:
        server = held.enter_context(servers.accepting())
        listener = held.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(remote))
        listener.listen()
        client = start_p2p(chain, "-L", f"{local}:127.0.0.1:{server.port}", "-R", f"0:{remote}")
        program = held.enter_context(socket.socket(socket.AF_UNIX))
        program.connect(str(local))
        behind_local = held.enter_context(server.next())
        behind_remote = held.enter_context(socket.create_connection(client.address(1), 10))
        accepted, _ = listener.accept()
        begun = time.monotonic()
        for closes, mute in ((program, behind_local), (accepted, behind_remote)):
            closes.sendall(b"bye")
            closes.close()
            assert socks.read_exactly(mute, 3) == b"bye"
            assert mute.recv(1) == b""
        wait_until(lambda: is_reset(behind_local) and is_reset(behind_remote), 150, "both streams are let go")
        assert time.monotonic() - begun > 45, "an answer may take its time"


@pytest.mark.parametrize("bind, advice", [("8099", "--allow-listen 8099"), ("0.0.0.0:8088", "--allow-listen 0.0.0.0:8088"),
                                          ("80", "--allow-listen 80")])
def test_what_the_exit_does_not_allow_is_said_with_the_remedy(new_chain, bind, advice):
    chain = new_chain(exit_options=("--allow-listen", "8088", "--allow-listen", "1-1023"))
    refused = run(p2p_command(chain, "-R", f"{bind}:127.0.0.1:1"))
    assert refused.returncode == 3
    assert "the exit does not allow it" in refused.stderr and advice in refused.stderr


def test_an_exit_without_the_option_allows_none(tunnel):
    refused = run(p2p_command(tunnel, "-R", "8080:127.0.0.1:1", name="none"))
    assert refused.returncode == 3
    assert "--allow-listen 8080" in refused.stderr


def test_a_port_that_something_else_has(new_chain):
    with servers.accepting() as other:
        chain = new_chain(exit_options=("--allow-listen", str(other.port)))
        refused = run(p2p_command(chain, "-R", f"{other.port}:127.0.0.1:1"))
    assert refused.returncode == 3
    assert "something else has that address" in refused.stderr


def test_a_client_that_was_killed_gets_its_port_again(new_chain, start_p2p):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    with servers.accepting() as server:
        start_p2p(chain, "-R", f"{port}:127.0.0.1:{server.port}").kill()
        chain.exit.says("lost its lane", seconds=10)
        start_p2p(chain, "-R", f"{port}:127.0.0.1:{server.port}")
        with socket.create_connection(("127.0.0.1", port)) as near, server.next() as far:
            near.sendall(b"x")
            assert far.recv(1) == b"x"


@pytest.fixture
def reverse(new_chain, start_p2p):
    """A chain with an -R to a server here; connect() gives the two ends of a connection through it."""
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    with servers.accepting() as server:
        chain.p2p = start_p2p(chain, "-R", f"{port}:127.0.0.1:{server.port}")
        chain.port = port

        def connect():
            near = socket.create_connection(("127.0.0.1", port), timeout=20)
            return near, server.next()

        chain.connect = connect
        yield chain


def read_to_end(sock):
    data = b""
    while chunk := sock.recv(65536):
        data += chunk
    return data


def test_both_directions_half_close_through_a_reverse_forward(reverse):
    for swap in (False, True):
        ends = reverse.connect()
        first, second = reversed(ends) if swap else ends
        with first, second:
            first.sendall(REQUEST)
            first.shutdown(socket.SHUT_WR)
            assert read_to_end(second) == REQUEST
            second.sendall(RESPONSE)
            second.shutdown(socket.SHUT_WR)
            assert read_to_end(first) == RESPONSE


def test_resets_pass_both_ways_through_a_reverse_forward(reverse):
    for swap in (False, True):
        ends = reverse.connect()
        first, second = reversed(ends) if swap else ends
        with first, second:
            first.sendall(b"a")
            assert second.recv(1) == b"a"
            socks.abort(first)
            with pytest.raises(ConnectionResetError):
                second.recv(1)


def test_a_target_that_refuses_resets_whoever_connected(new_chain, start_p2p):
    port, nobody = free_port(), free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    start_p2p(chain, "-R", f"{port}:127.0.0.1:{nobody}")
    with pytest.raises(ConnectionResetError):  # so soon, perhaps, that connecting tells
        with socket.create_connection(("127.0.0.1", port), timeout=10) as near:
            near.recv(1)


@pytest.fixture
def silent_address():
    """A listener on 127.9.0.1 whose queue is full, so that the kernel drops every further SYN; `(address, port)`."""
    with socket.socket() as listener:
        listener.bind(("127.9.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()
        for filler in fillers:
            filler.close()


@pytest.mark.skipif(not namespace.possible(), reason="takes root, for a mount namespace with its own /etc/hosts")
def test_a_target_s_address_that_is_silent_holds_nobody_back(new_chain, programs, tmp_path, silent_address):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{silent_address[0]} two.test\n127.9.0.2 two.test\n")
    command = p2p_command(chain, "-R", f"{port}:two.test:{silent_address[1]}")
    client = ReadyProgram("p2p", ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts, *command],
                          chain.directory)
    programs.append(client)
    with socket.create_server(("127.9.0.2", silent_address[1])) as answers:
        answers.settimeout(20)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as near:
            far, _ = answers.accept()
            with far:
                far.sendall(b"hello")
                assert socks.read_exactly(near, 5) == b"hello"


def test_a_reverse_connection_outlives_the_relay(reverse):
    near, far = reverse.connect()
    with near, far:
        near.sendall(b"before")
        assert socks.read_exactly(far, 6) == b"before"
        reverse.relay.kill()
        reverse.p2p.says(LOST, seconds=20)
        near.sendall(b"during")
        late = socket.create_connection(("127.0.0.1", reverse.port), timeout=BACK_WITHIN_SECONDS)
        reverse.relay.start()
        reverse.p2p.says(RESUMED, seconds=BACK_WITHIN_SECONDS)
        assert socks.read_exactly(far, 6) == b"during"
        late.close()


def test_a_new_exit_listens_again(reverse):
    state = reverse.exit.state
    reverse.exit.kill()
    wait_until(lambda: not reverse.exit.alive(), 5, "the exit is gone")
    reverse.start_exit("again", "--allow-listen", str(reverse.port), state=state)
    reverse.p2p.says("the exit listens on", seconds=BACK_WITHIN_SECONDS, times=2)
    near, far = reverse.connect()
    with near, far:
        far.sendall(b"again")
        assert socks.read_exactly(near, 5) == b"again"


def test_all_front_doors_from_a_config_file(new_chain, start_p2p, redis, web):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    config = chain.directory / "client.toml"
    config.write_text(f'socks = "127.0.0.1:0"\n'
                      f'local-forward = ["0:127.0.0.1:{redis.port}", "[::1]:0:127.0.0.1:{redis.port}"]\n'
                      f'remote-forward = ["{port}:127.0.0.1:{web.http_port}"]\n')
    client = start_p2p(chain, "--config", config)
    assert len(client.addresses) == 4
    assert curl(f"http://127.0.0.1:{web.http_port}/", "--socks5-hostname", client.addresses[0]).returncode == 0
    for index in (1, 2):
        host, local = client.address(index)
        assert redis_cli("-h", host, "-p", str(local), "ping") == "PONG"
    assert client.addresses[3] == f"127.0.0.1:{port}"
    assert curl(f"http://127.0.0.1:{port}/").returncode == 0


def test_a_client_without_a_front_door_is_wrong_usage(tunnel):
    done = run(p2p_command(tunnel, name="idle"))
    assert done.returncode == 2
    assert "give --socks, --tun, -L or -R" in done.stderr


@pytest.mark.parametrize("option", [("-L", "8080"), ("-L", "8080:/run/x"), ("-R", "/run/x:a:1"), ("-L", "1:::1:80"),
                                    ("-L", "nowhere:1:a:1"), ("-L", "/run/x:a:53/udp")])
def test_forwards_that_are_none_are_wrong_usage(tunnel, option):
    done = run(p2p_command(tunnel, *option, name="wrong"))
    assert done.returncode == 2
    assert option[0] in done.stderr or "forward" in done.stderr


# ---- where the exit may listen, and for whom


def reload(exit_peer, config, text, times):
    config.write_text(text)
    exit_peer.process.send_signal(signal.SIGHUP)
    exit_peer.says("were read again", seconds=5, times=times)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_sighup_opens_and_closes_listeners(new_chain, start_p2p, tmp_path, kind):
    port = free_port()
    config = tmp_path / "exit.toml"
    config.write_text(f"allow-listen = [\"{port}\"]\n")
    chain = new_chain(exit_options=("--config", config))
    client = start_p2p(chain, "-R", f"{port}:127.0.0.1:9/{kind}")
    reload(chain.exit, config, "max-flows = 2000\n", 1)
    chain.exit.says("no rule opens it any more", seconds=5)
    client.says("the exit does not allow it", seconds=5)
    reload(chain.exit, config, f"allow-listen = [\"{port}\"]\n", 2)
    client.says("the exit listens on", seconds=30, times=2)


def test_an_invite_s_own_listeners(new_chain, programs):
    port = free_port()
    chain = new_chain()

    def invite(name, *options):
        made = run([CLIENT_PROGRAM, "invite", name, "--state-dir", chain.exit.state, *options])
        assert made.returncode == 0, made.stderr
        return p2p_command(chain, "-R", f"{port}:127.0.0.1:9", name=name, link=made.stdout.strip())

    refused = run(invite("bob"))
    assert refused.returncode == 3 and f"--allow-listen {port}" in refused.stderr
    alice = ReadyProgram("alice", invite("alice", "--allow-listen", str(port)), chain.directory)
    programs.append(alice)
    assert alice.addresses == [f"127.0.0.1:{port}"]
    limited = run([CLIENT_PROGRAM, "limit", "alice", "--state-dir", chain.exit.state, "--allow-listen", "none"])
    assert limited.returncode == 0, limited.stderr
    alice.says("the exit does not allow it", seconds=10)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    listed = run([CLIENT_PROGRAM, "invites", "--json", "--state-dir", chain.exit.state])
    assert {each["name"]: each["allow_listen"] for each in json.loads(listed.stdout)} == {
        "default": [], "alice": [], "bob": []}


@pytest.mark.load
def test_a_thousand_connections_through_a_local_forward(tunnel, start_p2p):
    with servers.accepting() as server:
        client = start_p2p(tunnel, "-L", f"0:127.0.0.1:{server.port}")
        pairs = []
        try:
            for number in range(1000):
                near = socket.create_connection(client.address(), timeout=30)
                pairs.append((near, server.next()))
            for number, (near, far) in enumerate(pairs):
                near.sendall(number.to_bytes(4, "big"))
            for number, (near, far) in enumerate(pairs):
                assert int.from_bytes(socks.read_exactly(far, 4), "big") == number
        finally:
            for near, far in pairs:
                near.close()
                far.close()
