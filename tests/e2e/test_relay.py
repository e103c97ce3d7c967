# SPDX-License-Identifier: MIT
"""What is special to the native relay: its flags and signals, its memory and threads, exactly what it holds. What holds for
every relay is in tests/conformance."""
import asyncio
import json
import os
import resource
import select
import signal
import socket
import time
from collections import deque
from contextlib import suppress

import pytest
from harness import honest_user, load
from harness.process import RELAY_PROGRAM, ReadyProgram, run, wait_until
from harness.tunnel import start_relay
from relay_peers import PATIENCE, Closed, RelayAccess, Room, base64url, client_path, exit_path, pair_path, scenario

KIB = 1024
MIB = 1024 * KIB
MARK_EVERY = 256 * KIB
WINDOW = 16 * MIB

pytestmark = [pytest.mark.native_relay("what is special to the native relay")]


@pytest.fixture(scope="module", params=["plain-1", "tls-3"])
def relay(request, tmp_path_factory, authority):
    """Access to a shared relay: plaintext on one loop, and TLS on three."""
    kind, threads = request.param.split("-")
    directory = tmp_path_factory.mktemp(f"relay-{request.param}")
    certificate = authority.issue() if kind == "tls" else None
    program = start_relay(directory, certificate, "--threads", threads, "--log-level", "debug")
    access = RelayAccess(program.url, authority.ca_file if certificate else None)
    access.program = program
    yield access
    assert program.alive()
    assert program.stop() == 0


# ---- marks


def test_more_than_the_window_behind_is_4413(relay):
    async def flow():
        async with relay.pair() as (client, exit_half):
            exit_half.echo = False
            received = 0

            async def send_on():
                with suppress(Closed):
                    while True:
                        await client.send(bytes(MARK_EVERY))
                        await asyncio.sleep(0)  # a send that need not wait lets nothing else run

            sending = asyncio.create_task(send_on())
            with pytest.raises(Closed) as closed:
                while True:
                    received += len(await exit_half.receive())
            assert closed.value.code == 4413
            assert received == WINDOW + 2 * MARK_EVERY
            assert await client.close_code() == 4413
            await sending

    scenario(flow())


# ---- a receiver that does not read


def test_a_stalled_receiver_stops_only_its_sender(relay):
    async def flow():
        async with relay.pair() as (client, exit_half), relay.pair() as (other_client, other_exit):
            exit_half.ws.transport.pause_reading()
            before = relay.program.resident_bytes()
            sent = 0
            with pytest.raises(asyncio.TimeoutError):
                while True:
                    await asyncio.wait_for(client.ws.send(bytes(MIB)), 2)
                    sent += MIB
                    assert sent < 256 * MIB
            # One message, and what the TLS and WebSocket layers hold.
            assert relay.program.resident_bytes() - before < 16 * MIB
            for _ in range(32):
                await other_client.send(bytes(MIB))
                assert len(await other_exit.receive()) == MIB

    scenario(flow())


def test_a_peer_that_pings_and_does_not_read_is_held_back(relay):
    async def flow():
        control = await relay.register(Room())
        transport = control.ws.transport
        transport.pause_reading()
        before = relay.program.resident_bytes()
        pings = b"\x81\x84\x00\x00\x00\x00ping" * 100_000
        written, moved_at = 0, time.monotonic()
        waiting = 0
        while time.monotonic() - moved_at < 2:
            if transport.get_write_buffer_size() < len(pings):
                transport.write(pings)
                written += len(pings)
                assert written < 256 * MIB
            if transport.get_write_buffer_size() != waiting:
                waiting, moved_at = transport.get_write_buffer_size(), time.monotonic()
            await asyncio.sleep(0.01)
        assert relay.program.resident_bytes() - before < 8 * MIB
        control.drop()

    scenario(flow())


# ---- limits, on relays of their own


def test_behind_a_trusted_proxy_the_forwarded_address_counts(own_relay):
    relay = own_relay("--join-rate", "0.01", "--trusted-proxy", "127.0.0.0/8", "--trusted-proxy", "2001:db8::/32")

    async def status(forwarded):
        return await relay.status_of(client_path(Room()), {"X-Forwarded-For": forwarded})

    async def join():
        assert await status("192.0.2.1") == 101
        assert await status("192.0.2.1") == 429
        assert await status("192.0.2.2") == 101
        assert await status("192.0.2.3, 192.0.2.1, 127.0.0.9, 2001:db8::7") == 429
        assert await status("198.51.100.1, 192.0.2.4") == 101
        assert await status("198.51.100.2, 192.0.2.4:443") == 429
        assert await status("fd00::1") == 101
        assert await status("fd00::2") == 429  # the same /64

    scenario(join())


def test_a_slow_tls_handshake_is_closed(tmp_path, programs, authority):
    programs.append(start_relay(tmp_path, authority.issue(), "--upgrade-timeout", "1s"))
    plain = RelayAccess(f"ws://localhost:{programs[-1].port}")
    with plain.raw() as connection:
        connection.sendall(b"\x16\x03\x01")
        assert connection.recv(100) == b""


def test_a_slow_registration_is_closed(own_relay):
    relay = own_relay("--upgrade-timeout", "1s")

    async def wait():
        peer, _ = await relay.challenge(Room(), b"instance")
        assert await peer.close_code() in (1006, 4403)

    scenario(wait())


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def connect_from(relay, source, greeting=b""):
    connection = socket.create_connection((relay.host, relay.port), PATIENCE, source_address=(source, 0))
    connection.sendall(greeting)
    return connection


def ended(connection):
    """Whether the relay closed it; waits for that."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def one_ended(connections):
    """Waits until one of them was closed; the others."""
    closed = select.select(connections, [], [], PATIENCE)[0]
    assert len(closed) == 1 and ended(closed[0])
    return [connection for connection in connections if connection not in closed]


def test_a_full_house_costs_its_heaviest_source_a_connection(own_relay):
    relay = own_relay("--max-handshakes", "8", "--upgrade-timeout", "60s")
    honest = connect_from(relay, "127.0.0.2", HEALTH[:9])
    crowd = [connect_from(relay, "127.0.0.3", HEALTH[:9]) for _ in range(7)]
    assert relay.http(HEALTH)[0] == 200, "a ninth is served"
    for kept in (honest, *one_ended(crowd)):
        kept.sendall(HEALTH[9:])
        assert kept.recv(100).startswith(b"HTTP/1.1 200")


def test_a_source_has_its_share_of_handshakes(own_relay):
    relay = own_relay("--max-handshakes-per-source", "2", "--upgrade-timeout", "60s")
    other = connect_from(relay, "127.0.0.2", HEALTH[:9])
    unfinished = [connect_from(relay, "127.0.0.3", HEALTH[:9]) for _ in range(3)]
    for kept in (other, *one_ended(unfinished)):
        kept.sendall(HEALTH[9:])
        assert kept.recv(100).startswith(b"HTTP/1.1 200")


def test_who_says_nothing_is_closed_after_three_seconds(own_relay):
    relay = own_relay()
    began = time.monotonic()
    with relay.raw() as silent, relay.raw() as slow:
        slow.sendall(HEALTH[:9])
        assert ended(silent)
        assert 2.5 < time.monotonic() - began < 8
        slow.sendall(HEALTH[9:])
        assert slow.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.load
def test_silent_connections_of_one_address_hold_up_nobody(own_relay, many_descriptors):
    """2,600 connections that say nothing, of which 1,000 a second are renewed; somebody comes from another address."""
    relay = own_relay("--join-rate", "0")
    honest = relay.from_source("127.0.0.2")
    silent = deque(maxlen=2_600)
    many_descriptors()

    def renew():
        if len(silent) == silent.maxlen:
            silent.popleft().close()
        silent.append(connect_from(relay, "127.0.0.3"))

    alone = scenario(honest_user.at_relay(honest))
    for _ in range(silent.maxlen):
        renew()
    with load.under(renew, 1_000):
        beside = scenario(honest_user.at_relay(honest))
    for connection in silent:
        connection.close()
    honest_user.assert_stays(alone, beside)


def test_who_takes_nothing_is_ended_and_others_are_not(own_relay):
    """A half that reads nothing and pings on is ended after --write-timeout; one that reads slowly, and a pair beside
    it, go on."""
    relay = own_relay("--write-timeout", "2s")

    async def flood(sender):
        with suppress(Closed):
            while True:
                await sender.send(bytes(MIB))

    async def slowly(peer, until):
        received = 0
        while not until.done():
            received += len(await peer.receive())
            await asyncio.sleep(0.2)
        return received

    async def flow():
        async with relay.pair() as (deaf, sender), relay.pair() as (slow, slow_sender), relay.pair() as (client, exit_half):
            began = time.monotonic()
            flooding = asyncio.ensure_future(flood(sender))
            beside = asyncio.ensure_future(flood(slow_sender))
            ended = asyncio.ensure_future(sender.close_code())
            reading = asyncio.ensure_future(slowly(slow, ended))
            while not ended.done():
                await client.send(b"keystroke")
                assert await exit_half.receive() == b"keystroke"
                deaf.say("ping")
                await asyncio.sleep(0.1)
            assert ended.result() == 4413
            assert 1.5 < time.monotonic() - began < PATIENCE
            assert await reading > 0
            await slow.send("ping")
            while await slow.receive() != "pong":
                pass
            for task in (flooding, beside):
                task.cancel()

    scenario(flow())


@pytest.mark.load
def test_made_up_pairs_cost_joins_of_their_source_only(own_relay):
    relay = own_relay("--join-rate", "1/s")
    alone = scenario(honest_user.at_relay(relay.from_source("127.0.0.4")))

    def status(source, path):
        with connect_from(relay, source, relay.upgrade(path)) as connection:
            return int(connection.recv(100).split()[1])

    room = Room()
    made_up = [status("127.0.0.3", pair_path(room, base64url(os.urandom(16)))) for _ in range(100)]
    assert made_up[:20] == [410] * 20
    assert made_up.count(410) < 40 and made_up.count(410) + made_up.count(429) == 100
    assert status("127.0.0.2", client_path(room)) == 101, "another address joins"
    honest = relay.from_source("127.0.0.2")
    with load.under(lambda: status("127.0.0.3", pair_path(room, base64url(os.urandom(16)))), 200):
        honest_user.assert_stays(alone, scenario(honest_user.at_relay(honest)))

    async def pair():
        # An exit whose address has no join left gets the half of a pair that waits for it.
        control = await relay.register(room)
        client = await relay.client(room)
        knock = await control.receive()
        while await relay.status_of(pair_path(Room(), base64url(os.urandom(16)))) != 429:
            pass
        await relay.take(room, knock)
        await client.expect_paired()

    scenario(pair())


def test_pair_rate_holds_a_pair_back(own_relay):
    relay = own_relay("--pair-rate", "256KiB/s")

    async def flow():
        async with relay.pair() as (client, exit_half):
            began = time.monotonic()
            sending = asyncio.gather(*(client.send(bytes(64 * KIB)) for _ in range(16)))
            for _ in range(16):
                await exit_half.receive()
            await sending
            # 1 MiB, of which a quarter of a second's worth may come at once and the last message is not waited for.
            assert time.monotonic() - began > (1024 - 64 - 64) / 256 - 0.1

    scenario(flow())


def test_allowed_rooms(own_relay, tmp_path):
    allowed, later = Room(), Room()
    rooms = tmp_path / "rooms"
    rooms.write_text(f"# my rooms\n{allowed.id}  # the first\n\n")
    relay = own_relay("--allow-rooms", rooms)

    async def check(room, status):
        assert await relay.status_of(client_path(room)) == status
        assert await relay.status_of(exit_path(room, b"instance")) == status
        of_pair = 410 if status == 101 else status  # nobody waits under that id
        assert await relay.status_of(pair_path(room, base64url(bytes(16)))) == of_pair

    async def after_reload(room, status, text):
        rooms.write_text(text)

        def told():
            return relay.program.stderr().count("were read again") + relay.program.stderr().count("not reloaded")

        before = told()
        relay.program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: told() > before, PATIENCE, "SIGHUP to be handled")
        await check(room, status)

    async def run_all():
        await check(allowed, 101)
        await check(later, 403)
        await after_reload(later, 101, f"{allowed.id}\n{later.id}\n")
        await after_reload(allowed, 403, f"{later.id}\n")
        await after_reload(later, 101, "not a room id\n")
        relay.program.says("line 1")
        await after_reload(later, 101, "")  # cut off: no decision to close the relay
        relay.program.says("has no room in it")
        rooms.unlink()
        relay.program.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "can't read the allowed rooms" in relay.program.stderr(), PATIENCE, "it is told")
        await check(later, 101)

    scenario(run_all())


# ---- the process


def test_stopping_tells_everyone(relay, tmp_path, authority, programs):
    certificate = authority.issue() if relay.tls else None
    program = start_relay(tmp_path, certificate, "--threads", "3")
    programs.append(program)
    access = RelayAccess(program.url, authority.ca_file if certificate else None)

    async def stop():
        async with access.pair() as (client, exit_half), access.pair() as (stuck, stalled):
            control = await access.register(Room())
            waiting = await access.client(Room())
            assert await waiting.close_code() == 4404
            half_open = access.raw()
            stalled.ws.transport.pause_reading()
            with suppress(asyncio.TimeoutError):
                while True:
                    await asyncio.wait_for(stuck.ws.send(bytes(MIB)), 1)
            program.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            for peer in (client, exit_half, control):
                assert await peer.close_code() == 1012
            assert await asyncio.get_running_loop().run_in_executor(None, program.wait, 10) == 0
            assert time.monotonic() - began < 5.5
            half_open.close()

    scenario(stop())
    assert not program.ready_path.exists()


def test_an_idle_relay_stops_at_once(own_relay):
    relay = own_relay()
    relay.program.process.send_signal(signal.SIGINT)
    assert relay.program.wait(3) == 0
    assert not relay.program.ready_path.exists()


def test_a_renewed_certificate_is_used_after_sighup(tmp_path, programs, authority):
    certificate = authority.issue("localhost", "127.0.0.1")
    program = start_relay(tmp_path, certificate)
    programs.append(program)
    access = RelayAccess(program.url, authority.ca_file)

    def shown():
        with access.raw() as connection:
            return connection.getpeercert(binary_form=True)

    first = shown()
    authority.issue("localhost", "127.0.0.1")  # writes the same files
    assert shown() == first
    program.process.send_signal(signal.SIGHUP)
    wait_until(lambda: shown() != first, PATIENCE, "the new certificate")
    certificate.key.write_text("broken")
    second = shown()
    program.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in program.stderr(), PATIENCE, "the reload to fail")
    assert shown() == second


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_it_waits(own_relay):
    relay = own_relay()
    pid = relay.program.pid
    used = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 5, used + 5))
    connections = [relay.raw() for _ in range(20)]
    wait_until(lambda: "can't accept" in relay.program.stderr(), PATIENCE, "descriptors to run out")
    before = cpu_seconds(pid)
    time.sleep(1)
    assert cpu_seconds(pid) - before < 0.5  # it does not spin
    for connection in connections:
        connection.close()
    assert relay.http(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 200


def test_the_log_has_no_addresses(own_relay):
    relay = own_relay("--log-level", "trace", "--log-json")

    async def use():
        async with relay.pair() as (client, exit_half):
            await client.send(b"x")
            await exit_half.receive()
        await relay.status_of("/nothing")

    scenario(use())
    assert relay.program.stop() == 0
    lines = relay.program.stderr().splitlines()
    for line in lines:
        json.loads(line)
    assert [line for line in lines if "127.0.0.1" in line and "listens on" not in line] == []


def test_several_addresses_and_a_config_file(tmp_path, programs):
    config = tmp_path / "relay.toml"
    config.write_text('listen = ["127.0.0.1:0", "[::1]:0"]\nplaintext = true\nthreads = 1\n')
    program = ReadyProgram("relay", [RELAY_PROGRAM, "--config", config], tmp_path)
    programs.append(program)
    hosts = [program.address(i)[0] for i in range(2)]
    assert hosts == ["127.0.0.1", "::1"]
    for host, port in (program.address(i) for i in range(2)):
        access = RelayAccess(f"ws://localhost:{port}", host=host)
        assert access.http(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 200


@pytest.mark.parametrize("options,hint", [
    ([], "--plaintext"), (["--plaintext", "--tls-cert", "a"], "--plaintext"), (["--tls-cert", "/nonexistent"], "--tls-key"),
    (["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"], "/nonexistent"),
    (["--plaintext", "--listen", "relay.example:1"], "--listen"), (["--plaintext", "--listen", "127.0.0.1:99999"], "--listen"),
    (["--plaintext", "--threads", "0"], "--threads"), (["--plaintext", "--join-rate", "x"], "--join-rate"),
    (["--plaintext", "--pair-rate", "1"], "--pair-rate"), (["--plaintext", "--trusted-proxy", "10.0.0.0/33"], "--trusted-proxy"),
    (["--plaintext", "--rotate-bytes", "65535"], "--rotate-bytes"), (["--plaintext", "--rotate-seconds", "29"], "--rotate-seconds"),
    (["--plaintext", "--allow-rooms", "/nonexistent"], "/nonexistent"), (["--nothing"], "--nothing")])
def test_wrong_usage_is_one_line_and_status_2(options, hint):
    result = run([RELAY_PROGRAM, *options])
    assert result.returncode == 2
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if " warn" not in line]
    assert len(lines) == 1
    assert hint in lines[0]


def test_an_address_in_use_is_status_1(own_relay):
    relay = own_relay()
    result = run([RELAY_PROGRAM, "--plaintext", "--listen", f"127.0.0.1:{relay.port}"])
    assert result.returncode == 1
    assert "in use" in result.stderr.splitlines()[-1]


def test_help_and_version():
    shown = run([RELAY_PROGRAM, "--help"])
    assert shown.returncode == 0 and "zks-tunnel-relay --tls-cert" in shown.stdout
    assert run([RELAY_PROGRAM, "--version"]).stdout.startswith("zks-tunnel-relay ")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_is_resumed_by_its_ticket(tmp_path, programs, authority, version):
    """Under keys of its own; that those are replaced is TicketKeys' unit test, which has a clock."""
    programs.append(start_relay(tmp_path, authority.issue()))
    kept = tmp_path / "session"
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{programs[-1].port}", "-servername", "localhost", version,
               "-CAfile", authority.ca_file, "-ign_eof"]
    first = run([*command, "-sess_out", kept], input=HEALTH.decode())
    again = run([*command, "-sess_in", kept], input=HEALTH.decode())
    assert "New, TLSv1" in first.stdout and "HTTP/1.1 200" in first.stdout, first.stdout + first.stderr
    assert "Reused, TLSv1" in again.stdout and "HTTP/1.1 200" in again.stdout, again.stdout + again.stderr
    (tmp_path / "other").mkdir()
    programs.append(start_relay(tmp_path / "other", authority.issue(), name="other"))
    command[3] = f"127.0.0.1:{programs[-1].port}"
    stranger = run([*command, "-sess_in", kept], input=HEALTH.decode())
    assert "New, TLSv1" in stranger.stdout and "HTTP/1.1 200" in stranger.stdout, "keys are each process's own"
