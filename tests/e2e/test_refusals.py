# SPDX-License-Identifier: MIT
"""Links and relays that must not work: each ends in one clear line on stderr and exit status 3 or 2 within seconds,
and the other side learns nothing."""
import secrets
import socket
import ssl

import pytest
from harness.access_link import base64url
from harness.certificates import Authority
from harness.process import CLIENT_PROGRAM, run
from harness.recorder import Recorder
from harness.servers import accept_in_background
from harness.tunnel import client_command, make_invite, start_client, start_exit, start_relay

FAILED, USAGE, REFUSED = 1, 2, 3
WITHIN_SECONDS = 15
ROOM_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@pytest.fixture(scope="module")
def plain(workspace):
    """A plaintext relay behind a recorder, and an exit registered with it."""
    relay = start_relay(workspace)
    recorder = Recorder(relay.address())
    exit_peer = start_exit(workspace, relay.url)
    yield exit_peer, recorder
    exit_peer.stop()
    relay.stop()
    recorder.close()


def refused_client(directory, link, *extra, ca_file=None):
    """(exit status, the one line on stderr) of a client that must give up."""
    done = run(client_command(directory, link, "--log-level", "error", *extra, ca_file=ca_file), WITHIN_SECONDS)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, f"one line on stderr, not: {done.stderr}"
    assert done.stdout == ""
    assert link.fragment() not in done.stderr and base64url(link.psk) not in done.stderr
    return done.returncode, lines[0]


def through(recorder, link):
    return link.with_(hosts=f"127.0.0.1:{recorder.port}")


def assert_unspoken(recorder, link, directory):
    """Neither the link's secrets nor the client's key passed the recorder."""
    wire = recorder.bytes()
    assert wire, "the recorder saw the attempt"
    stored = [path.read_bytes() for path in directory.rglob("client-state/*.json")]
    assert stored, "the client has a key of its own"
    keys = [part for text in stored for part in text.split(b'"') if len(part) == 43]
    for secret in (link.psk, base64url(link.psk).encode(), link.fragment().encode(), *keys):
        assert secret not in wire


def test_wrong_psk(plain, tmp_path):
    exit_peer, recorder = plain
    link = through(recorder, exit_peer.link()).with_(psk=secrets.token_bytes(32))
    status, line = refused_client(tmp_path, link)
    assert status == REFUSED
    assert "link" in line and "revoked, expired or wrong" in line
    assert_unspoken(recorder, link, tmp_path)


def test_unknown_invite(plain, tmp_path):
    exit_peer, recorder = plain
    status, line = refused_client(tmp_path, through(recorder, exit_peer.link()).with_(invite=secrets.token_bytes(8)))
    assert status == REFUSED and "revoked, expired or wrong" in line


def test_link_of_another_exit(plain, tmp_path):
    exit_peer, recorder = plain
    status, line = refused_client(tmp_path, through(recorder, exit_peer.link()).with_(exit_key=secrets.token_bytes(32)))
    assert status == REFUSED and "revoked, expired or wrong" in line


def test_revoked_invite(plain, tmp_path):
    exit_peer, recorder = plain
    link = through(recorder, make_invite(exit_peer, "leaver"))
    client = start_client(tmp_path, link)
    revoked = run([CLIENT_PROGRAM, "revoke", "leaver", "--state-dir", exit_peer.state])
    assert revoked.returncode == 0, revoked.stderr
    assert client.wait(WITHIN_SECONDS) == REFUSED, "the live session ends"
    client.forget()
    client.says("revoked")
    status, line = refused_client(tmp_path, link)
    assert status == REFUSED and "revoked, expired or wrong" in line
    assert_unspoken(recorder, link, tmp_path)


def test_room_without_exit(plain, tmp_path):
    exit_peer, recorder = plain
    room = "".join(secrets.choice(ROOM_ALPHABET) for _ in range(32))
    link = through(recorder, exit_peer.link()).with_(room=room)
    status, line = refused_client(tmp_path, link, "--once")  # without it an exit is waited for (test_exits.py)
    assert status == REFUSED
    assert "no exit peer is registered" in line
    assert_unspoken(recorder, link, tmp_path)


def test_once_does_not_wait_for_a_relay_either(plain, tmp_path):
    """All relays of a link are tried; what is worth another attempt is no refusal."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        absent = f"127.0.0.1:{nobody.getsockname()[1]}"
        status, line = refused_client(tmp_path, plain[0].link().with_(hosts=absent), "--once")
        assert status == FAILED and "refused" in line
        client = start_client(tmp_path, plain[0].link().with_(hosts=f"{absent},127.0.0.1:{plain[1].port}"), "--once")
        assert client.stop() == 0


@pytest.mark.parametrize("damage", ["cut", "letter", "scheme", "room"])
def test_malformed_link(plain, tmp_path, damage):
    link = plain[0].link()
    text = str(link)
    broken = {"cut": text[:-5], "letter": text[:-1] + ("A" if text[-1] != "A" else "Q"),
              "scheme": text.replace("zks", "http", 1), "room": text.replace(link.room, link.room[:-1])}[damage]
    link_file = tmp_path / "broken.link"
    link_file.write_text(broken)
    link_file.chmod(0o600)
    done = run([CLIENT_PROGRAM, "socks5", "--listen", "127.0.0.1:0", "--link-file", link_file,
                "--state-dir", tmp_path / "state"], WITHIN_SECONDS)
    assert done.returncode == USAGE
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert link.fragment()[:40] not in done.stderr


class ImpostorRelay:
    """A TLS server that is not the relay: completes handshakes where clients let it, and keeps what they say."""

    def __init__(self, certificate):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.cert, certificate.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.dialled = 0
        self.heard = bytearray()
        accept_in_background(self._listener, self._serve)

    def _serve(self, raw):
        self.dialled += 1
        raw.settimeout(5)
        try:
            with self._context.wrap_socket(raw, server_side=True) as tls:
                while data := tls.recv(65536):
                    self.heard += data
        except OSError:
            raw.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def impostor(tmp_path):
    """Its certificate names localhost rightly, from an authority that nobody trusts."""
    authority = Authority(tmp_path / "impostor", "nobody's CA")
    server = ImpostorRelay(authority.issue("localhost", "127.0.0.1"))
    yield server
    server.close()


def certificate_refused(directory, link, impostor, *extra, ca_file=None):
    status, line = refused_client(directory, link.with_(scheme="zks", hosts=f"localhost:{impostor.port}"), *extra,
                                  ca_file=ca_file)
    assert status == REFUSED
    assert impostor.dialled, "the impostor was dialled"
    assert impostor.heard == b"", "no request was sent"
    return line


def test_untrusted_certificate(plain, tmp_path, impostor):
    line = certificate_refused(tmp_path, plain[0].link(), impostor)
    assert "certificate" in line


def test_certificate_of_another_authority(plain, tmp_path, impostor, authority):
    line = certificate_refused(tmp_path, plain[0].link(), impostor, ca_file=authority.ca_file)
    assert "certificate" in line


def test_certificate_of_another_name(plain, tmp_path, authority):
    server = ImpostorRelay(authority.issue("relay.example.test"))
    try:
        line = certificate_refused(tmp_path, plain[0].link(), server, ca_file=authority.ca_file)
    finally:
        server.close()
    assert "certificate" in line or "name" in line


def test_wrong_pin(plain, tmp_path, impostor):
    link = plain[0].link().with_(pin=base64url(secrets.token_bytes(32)))
    line = certificate_refused(tmp_path, link, impostor)
    assert "pin" in line


def test_right_pin_needs_no_authority(tmp_path, programs):
    """The other half of the pin's tests: the pin of the relay's own key is enough."""
    certificate = Authority(tmp_path / "own").issue("localhost")
    relay = start_relay(tmp_path, certificate)
    programs.append(relay)
    exit_peer = start_exit(tmp_path, relay.url, "--relay-pin", base64url(certificate.pin))
    programs.append(exit_peer)
    assert exit_peer.link().pin == base64url(certificate.pin), "the exit hands its pin on"
    programs.append(start_client(tmp_path, exit_peer.link()))


def test_exit_refuses_an_untrusted_relay(tmp_path, impostor):
    done = run([CLIENT_PROGRAM, "exit-peer", "--relay", f"wss://localhost:{impostor.port}",
                "--state-dir", tmp_path / "state", "--log-level", "error"], WITHIN_SECONDS)
    assert done.returncode == REFUSED, done.stderr
    assert "certificate" in done.stderr
    assert impostor.dialled and impostor.heard == b""
