# SPDX-License-Identifier: MIT
"""Every option that says where to listen: what names of both families are, and [::] beside an IPv4 address of the same port;
the shipped relay.toml, with IPv6 and without, in a network namespace that has port 443."""
import socket

import pytest
from harness import namespace, servers, socks
from harness.p2p import free_port
from harness.process import RELAY_PROGRAM, REPOSITORY, ReadyProgram, run

BOTH = ["127.0.0.1", "::1"]

pytestmark = pytest.mark.native_relay("it is about the programs of this repository")
alone = pytest.mark.skipif(not namespace.possible(), reason="takes root, for a network namespace")


def answers(address, port):
    """Whether somebody listens there; who accepts may reset at once."""
    try:
        with socket.create_connection((address, port), 5):
            return True
    except ConnectionResetError:
        return True
    except OSError:
        return False


def free_port_of_both():
    """Free in IPv4 and IPv6 a moment ago."""
    while True:
        port = free_port()
        with socket.socket(socket.AF_INET6) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(("::1", port))
                return port
            except OSError:
                continue


@pytest.mark.parametrize("port", ["0", "fixed"])
def test_a_forward_from_localhost_takes_both_families(tunnel, start_p2p, port):
    port = free_port_of_both() if port == "fixed" else 0
    with servers.accepting() as server:
        client = start_p2p(tunnel, "-L", f"localhost:{port}:127.0.0.1:{server.port}")
        for address in BOTH:
            with socket.create_connection((address, client.address()[1]), 10) as near, server.next() as far:
                far.sendall(b"hello")
                assert socks.read_exactly(near, 5) == b"hello"


def test_a_udp_forward_from_localhost_takes_both_families(tunnel, start_p2p):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.bind(("127.0.0.1", 0))
        echo.settimeout(10)
        client = start_p2p(tunnel, "-L", f"localhost:0:127.0.0.1:{echo.getsockname()[1]}/udp")
        for address in BOTH:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as near:
                near.settimeout(10)
                near.sendto(address.encode(), (address, client.address()[1]))
                words, source = echo.recvfrom(100)
                echo.sendto(words, source)
                assert near.recv(100) == address.encode()


def test_forwards_and_the_proxy_share_a_port_by_family(tunnel, start_p2p):
    port = free_port_of_both()
    with servers.accepting() as server:
        start_p2p(tunnel, "-L", f"[::]:{port}:127.0.0.1:{server.port}", "--socks", f"127.0.0.1:{port}")
        with socket.create_connection(("::1", port), 10), server.next():
            pass
        with socks.connect(("127.0.0.1", port), "127.0.0.1", server.port), server.next():
            pass


def test_a_forward_on_an_ipv6_address_alone_takes_ipv4_too(tunnel, start_p2p):
    with servers.accepting() as server:
        client = start_p2p(tunnel, "-L", f"[::]:0:127.0.0.1:{server.port}")
        with socket.create_connection(("127.0.0.1", client.address()[1]), 10), server.next():
            pass


def test_proxy_and_metrics_on_localhost_take_both_families(tunnel, start_p2p):
    metrics = free_port_of_both()
    client = start_p2p(tunnel, "--socks", "localhost:0", "--metrics", f"localhost:{metrics}")
    assert [answers(address, client.address()[1]) for address in BOTH] == [True, True]
    assert [answers(address, metrics) for address in BOTH] == [True, True]


def test_the_exit_listens_in_the_family_of_its_rule_alone(new_chain, start_p2p):
    port = free_port_of_both()
    chain = new_chain(exit_options=("--allow-listen", f"[::]:{port}"))
    start_p2p(chain, "-R", f"[::]:{port}:127.0.0.1:1")
    assert answers("::1", port) and not answers("127.0.0.1", port)


def test_a_port_that_somebody_has_is_an_error_in_either_family(tunnel):
    for address in BOTH:
        with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as taken:
            port = taken.getsockname()[1]
            done = run([RELAY_PROGRAM, "--plaintext", "--listen", f"localhost:{port}"])
            assert done.returncode == 1 and "Address already in use" in done.stderr


@alone
@pytest.mark.parametrize("order", [["[::]:8443", "0.0.0.0:8443"], ["0.0.0.0:8443", "[::]:8443"], ["*:8443"], ["[::]:8443"]])
@pytest.mark.parametrize("bindv6only", ["0", "1"])
def test_the_relay_takes_both_families_in_whatever_order(tmp_path, programs, order, bindv6only):
    listen = [word for address in order for word in ("--listen", address)]
    relay = ReadyProgram("relay", ["unshare", "--net", "sh", "-c",
                                   f'ip link set lo up && echo {bindv6only} > /proc/sys/net/ipv6/bindv6only && exec "$0" "$@"',
                                   RELAY_PROGRAM, "--plaintext", *listen], tmp_path)
    programs.append(relay)
    for host in ("127.0.0.1", "[::1]"):
        got = run(["nsenter", "--net", "--target", str(relay.pid), "curl", "-sS", "-m", "10", f"http://{host}:8443/healthz"])
        assert got.returncode == 0, got.stderr


@alone
@pytest.mark.parametrize("ipv6", ["0", "1"], ids=["with IPv6", "without IPv6"])
def test_the_shipped_relay_toml_starts(tmp_path, programs, authority, ipv6):
    issued = authority.issue()
    relay = ReadyProgram("relay", ["unshare", "--net", "sh", "-c",
                                   f'ip link set lo up && echo {ipv6} > /proc/sys/net/ipv6/conf/all/disable_ipv6 && exec "$0" "$@"',
                                   RELAY_PROGRAM, "--config", REPOSITORY / "packaging" / "relay.toml", "--tls-cert", issued.cert,
                                   "--tls-key", issued.key], tmp_path)
    programs.append(relay)
    for host in ["127.0.0.1"] + (["[::1]"] if ipv6 == "0" else []):
        got = run(["nsenter", "--net", "--target", str(relay.pid), "curl", "-sSk", "-m", "10", f"https://{host}/healthz"])
        assert got.returncode == 0, got.stderr
