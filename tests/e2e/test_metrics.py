# SPDX-License-Identifier: MIT
"""/metrics of relay, exit and client: read by an independent parser, moved by real transfers, silent about who and
where, and unmoved by hostile HTTP."""
import re
import socket

import pytest
from harness import socks
from harness.chain import assert_serves
from harness.process import RELAY_PROGRAM, run, wait_until
from harness.transfer import MIB, download, upload, write_random
from harness.tunnel import start_relay
from harness.udp import Association
from harness.watching import METRICS, exchange, metrics_address, metrics_text, scrape

pytestmark = pytest.mark.native_relay("the Worker has no --metrics: its platform counts")

# Frames, record headers and tags, credits and acknowledgements.
OVERHEAD = 0.05


@pytest.fixture(scope="module")
def watched(workspace, authority, dns):
    from harness.tunnel import Tunnel
    tunnel = Tunnel(workspace, authority, resolver=dns.address, relay_options=METRICS, exit_options=METRICS,
                    client_options=METRICS)
    yield tunnel
    tunnel.assert_alive()
    tunnel.stop()


def test_the_numbers_are_those_of_the_transfers(watched, web):
    programs = watched.relay, watched.exit, watched.client
    before = [scrape(program) for program in programs]
    down, up = web.root / "metrics-down", watched.directory / "metrics-up"
    digests = write_random(down, 8 * MIB), write_random(up, 4 * MIB)
    download(watched.directory, watched.proxy, web, down).assert_complete(digests[0], 60)
    upload(watched.directory, watched.proxy, web, up).assert_complete(digests[1], 60)
    with pytest.raises(socks.SocksError):
        socks.connect(watched.proxy, "127.77.66.55", 4321)
    wait_until(lambda: scrape(watched.client)["zks_client_open_streams"] == 0, 10, "streams are over")
    relay, exit_peer, client = [scrape(program) for program in programs]
    relay0, exit0, client0 = before

    assert client["zks_client_up"] == client["zks_client_lanes"] == 1
    assert client["zks_client_streams_total"] - client0["zks_client_streams_total"] == 3
    assert 0 < client["zks_client_round_trip_seconds"] < 5
    for way, size in (("received", 8 * MIB), ("sent", 4 * MIB)):
        moved = (client.of("zks_client_bytes_total", direction=way) -
                 client0.of("zks_client_bytes_total", direction=way))
        assert size <= moved <= size + 4096
        sealed = (client.of("zks_client_record_bytes_total", direction=way) -
                  client0.of("zks_client_record_bytes_total", direction=way))
        assert moved <= sealed <= moved * (1 + OVERHEAD) + 65536
    # The relay counts the same records, and the few messages of the handshake.
    for relay_way, client_way in (("to_exit", "sent"), ("to_client", "received")):
        passed = relay.of("zks_relay_bytes_total", direction=relay_way)
        sealed = client.of("zks_client_record_bytes_total", direction=client_way)
        assert abs(passed - sealed) < 65536
        assert (relay.of("zks_relay_messages_total", direction=relay_way) >
                relay0.of("zks_relay_messages_total", direction=relay_way))
    assert relay["zks_relay_rooms"] == relay["zks_relay_exits"] == relay["zks_relay_pairs"] == 1
    assert relay["zks_relay_pairs_joined_total"] == relay["zks_relay_registrations_total"] == 1
    assert exit_peer["zks_exit_sessions"] == exit_peer["zks_exit_relays_registered"] == 1
    assert exit_peer["zks_exit_streams_total"] - exit0["zks_exit_streams_total"] == 3
    assert exit_peer["zks_exit_streams_connected_total"] - exit0["zks_exit_streams_connected_total"] == 2
    assert exit_peer.of("zks_exit_refused_total", reason="not_allowed") == 1


def test_refused_datagrams_are_counted(watched):
    def refused():
        return scrape(watched.exit).of("zks_exit_refused_total", reason="not_allowed")

    before = refused()
    with Association(watched.proxy) as association:
        association.send("127.77.66.55", 4321, b"x")
        wait_until(lambda: refused() == before + 1, 10, "it is counted")


def test_names_types_and_help_are_by_the_conventions(watched):
    for program in (watched.relay, watched.exit, watched.client):
        metrics = scrape(program)
        for name, family in metrics.families.items():
            assert re.fullmatch(r"(zks|process)_[a-z_]+", name)
            assert family.documentation and family.type in ("counter", "gauge")
            for sample in family.samples:
                assert sample.name.endswith("_total") == (family.type == "counter")
        assert metrics["process_resident_memory_bytes"] == pytest.approx(program.resident_bytes(), rel=0.2)
        assert metrics["process_open_fds"] > 5 and metrics["zks_build_info"] == 1


def test_what_was_refused_and_how_sockets_ended(tmp_path, authority, programs):
    relay = start_relay(tmp_path, None, *METRICS, "--upgrade-timeout", "1s")
    programs.append(relay)
    address = relay.address()
    assert b" 404 " in exchange(address, b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 431 " in exchange(address, b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n")
    assert b" 200 " in exchange(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert exchange(address, b"GET /he") == b""  # after --upgrade-timeout
    room = "a" * 32
    upgrade = (f"GET /v1/rooms/{room}/client HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode()
    assert b" 101 " in exchange(address, upgrade, seconds=20)  # no exit: closed by 4404
    metrics = wait_until(lambda: _with_close(relay, "4404"), 10, "the close is counted")
    assert metrics.of("zks_relay_joins_refused_total", reason="not_found") == 1
    assert metrics.of("zks_relay_joins_refused_total", reason="header_too_long") == 1
    assert metrics["zks_relay_joins_refused_total"] == 2
    assert metrics["zks_relay_handshake_timeouts_total"] == 1
    assert metrics["zks_relay_connections_total"] == 5
    assert metrics.of("zks_relay_closes_total", by="relay", code="4404") == 1


def _with_close(relay, code):
    metrics = scrape(relay)
    return metrics if metrics.of("zks_relay_closes_total", by="relay", code=code) else None


def test_neither_rooms_nor_addresses_nor_users_are_in_them(watched, web):
    source = web.root / "metrics-unspoken"
    digest = write_random(source, MIB)
    download(watched.directory, watched.proxy, web, source, name="unspoken").assert_complete(digest, 60)
    said = "".join(metrics_text(program) for program in (watched.relay, watched.exit, watched.client))
    link = watched.exit.link()
    for hidden in (link.room, link.fragment(), "127.0.0.1", "localhost", "::1", str(web.http_port), "default",
                   "metrics-unspoken"):
        assert hidden not in said, hidden


def test_hostile_http_leaves_the_programs_well(watched):
    addresses = [metrics_address(program) for program in (watched.relay, watched.exit, watched.client)]
    held = []
    try:
        for address in addresses:
            for number in range(60):
                sock = socket.create_connection(address, timeout=15)
                try:
                    sock.sendall((b"", b"GET /metr", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\nA: b\r\n",
                                  b"A" * 100_000, b"POST /metrics HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n")[number % 6])
                except OSError:
                    pass
                held.append(sock)
        assert_serves(watched.proxy)
        for program in (watched.relay, watched.exit, watched.client):
            assert scrape(program)["zks_build_info"] == 1
    finally:
        for sock in held:
            sock.close()
    for address in addresses:
        assert exchange(address, b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 404")
        assert exchange(address, b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 405")
        assert exchange(address, b"\r\n\r\n\x00\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert exchange(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_off_by_default_and_loud_beyond_loopback(tmp_path, programs):
    quiet = start_relay(tmp_path, None, name="quiet")
    open_one = start_relay(tmp_path, None, "--metrics", "0.0.0.0:0", name="open")
    programs.extend((quiet, open_one))
    assert "metrics" not in quiet.stderr()
    open_one.says("there is no password")
    taken = "127.0.0.1:{}".format(metrics_address(open_one)[1])
    refused = run([RELAY_PROGRAM, "--plaintext", "--listen", "127.0.0.1:0", "--metrics", taken])
    assert refused.returncode == 1 and "--metrics" in refused.stderr
    assert run([RELAY_PROGRAM, "--plaintext", "--metrics", "no.such.name:1"]).returncode == 2
