# SPDX-License-Identifier: MIT
"""What a client's log tells, at debug, of connections that come to nothing: each with who asked and why, and no password."""
import socket

import pytest
from harness import socks
from harness.process import wait_until
from harness.tunnel import Tunnel
from harness.udp import Association, header

SECRET = "a long password"
PROXY_USER = "somebody"


@pytest.fixture(scope="module")
def logged(workspace, authority):
    user_file = workspace / "proxy-user"
    user_file.write_text(f"{PROXY_USER}:{SECRET}\n")
    user_file.chmod(0o600)
    chain = Tunnel(workspace, authority, client_options=("--log-level", "debug"))
    chain.guarded = chain.add_client("guarded", "--log-level", "debug", "--user-file", user_file)
    yield chain
    chain.stop()


def say(address, request):
    with socket.create_connection(address, 10) as client:
        client.sendall(request)
        while client.recv(4096):
            pass
        return "{}:{}".format(*client.getsockname())


CASES = {
    "a destination that the exit refuses": (b"CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n", "to 10.0.0.1:80 failed: "),
    "the same by SOCKS4": (b"\x04\x01\x00\x50\x0a\x00\x00\x01\x00", "to 10.0.0.1:80 failed: "),
    "SOCKS5 without a method": (b"\x05\x01\x77", "is refused"),
    "SOCKS4 that binds": (b"\x04\x02\x00\x50\x0a\x00\x00\x01\x00", "is refused"),
    "HTTP without a version": (b"GET /\r\n\r\n", "is answered 400"),
    "a long header": (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", "header of more than 16 KiB"),
    "another protocol": (b"\x16\x03\x01\x02\x00", "speaks neither SOCKS nor HTTP"),
}


@pytest.mark.parametrize("request_bytes, words", CASES.values(), ids=CASES)
def test_what_comes_to_nothing_is_told(logged, request_bytes, words):
    who = say(logged.proxy, request_bytes)
    wait_until(lambda: any(who in line and words in line for line in logged.client.stderr().splitlines()), 10,
               f"{words!r} of {who} in the log")


def test_a_wrong_password_is_told_and_not_repeated(logged):
    wrong = b"another password"
    login = bytes([1, len(PROXY_USER)]) + PROXY_USER.encode() + bytes([len(wrong)]) + wrong
    who = say(logged.guarded.proxy, b"\x05\x01\x02" + login)
    wait_until(lambda: who in logged.guarded.stderr(), 10, "it is told")
    assert wrong.decode() not in logged.guarded.stderr() and SECRET not in logged.guarded.stderr()


def test_a_datagram_that_is_dropped_is_told_once(logged):
    with Association(logged.proxy, announce=0) as association:
        for _ in range(3):
            association.send("127.0.0.1", 9, b"a piece", fragment=1)
        wait_until(lambda: "is dropped" in logged.client.stderr(), 10, "it is told")
        association.socket.sendto(header("127.0.0.1", 9) + b"x", association.relay)
    assert logged.client.stderr().count("UDP association") == 1


def test_socks_codes_are_as_before(logged):
    with pytest.raises(socks.SocksError):
        socks.connect(logged.proxy, "10.0.0.1", 80)
