# SPDX-License-Identifier: MIT
"""Networks that do not let everything out: an HTTP proxy as the only way (a real squid, a real tinyproxy, hostile ones), a
front that asks for a header or for another server name, IPv6 alone, and one of two interfaces."""
import contextlib
import os
import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from harness import servers, socks
from harness.access_link import AccessLink
from harness.chain import LOST, RESUMED, assert_serves
from harness.process import CLIENT_PROGRAM, ReadyProgram, clean_environment, run, wait_until
from harness.servers import accept_in_background
from harness.tunnel import RELAYS, client_command, start_client, start_exit, start_relay
from harness.upstream import Squid, Tinyproxy
from harness.watching import status

PROXIES = {"squid": Squid, "tinyproxy": Tinyproxy}
REFUSED = 3


def private_file(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory, authority):
    """A relay and an exit, both reached directly."""
    directory = tmp_path_factory.mktemp("home")
    relay = start_relay(directory, authority.issue())
    exit_peer = start_exit(directory, relay.url, ca_file=authority.ca_file)
    exit_peer.relay = relay
    yield exit_peer
    for program in (exit_peer, relay):
        program.kill()


@contextlib.contextmanager
def proxy_of(kind, port):
    proxy = PROXIES[kind](port)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture(scope="module", params=PROXIES)
def proxy(request, home):
    with proxy_of(request.param, home.relay.port) as made:
        yield made


@pytest.fixture(scope="module")
def tinyproxy(home):
    with proxy_of("tinyproxy", home.relay.port) as made:
        yield made


def refused(directory, link, authority, *options, environment=None):
    """What a client says that can't begin: (status, stderr)."""
    done = run(client_command(directory, link, *options, ca_file=authority.ca_file), 30,
               env=environment or clean_environment())
    return done.returncode, done.stderr


def check_steps(directory, home, authority, *options, environment=None):
    link_file = private_file(directory / "checked.link", f"{home.link()}\n")
    done = run([CLIENT_PROGRAM, "check", "--link-file", link_file, "--state-dir", home.state.parent / "check-state",
                "--relay-ca", authority.ca_file, *options], env=environment or clean_environment())
    return done.returncode, re.findall(r"^  (\S.*?) +(?:ok|FAILED) ", done.stdout, re.MULTILINE), done.stdout


# ---- the upstream proxy

def test_both_ends_through_a_proxy_with_a_password(proxy, home, tmp_path, authority, programs):
    user_file = private_file(tmp_path / "proxy-user", f"{proxy.user}:{proxy.password}\n")
    before = len(proxy.requests())
    through = ("--http-proxy", f"http://{proxy.address()}", "--http-proxy-user-file", user_file)
    exit_peer = start_exit(tmp_path, home.relay.url, *through, ca_file=authority.ca_file)
    programs.append(exit_peer)
    client = start_client(tmp_path, exit_peer.link(), "--http-proxy", proxy.url(), "--log-level", "debug",
                          ca_file=authority.ca_file)
    programs.append(client)
    assert_serves(client.proxy)
    (lane,) = status(client)["client"]["session"]["lanes"]
    assert lane["path"]["proxy"] == proxy.address() and lane["path"]["relay_url"] == home.relay.url
    cmdline = Path(f"/proc/{client.pid}/cmdline").read_bytes()
    assert client.stop() == 0 and exit_peer.stop() == 0
    wait_until(lambda: len(proxy.requests()) >= before + 3, 10, "the proxy saw both halves and the exit's control socket")
    assert all(f"localhost:{home.relay.port}" in line for line in proxy.requests())
    said_by_all = exit_peer.stderr() + client.stderr()
    exit_peer.says(f"through the HTTP proxy {proxy.address()}")
    for secret in (proxy.password, proxy.escaped_password, "Basic "):
        assert secret not in said_by_all
        assert secret.encode() not in cmdline


def test_a_wrong_or_missing_password_is_final_and_named(proxy, home, tmp_path, authority):
    status, log = refused(tmp_path, home.link(), authority, "--http-proxy", f"http://erika:wrong-one@{proxy.address()}")
    assert status == REFUSED and "does not take this user and password" in log and "wrong-one" not in log
    status, log = refused(tmp_path, home.link(), authority, "--http-proxy", f"http://{proxy.address()}")
    assert status == REFUSED and "--http-proxy-user-file" in log


def test_a_port_that_the_proxy_does_not_open(home, tmp_path, authority):
    with proxy_of("squid", 443) as strict:
        status, log = refused(tmp_path, home.link(), authority, "--http-proxy", strict.url())
    assert status == REFUSED and "403" in log and "port 443" in log


def test_a_session_survives_its_proxy(tinyproxy, home, tmp_path, authority, programs):
    client = start_client(tmp_path, home.link(), "--http-proxy", tinyproxy.url(), ca_file=authority.ca_file)
    programs.append(client)
    with servers.accepting() as server, socks.connect(client.proxy, "127.0.0.1", server.port) as near, \
            server.next() as far:
        near.sendall(b"before")
        assert socks.read_exactly(far, 6) == b"before"
        tinyproxy.kill()
        client.says(LOST, seconds=10)
        client.says("the HTTP proxy: can't connect", seconds=20)
        far.sendall(b"meanwhile")
        tinyproxy.start()
        client.says(RESUMED, seconds=30)
        assert socks.read_exactly(near, 9) == b"meanwhile"
        near.sendall(b"after")
        assert socks.read_exactly(far, 5) == b"after"


@pytest.mark.parametrize("variables, options, through", [
    ({"https_proxy": "{url}"}, (), True),
    ({"HTTPS_PROXY": "{url}", "no_proxy": "localhost.example,10.0.0.0/8"}, (), True),
    ({"http_proxy": "{url}"}, (), False),
    ({"https_proxy": "{url}", "no_proxy": "example.com, localhost"}, (), False),
    ({"https_proxy": "{url}", "NO_PROXY": "*"}, (), False),
    ({"https_proxy": "{url}"}, ("--http-proxy", "none"), False),
    ({"https_proxy": "http://127.0.0.1:1", "no_proxy": "*"}, ("--http-proxy", "{url}"), True),
], ids=["https_proxy", "upper case", "http_proxy is for ws", "no_proxy", "star", "none", "the option wins"])
def test_the_environment_chooses(tinyproxy, home, tmp_path, authority, variables, options, through):
    before = len(tinyproxy.requests())
    fill = {"url": tinyproxy.url()}
    environment = clean_environment(**{name: value.format(**fill) for name, value in variables.items()})
    status, steps, said_all = check_steps(tmp_path, home, authority, *(option.format(**fill) for option in options),
                                          environment=environment)
    assert status == 0, said_all
    assert ("proxy" in steps) == through
    assert (len(tinyproxy.requests()) > before) == through


def test_check_shows_the_proxy_as_a_step(tinyproxy, home, tmp_path, authority):
    status, steps, _ = check_steps(tmp_path, home, authority, "--http-proxy", tinyproxy.url())
    assert status == 0
    assert steps == ["DNS", "TCP", "proxy", "TLS, relay", "exit", "key", "session", "stream"]
    status, steps, said_all = check_steps(tmp_path, home, authority, "--http-proxy", f"http://{tinyproxy.address()}")
    assert status == REFUSED and steps == ["DNS", "TCP", "proxy"] and "asks for a user" in said_all


def test_a_variable_that_is_no_http_proxy_is_named(home, tmp_path, authority):
    status, log = refused(tmp_path, home.link(), authority,
                          environment=clean_environment(https_proxy="socks5h://u:secret@127.0.0.1:1080"))
    assert status == 2 and "https_proxy" in log and "--http-proxy none" in log and "secret" not in log


def test_the_proxy_that_it_is_itself_is_refused(home, tmp_path, authority):
    """What an https_proxy for other programs would lead to: a client that waits for itself."""
    with servers.closed_port() as port:
        command = client_command(tmp_path, home.link(), ca_file=authority.ca_file)
        command[command.index("--listen") + 1] = f"127.0.0.1:{port}"
        done = run(command, 30, env=clean_environment(https_proxy=f"http://localhost:{port}"))
    assert done.returncode == 2 and "--http-proxy none" in done.stderr


class Answering:
    """Answers each connection's request with `answer`, a function of the connection; `requests` has what came."""

    def __init__(self, answer, tls=None):
        self._answer, self._tls = answer, tls
        self.requests, self.names = [], []
        if tls:
            tls.sni_callback = lambda connection, name, context: self.names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        accept_in_background(self._listener, lambda c: threading.Thread(target=self._serve, args=(c,), daemon=True).start())

    def _serve(self, connection):
        connection.settimeout(20)
        with contextlib.suppress(OSError):
            with self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as stream:
                request = b""
                while b"\r\n\r\n" not in request:
                    part = stream.recv(4096)
                    if not part:
                        return
                    request += part
                self.requests.append(request.decode("latin-1"))
                self._answer(stream)

    def kill(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def endless(stream):
    stream.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        stream.sendall(b"X-Filler: " + b"a" * 1000 + b"\r\n")


@pytest.mark.parametrize("answer, words, status", [
    (lambda stream: stream.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "is not HTTP", 1),
    (endless, "too long", 1),
    (lambda stream: stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03"), "of its own into the tunnel", 1),
    (lambda stream: stream.close(), "without an answer", 1),
    (lambda stream: stream.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\n\r\n"), "302", REFUSED),
], ids=["another protocol", "endless header", "early bytes", "hangs up", "login page"])
def test_a_hostile_proxy_is_named_and_ends_the_step(home, tmp_path, authority, programs, answer, words, status):
    hostile = Answering(answer)
    programs.append(hostile)
    ended, steps, said_all = check_steps(tmp_path, home, authority, "--http-proxy", f"http://127.0.0.1:{hostile.port}")
    assert (ended, steps[-1]) == (status, "proxy")
    assert words in said_all
    assert hostile.requests[0].startswith(f"CONNECT localhost:{home.relay.port} HTTP/1.1\r\n")


def test_a_proxy_cannot_pose_as_the_relay(home, tmp_path, authority, programs):
    """What is inside the tunnel is TLS with the relay's own certificate, whoever answers."""
    stranger = start_relay(tmp_path, authority.issue("other.test"), name="stranger")
    programs.append(stranger)

    def pose(stream):
        with socket.create_connection(("127.0.0.1", stranger.port)) as other:
            stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            stream.settimeout(None)
            threading.Thread(target=pump, args=(other, stream), daemon=True).start()
            pump(stream, other)

    proxy = Answering(pose)
    programs.append(proxy)
    status, log = refused(tmp_path, home.link(), authority, "--http-proxy", f"http://127.0.0.1:{proxy.port}")
    assert status == REFUSED and "not trusted" in log


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


# ---- --header and --sni

def a_link(port):
    return AccessLink("zks", f"localhost:{port}", "", "a" * 32, "", b"\x09" + bytes(31), bytes(8), bytes(32))


def test_header_and_sni_reach_the_server(tmp_path, authority, programs):
    certificate = authority.issue("front.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    server = Answering(lambda stream: stream.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), context)
    programs.append(server)
    status, log = refused(tmp_path, a_link(server.port), authority, "--sni", "front.test",
                          "--header", "X-Token: secret-of-the-front", "--header", "User-Agent: Mozilla/5.0")
    assert status == REFUSED and "404" in log
    assert server.names == ["front.test"]
    (request,) = server.requests
    assert "\r\nX-Token: secret-of-the-front\r\n" in request and "\r\nUser-Agent: Mozilla/5.0\r\n" in request
    assert f"\r\nHost: localhost:{server.port}\r\n" in request, "the relay's own name, whatever the TLS said"
    assert "secret-of-the-front" not in log
    # The name that is sent is the one that is verified: the relay's host would not do, nor would any other.
    for options in ((), ("--sni", "other.test")):
        status, log = refused(tmp_path, a_link(server.port), authority, *options)
        assert status == REFUSED and "not trusted" in log


@pytest.mark.parametrize("header", ["Host: other", "connection: close", "Sec-WebSocket-Key: AAAA", "Upgrade: h2c",
                                    "Content-Length: 5", "No colon", "Bad name: a", "X: a\r\nHost: b"])
def test_headers_of_the_upgrade_itself_are_refused(tmp_path, authority, header):
    status, _ = refused(tmp_path, a_link(1), authority, "--header", header)
    assert status == 2


# ---- namespaces

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")
one_relay = pytest.mark.native_relay("what is shown is the ends'; the relay runs in a namespace or on ::1")


@needs_root
@one_relay
def test_a_relay_that_has_ipv6_only(tmp_path, authority, programs):
    """By its address, and by a name that has no other."""
    certificate = authority.issue("relay6.test", "::1")
    relay = ReadyProgram("relay6", [RELAYS["native"], "--listen", "[::1]:0", "--tls-cert", certificate.cert,
                                    "--tls-key", certificate.key, "--join-rate", "0"], tmp_path)
    programs.append(relay)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n::1 relay6.test\n")
    with_hosts = ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    _, port = relay.address()
    for number, host in enumerate(("[::1]", "relay6.test")):
        link_file = tmp_path / f"exit{number}.link"
        exit_peer = ReadyProgram(f"exit{number}", [
            *with_hosts, CLIENT_PROGRAM, "exit-peer", "--relay", f"wss://{host}:{port}", "--relay-ca", authority.ca_file,
            "--state-dir", tmp_path / f"exit{number}-state", "--link-file", link_file, "--allow", "127.0.0.1/32"], tmp_path)
        programs.append(exit_peer)
        client = ReadyProgram(f"client{number}", [
            *with_hosts, CLIENT_PROGRAM, "socks5", "--listen", "127.0.0.1:0", "--link-file", link_file,
            "--relay-ca", authority.ca_file, "--state-dir", tmp_path / f"client{number}-state"], tmp_path)
        programs.append(client)
        assert_serves(client.address())


class TwoWays:
    """A network namespace with two interfaces, `first` and `second`, to another one; the machine there is 10.99.9.1, and
    the routing table prefers the first."""

    def __init__(self):
        self.near, self.far = (f"zks-{side}-{os.getpid()}" for side in ("near", "far"))
        for name in (self.near, self.far):
            subprocess.run(["ip", "netns", "add", name], check=True)
            self.ip(name, "link", "set", "lo", "up")
        self.ip(self.far, "address", "add", "10.99.9.1/32", "dev", "lo")
        for number, interface in enumerate(("first", "second")):
            self.ip(self.near, "link", "add", interface, "type", "veth", "peer", "name", interface, "netns", self.far)
            for name, host in ((self.near, 1), (self.far, 2)):
                self.ip(name, "address", "add", f"10.99.{number}.{host}/24", "dev", interface)
                self.ip(name, "link", "set", interface, "up")
            self.ip(self.near, "route", "add", "10.99.9.1", "via", f"10.99.{number}.2", "metric", str(number + 1))

    @staticmethod
    def ip(name, *arguments):
        subprocess.run(["ip", "-n", name, *arguments], check=True)

    def inside(self, name):
        return ["ip", "netns", "exec", name]

    def sent(self, interface):
        """Bytes that left by it."""
        path = f"/sys/class/net/{interface}/statistics/tx_bytes"
        return int(subprocess.run([*self.inside(self.near), "cat", path], check=True, capture_output=True, text=True).stdout)

    def close(self):
        for name in (self.near, self.far):
            subprocess.run(["ip", "netns", "delete", name], check=True)


@needs_root
@one_relay
def test_bind_interface(tmp_path, authority, programs):
    ways = TwoWays()
    try:
        certificate = authority.issue("10.99.9.1")
        far = ways.inside(ways.far)
        relay = ReadyProgram("relay", [*far, RELAYS["native"], "--listen", "10.99.9.1:0", "--tls-cert", certificate.cert,
                                       "--tls-key", certificate.key, "--join-rate", "0"], tmp_path)
        programs.append(relay)
        link_file = tmp_path / "exit.link"
        exit_peer = ReadyProgram("exit", [*far, CLIENT_PROGRAM, "exit-peer", "--relay", f"wss://10.99.9.1:{relay.address()[1]}",
                                          "--relay-ca", authority.ca_file, "--state-dir", tmp_path / "exit-state",
                                          "--link-file", link_file], tmp_path)
        programs.append(exit_peer)
        # Root without capabilities is anybody, to the kernel.
        anybody = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]

        def check(*options):
            before = {name: ways.sent(name) for name in ("first", "second")}
            done = run([*ways.inside(ways.near), *anybody, CLIENT_PROGRAM, "check", "--link-file", link_file, "--state-dir",
                        tmp_path / "check-state", "--relay-ca", authority.ca_file, *options])
            # A handshake and a session are about 2,000; neighbour discovery alone is less than 200.
            used = {name for name in before if ways.sent(name) - before[name] > 1000}
            return done.returncode, used, done.stdout

        assert check()[:2] == (0, {"first"})
        assert check("--bind-interface", "first")[:2] == (0, {"first"})
        status, used, said_all = check("--bind-interface", "second")
        assert (status, used) == (0, {"second"}) and "by second" in said_all
        status, used, said_all = check("--bind-interface", "third")
        assert (status, used) == (1, set()) and "there is no network interface third" in said_all
    finally:
        for program in programs:
            program.kill()
        ways.close()


def test_a_wrong_interface_name_is_wrong_usage(tmp_path, authority):
    for name in ("", "a/b", "a-name-that-is-too-long", "a b"):
        assert refused(tmp_path, a_link(1), authority, "--bind-interface", name)[0] == 2
