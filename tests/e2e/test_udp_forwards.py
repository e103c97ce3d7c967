# SPDX-License-Identifier: MIT
"""-L and -R with /udp: dig to a DNS server behind the exit and back, a flow and a socket for each program, who is not
heard, and what outlives a lost relay and an exit that is started again."""
import contextlib
import json
import socket

import pytest
from harness import dns, servers, socks, udp
from harness.chain import LOST, RESUMED
from harness.p2p import BACK_WITHIN_SECONDS, free_port, p2p_command
from harness.process import CLIENT_PROGRAM, run, wait_until


def dig(address, name, *options):
    host, port = address
    return run(["dig", f"@{host}", "-p", str(port), "+tries=1", "+time=10", "+short", *options, name])


def udp_socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(10)
    return sock


def ask(sock, address, payload):
    sock.sendto(payload, address)
    answer, source = sock.recvfrom(70_000)
    return answer, source


def ask_until_answered(sock, address, payload, seconds=BACK_WITHIN_SECONDS):
    """For a path that is being mended: as applications over UDP do."""
    sock.settimeout(0.5)
    for _ in range(seconds * 2):
        sock.sendto(payload, address)
        with contextlib.suppress(TimeoutError):
            if sock.recv(70_000) == payload:
                sock.settimeout(10)
                return
    pytest.fail("no answer")


@pytest.fixture
def dns_server():
    server = dns.DnsServer({"behind.example": ["192.0.2.80"]})
    yield server
    server.close()


def test_dig_through_a_local_udp_forward(tunnel, start_p2p, dns_server):
    client = start_p2p(tunnel, "-L", f"0:{dns_server.address}/udp", "-L", f"[::1]:0:{dns_server.address}/udp")
    for index in (0, 1):
        done = dig(client.address(index), "behind.example")
        assert done.stdout.strip() == "192.0.2.80", done.stdout + done.stderr
    assert len(dns_server.asked) == 2


def test_dig_at_the_exit_asks_a_dns_server_here(new_chain, start_p2p, dns_server):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    client = start_p2p(chain, "-R", f"{port}:{dns_server.address}/udp")
    assert client.addresses == [f"127.0.0.1:{port}"]
    done = dig(client.address(), "behind.example")
    assert done.stdout.strip() == "192.0.2.80", done.stdout + done.stderr
    assert client.stop() == 0
    with udp_socket() as late:
        late.connect(("127.0.0.1", port))
        late.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            late.recv(1)


def test_each_local_program_has_a_flow_of_its_own(tunnel, start_p2p):
    with udp.UdpServer() as server, udp_socket() as first, udp_socket() as second:
        client = start_p2p(tunnel, "-L", f"0:127.0.0.1:{server.address[1]}/udp")
        assert ask(first, client.address(), b"one") == (b"one", client.address())
        assert ask(second, client.address(), b"two") == (b"two", client.address())
        assert ask(first, client.address(), b"") == (b"", client.address())
        assert len(server.seen) == 3
        assert server.seen[0] == server.seen[2] != server.seen[1], "a port for each, and always the same one"
        largest = bytes(65_507)
        assert ask(first, client.address(), largest)[0] == largest


def test_only_the_target_answers_through_a_local_udp_forward(tunnel, start_p2p):
    with udp.UdpServer() as server, udp_socket() as program, udp_socket() as stranger:
        client = start_p2p(tunnel, "-L", f"0:127.0.0.1:{server.address[1]}/udp")
        ask(program, client.address(), b"hello")
        stranger.sendto(b"not asked for", server.seen[0])
        # What the target sends behind it arrives, and so the other one has been dropped.
        server.socket.sendto(b"more", server.seen[0])
        assert program.recv(100) == b"more"


def test_each_remote_program_has_a_socket_of_its_own(new_chain, start_p2p):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    with udp.UdpServer() as server, udp_socket() as first, udp_socket() as second:
        start_p2p(chain, "-R", f"{port}:localhost:{server.address[1]}/udp")
        there = ("127.0.0.1", port)
        ask_until_answered(first, there, b"one")  # localhost may be ::1 first, where nobody is
        ask_until_answered(second, there, b"two")
        assert ask(first, there, b"three") == (b"three", there)
        assert len(set(server.seen)) == 2


def test_the_exit_s_policy_holds_for_udp_forwards(tunnel, start_p2p):
    client = start_p2p(tunnel, "-L", "0:127.0.0.2:9/udp")
    with udp_socket() as program:
        program.sendto(b"x", client.address())
        tunnel.exit.says("datagram: loopback", seconds=10)
        client.says("not allowed by the exit's policy", seconds=10)


def test_status_shows_every_forward(new_chain, start_p2p):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    with udp.UdpServer() as server, udp_socket() as program:
        target = f"127.0.0.1:{server.address[1]}"
        client = start_p2p(chain, "-L", f"0:{target}", "-L", f"0:{target}/udp", "-R", f"{port}:{target}/udp")
        ask(program, client.address(1), b"x")
        done = run([CLIENT_PROGRAM, "status", "--json", "--state-dir", chain.directory / "p2p-state"])
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert [(door["kind"], door["address"], door["connections"]) for door in found["front_doors"]] == [
            ("forward", client.addresses[0], 0), ("udp forward", client.addresses[1], 1),
            ("reverse udp", client.addresses[2], 0)]
        assert found["client"]["session"]["open_flows"] == 2, "that of the program, and the listener's"
        exit_peer = run([CLIENT_PROGRAM, "status", "--json", "--state-dir", chain.exit.state])
        assert sorted(each["listeners"] for each in json.loads(exit_peer.stdout)["exit"]["sessions"]) == [0, 1]
        shown = run([CLIENT_PROGRAM, "status", "--state-dir", chain.directory / "p2p-state"]).stdout
        assert f"{client.addresses[1]}, 1 connections" in shown


def test_what_the_exit_does_not_allow_for_udp(tunnel):
    refused = run(p2p_command(tunnel, "-R", "8080:127.0.0.1:1/udp", name="none-udp"))
    assert refused.returncode == 3
    assert "--allow-listen 8080" in refused.stderr


def test_an_exit_without_udp_says_so_to_udp_forwards(new_chain):
    chain = new_chain(exit_options=("--allow-listen", "8080", "--max-flows", "0"))
    refused = run(p2p_command(chain, "-R", "8080:127.0.0.1:1/udp"))
    assert refused.returncode == 3
    assert "does not listen for UDP" in refused.stderr


def test_a_client_that_was_killed_gets_its_udp_port_again(new_chain, start_p2p):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    with udp.UdpServer() as server, udp_socket() as program:
        start_p2p(chain, "-R", f"{port}:127.0.0.1:{server.address[1]}/udp").kill()
        chain.exit.says("lost its lane", seconds=10)
        start_p2p(chain, "-R", f"{port}:127.0.0.1:{server.address[1]}/udp")
        assert ask(program, ("127.0.0.1", port), b"again")[0] == b"again"


def test_all_forwards_outlive_the_relay(new_chain, start_p2p):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    with servers.accepting() as server, udp.UdpServer() as echo, udp_socket() as program, udp_socket() as remote:
        target = f"127.0.0.1:{echo.address[1]}/udp"
        client = start_p2p(chain, "-L", f"0:127.0.0.1:{server.port}", "-L", f"0:{target}", "-R", f"{port}:{target}")
        with socket.create_connection(client.address(0), timeout=20) as near, server.next() as far:
            near.sendall(b"before")
            assert socks.read_exactly(far, 6) == b"before"
            ask(program, client.address(1), b"before")
            ask(remote, client.address(2), b"before")
            known = set(echo.seen)
            chain.relay.kill()
            client.says(LOST, seconds=20)
            near.sendall(b"during")
            chain.relay.start()
            client.says(RESUMED, seconds=BACK_WITHIN_SECONDS)
            assert socks.read_exactly(far, 6) == b"during"
            far.sendall(b"after")
            assert socks.read_exactly(near, 5) == b"after"
            ask_until_answered(program, client.address(1), b"after")
            ask_until_answered(remote, client.address(2), b"after")
            assert set(echo.seen) == known, "from the same sockets as before"


def test_a_new_exit_takes_udp_again(new_chain, start_p2p):
    port = free_port()
    chain = new_chain(exit_options=("--allow-listen", str(port)))
    with udp.UdpServer() as echo, udp_socket() as program, udp_socket() as remote:
        target = f"127.0.0.1:{echo.address[1]}/udp"
        client = start_p2p(chain, "-L", f"0:{target}", "-R", f"{port}:{target}")
        ask(program, client.address(0), b"before")
        ask(remote, client.address(1), b"before")
        state = chain.exit.state
        chain.exit.kill()
        wait_until(lambda: not chain.exit.alive(), 5, "the exit is gone")
        chain.start_exit("again", "--allow-listen", str(port), state=state)
        client.says("the exit listens on", seconds=BACK_WITHIN_SECONDS, times=2)
        ask_until_answered(program, client.address(0), b"after")
        ask_until_answered(remote, client.address(1), b"after")
