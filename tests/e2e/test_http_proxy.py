# SPDX-License-Identifier: MIT
"""The HTTP side of the proxy's port, and SOCKS4a: curl to nginx in every way that curl asks a proxy, passwords, error
pages and statuses, WebSocket, hostile bytes, and bodies that arrive unchanged."""
import asyncio
import base64
import contextlib
import http.client
import http.server
import re
import select
import socket
import struct
import subprocess
import threading

import pytest
import websockets
from conftest import SITE, SITE_IPV6
from harness import servers, socks
from harness.process import run, wait_until
from harness.transfer import MIB, sha256_of, write_random

PAGE = "<html>forty-two bytes of hypertext</html>\n"
# A session's memory in each direction, 64 MiB, and pieces of 16 KiB for each connection; the rest is slack.
CLIENT_BOUND = 192 * MIB
SLOW_HEADER_SECONDS = 10  # what the proxy gives a client for its header


def curl(*arguments, seconds=60):
    return run(["curl", "-sS", "--noproxy", "", "--connect-timeout", "15", *arguments], seconds)


def through(tunnel):
    return "--proxy", f"http://{tunnel.proxy_text}"


@pytest.fixture(scope="module")
def page(web):
    (web.root / "page.html").write_text(PAGE)
    return f"http://{SITE}:{web.http_port}/page.html"


def ask(tunnel, request, seconds=15):
    """What the proxy says to raw bytes, until it closes."""
    with socket.create_connection(tunnel.proxy, seconds) as sock:
        sock.sendall(request)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
        return answer


def status_of(answer):
    assert answer.startswith(b"HTTP/1.1 "), answer[:100]
    return int(answer.split()[1])


# --- what belongs to a connection ---


class NtlmHandler(http.server.BaseHTTPRequestHandler):
    """The server's side of NTLM as curl needs it: both messages have to come on one connection."""
    protocol_version = "HTTP/1.1"
    challenged = False

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = 0
        if (login := self.headers.get("Authorization", "")).startswith("NTLM "):
            kind = base64.b64decode(login[5:])[8]
        if kind == 1:
            self.challenged = True
            challenge = b"NTLMSSP\0" + struct.pack("<IHHII8s8xHHI", 2, 0, 0, 48, 0x8201, b"12345678", 0, 0, 48)
            self.say(401, "NTLM " + base64.b64encode(challenge).decode())
        elif kind == 3 and self.challenged:
            self.say(200, None)
        else:
            self.say(401, "NTLM")

    do_GET = do_POST = do_PUT = do_PROPFIND = do_PATCH = answer

    def say(self, status, login):
        self.send_response(status)
        if login:
            self.send_header("WWW-Authenticate", login)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PROPFIND", "PATCH"])
def test_a_login_that_belongs_to_the_connection(tunnel, method):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NtlmHandler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            body = [] if method == "GET" else ["--data", "a=1"]
            got = curl(*through(tunnel), "--ntlm", "--user", "user:password", "--request", method, *body,
                       "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            serving.join()
    assert got.stdout == "200", got.stderr


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata:1\r\n"])
def test_a_client_that_leaves_while_it_waits_is_told_to_the_destination(tunnel, begun):
    with servers.accepting() as server:
        with subprocess.Popen(["curl", "-sN", "--noproxy", "", "-o", "/dev/null", *through(tunnel),
                               f"http://127.0.0.1:{server.port}/"]) as client:
            far = server.next()
            assert far.recv(65536).startswith(b"GET / HTTP/1.1")
            far.sendall(begun)
            client.terminate()
        far.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            assert far.recv(1) == b""
        far.close()


@pytest.mark.parametrize("unasked", [b"", b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"])
def test_an_idle_connection_to_a_server_ends_in_order(tunnel, unasked):
    """FIN, and no RST, whatever the server has said meanwhile that nobody reads."""
    with servers.accepting() as server:
        with socket.create_connection(tunnel.proxy, 10) as near:
            near.sendall(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n\r\n".encode())
            far = server.next()
            assert far.recv(65536).startswith(b"GET / HTTP/1.1")
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            far.sendall(answer)
            assert socks.read_exactly(near, len(answer)) == answer
            far.sendall(unasked)
        assert far.recv(1) == b""
        assert far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        far.close()


# --- an upgrade to HTTP/2 ---

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def read_frame(sock):
    head = socks.read_exactly(sock, 9)
    return head[3], head[4], socks.read_exactly(sock, int.from_bytes(head[:3], "big"))


def serve_h2c(far):
    """The server's side of an upgrade (RFC 7540, section 3.2), strict about the request; its fields."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += socks.read_exactly(far, 1)
    fields = dict(line.lower().split(b": ", 1) for line in request.split(b"\r\n")[1:] if line)
    assert fields[b"upgrade"] == b"h2c" and fields[b"http2-settings"]
    assert {b"upgrade", b"http2-settings"} <= {each.strip() for each in fields[b"connection"].split(b",")}
    far.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + frame(SETTINGS, 0, 0))
    assert socks.read_exactly(far, len(HTTP2_PREFACE)) == HTTP2_PREFACE
    kind, flags, _ = read_frame(far)
    assert (kind, flags & ACK) == (SETTINGS, 0)
    far.sendall(frame(SETTINGS, ACK, 0))
    status_200 = b"\x88"  # RFC 7541, appendix A, entry 8
    far.sendall(frame(HEADERS, END_HEADERS, 1, status_200) + frame(DATA, END_STREAM, 1, b"hello"))
    while read_frame(far)[:2] != (SETTINGS, ACK):
        pass


def test_curl_upgrades_to_http2(tunnel):
    with servers.accepting() as server:
        with subprocess.Popen(["curl", "-sS", "--noproxy", "", "--http2", "-w", " %{http_version} %{response_code}",
                               *through(tunnel), f"http://127.0.0.1:{server.port}/"], stdout=subprocess.PIPE) as client:
            with server.next() as far:
                serve_h2c(far)
                assert client.communicate(timeout=30)[0] == b"hello 2 200"
                while far.recv(65536):
                    pass  # GOAWAY, and the end
        assert client.returncode == 0


# --- answers of old and odd servers ---

CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
ODD_ANSWERS = {
    "chunks beside a length": b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "LF behind chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    "another version": b"HTTP/2 200\r\nContent-Length: 5\r\n\r\nhello",
    "a later version": b"HTTP/1.3 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "lower case": b"http/1.1 200 ok\r\nContent-Length: 5\r\n\r\nhello",
    "everything": b"http/2.0\t200\nTransfer-Encoding : identity,chunked,\nContent-Length: 1\nContent-Length: 2\n\n5 \nhello\r\n0\n\n",
}


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
def test_answers_of_odd_servers(tunnel, answer):
    with servers.accepting() as server:
        with subprocess.Popen(["curl", "-sS", "--noproxy", "", *through(tunnel), f"http://127.0.0.1:{server.port}/"],
                              stdout=subprocess.PIPE) as client:
            with server.next() as far:
                assert far.recv(65536).startswith(b"GET / HTTP/1.1")
                far.sendall(answer)
                assert client.communicate(timeout=30)[0] == b"hello", "while the server's connection stays open"
        assert client.returncode == 0


# --- curl ---


def test_get_by_name(tunnel, page, dns):
    got = curl(*through(tunnel), "--fail", page)
    assert (got.returncode, got.stdout) == (0, PAGE), got.stderr
    assert SITE in {name for name, _ in dns.asked}, "the exit's resolver was asked"


def test_get_over_ipv6_by_address_and_by_name(tunnel, web, page):
    for host in ("[::1]", SITE_IPV6):
        got = curl(*through(tunnel), "--fail", f"http://{host}:{web.http6_port}/page.html")
        assert (got.returncode, got.stdout) == (0, PAGE), got.stderr


def test_connect(tunnel, web, authority, page):
    for url in (page, f"https://{SITE}:{web.https_port}/page.html", f"http://[::1]:{web.http6_port}/page.html"):
        got = curl(*through(tunnel), "--proxytunnel", "--cacert", authority.ca_file, "--fail", url)
        assert (got.returncode, got.stdout) == (0, PAGE), got.stderr


def test_socks4a_and_socks4(tunnel, web, page):
    got = curl("--socks4a", tunnel.proxy_text, "--fail", page)
    assert (got.returncode, got.stdout) == (0, PAGE), got.stderr
    got = curl("--socks4", tunnel.proxy_text, "--fail", f"http://127.0.0.1:{web.http_port}/page.html")
    assert (got.returncode, got.stdout) == (0, PAGE), got.stderr
    got = curl("--socks4", tunnel.proxy_text, "http://127.0.0.2/")
    assert got.returncode == 97, "97: curl's status for a refusal by the proxy"


def test_head(tunnel, page):
    got = curl(*through(tunnel), "--fail", "--head", page)
    assert got.returncode == 0, got.stderr
    assert f"content-length: {len(PAGE)}" in got.stdout.lower()


def test_many_requests_on_one_connection(tunnel, page, tmp_path):
    got = curl(*through(tunnel), "--fail", "--verbose", *[page] * 20)
    assert got.stdout == PAGE * 20, got.stderr
    assert got.stderr.count("Re-using existing connection") == 19, got.stderr


def test_upload_with_length_and_in_chunks(tunnel, web, tmp_path):
    source = tmp_path / "source"
    digest = write_random(source, MIB)
    ways = {"length": ["-H", "Expect:", "-T", source], "continue": ["-H", "Expect: 100-continue", "-T", source],
            "chunks": ["-H", "Transfer-Encoding: chunked", "-T", source]}
    for name, way in ways.items():
        got = curl(*through(tunnel), "--fail", *way, f"http://{SITE}:{web.http_port}/upload/http-{name}")
        assert got.returncode == 0, (name, got.stderr)
        assert sha256_of(web.uploads / f"http-{name}") == digest, name


def test_refusal_of_an_upload_reaches_the_client(tunnel, page, tmp_path):
    """The answer comes while the body is still on its way: nginx's 405 to a POST of a file."""
    source = tmp_path / "source"
    write_random(source, 4 * MIB)
    got = curl(*through(tunnel), "-o", tmp_path / "answer", "-w", "%{http_code}", "--data-binary", f"@{source}", page)
    assert got.stdout == "405", got.stderr


@pytest.mark.load
def test_large_bodies_arrive_unchanged(tunnel, web, full, tmp_path):
    path = web.root / "large"
    digest = write_random(path, (1024 if full else 64) * MIB)
    url = f"http://{SITE}:{web.http_port}"
    got = curl(*through(tunnel), "--fail", f"{url}/large", "-o", tmp_path / "got", seconds=180)
    assert got.returncode == 0, got.stderr
    assert sha256_of(tmp_path / "got") == digest
    got = curl(*through(tunnel), "--fail", "-H", "Expect:", "-T", path, f"{url}/upload/http-large", seconds=180)
    assert got.returncode == 0, got.stderr
    assert sha256_of(web.uploads / "http-large") == digest
    path.unlink()


def settled(program):
    """The program's resident size once it no longer changes from one second to the next."""
    sizes = [program.resident_bytes()]

    def is_stable():
        assert not threading.Event().wait(1)
        sizes.append(program.resident_bytes())
        return abs(sizes[-1] - sizes[-2]) < MIB

    wait_until(is_stable, 60, "memory stays as it is")
    return sizes[-1]


def nothing_taken(sock):
    """True when what the socket is given stays in the kernel: nobody takes any more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(65536))
    return not select.select([], [sock], [], 1)[1]


@pytest.mark.load
def test_bodies_that_nobody_reads_are_not_held(new_tunnel, web):
    """A hundred answers of 1 GiB whose clients stopped reading, and ten requests whose server did not begin to."""
    tunnel = new_tunnel()
    with open(web.root / "sparse", "wb") as sparse:
        sparse.truncate(1024 * MIB)
    idle = settled(tunnel.client)
    with contextlib.ExitStack() as stack, servers.accepting() as server:
        for _ in range(100):
            near = stack.enter_context(socket.create_connection(tunnel.proxy, 10))
            near.sendall(f"GET http://127.0.0.1:{web.http_port}/sparse HTTP/1.1\r\n\r\n".encode())
            assert near.recv(100).startswith(b"HTTP/1.1 200 ")
        for _ in range(10):
            near = stack.enter_context(socket.create_connection(tunnel.proxy, 10))
            near.sendall(f"PUT http://127.0.0.1:{server.port}/ HTTP/1.1\r\n"
                         f"Content-Length: {1024 * MIB}\r\n\r\n".encode())
            stack.enter_context(server.next())
            near.setblocking(False)
            wait_until(lambda sock=near: nothing_taken(sock), 60, "the upload stops")
        assert settled(tunnel.client) - idle < CLIENT_BOUND
        got = curl(*through(tunnel), "--fail", "-r", "0-99", f"http://127.0.0.1:{web.http_port}/sparse")
        assert got.stdout == "\0" * 100, got.stderr
    tunnel.assert_alive()


# --- passwords ---


@pytest.fixture(scope="module")
def locked(tunnel):
    """A proxy with a password, beside the other one."""
    client = tunnel.add_client("locked", "--user", "alice:correct horse")
    yield client
    assert client.stop() == 0
    tunnel.programs.remove(client)


def test_password(locked, page, web, authority):
    right = ["--proxy-user", "alice:correct horse"]
    secure = f"https://{SITE}:{web.https_port}/page.html"
    for url in (page, secure):
        got = curl(*through(locked), *right, "--fail", "--cacert", authority.ca_file, url)
        assert (got.returncode, got.stdout) == (0, PAGE), got.stderr
    got = curl(*through(locked), *right, "--proxy-anyauth", "--fail", page)
    assert (got.returncode, got.stdout) == (0, PAGE), "asked, and answered on the same connection"
    for wrong in (["--proxy-user", "alice:wrong"], ["--proxy-user", "bob:correct horse"], []):
        got = curl(*through(locked), *wrong, "-o", "/dev/null", "-w", "%{http_code}", page)
        assert got.stdout == "407"
        got = curl(*through(locked), *wrong, secure)
        assert got.returncode == 56 and "407" in got.stderr, got.stderr
    assert curl("--socks4a", locked.proxy_text, page).returncode == 97, "SOCKS4 has no password"


def test_password_is_not_passed_on_nor_logged(locked):
    secret = base64.b64encode(b"alice:correct horse").decode()
    with servers.accepting() as server:
        with socket.create_connection(locked.proxy, 10) as near:
            near.sendall((f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n"
                          f"Proxy-Authorization: Basic {secret}\r\n\r\n").encode())
            far = server.next()
            assert far.recv(65536) == f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
            far.close()
    assert secret not in locked.stderr() and "correct horse" not in locked.stderr()


# --- what can go wrong ---


FAILURES = {"nobody.exit-only.test:80": 502, "127.0.0.2:80": 403, "10.1.2.3:80": 403, "[fd00::1]:80": 403,
            "127.255.255.255:80": 502}


@pytest.mark.parametrize("target", FAILURES)
def test_failures_have_statuses_and_pages(tunnel, target):
    for request in (f"CONNECT {target} HTTP/1.1\r\n\r\n", f"GET http://{target}/ HTTP/1.0\r\n\r\n"):
        answer = ask(tunnel, request.encode())
        assert status_of(answer) == FAILURES[target]
        assert b"<h1>" in answer and b"The exit" in answer


def test_connection_refused(tunnel):
    with servers.closed_port() as port:
        got = curl(*through(tunnel), "-w", "%{http_code}", f"http://127.0.0.1:{port}/")
        assert got.stdout.endswith("502") and "refused the connection" in got.stdout
        got = curl(*through(tunnel), "--proxytunnel", f"http://127.0.0.1:{port}/")
        assert got.returncode == 56 and "502" in got.stderr, got.stderr


HOSTILE = {
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": None, b"\0" * 100: None, b"\xff" * 100: None, b"\t" * 100: None,
    b"hello\r\n\r\n": 400, b"GET http://a/ HTTP/1.1\r\nX: a\r\n b\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000: 431, b"GET http://a/ HTTP/2.0\r\n\r\n": 505,
    b"POST http://a/ HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
    b"POST http://a/ HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde": 400,
    b"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n": 501,
    b"GET https://a/ HTTP/1.1\r\n\r\n": 501, b"CONNECT a HTTP/1.1\r\n\r\n": 400, b"GET a HTTP/1.1\r\n\r\n": 400,
}


@pytest.mark.parametrize("request_bytes", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_requests(tunnel, request_bytes, page):
    answer = ask(tunnel, request_bytes)
    if HOSTILE[request_bytes] is None:
        assert answer == b""
    else:
        assert status_of(answer) == HOSTILE[request_bytes]
    assert curl(*through(tunnel), "--fail", page).stdout == PAGE, "others are served as before"


@pytest.mark.parametrize("blank", [b"\r\n", b"\n"])
def test_an_empty_line_before_the_first_request(tunnel, page, blank):
    for request in (f"GET {page} HTTP/1.1\r\nConnection: close\r\n\r\n", "GET /proxy.pac HTTP/1.0\r\n\r\n"):
        assert status_of(ask(tunnel, blank + request.encode())) == 200


def test_slow_header_is_ended(tunnel):
    with socket.create_connection(tunnel.proxy, SLOW_HEADER_SECONDS + 10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nX: ")
        sock.settimeout(1)
        for _ in range(SLOW_HEADER_SECONDS + 5):
            try:
                sock.sendall(b"x")
                if sock.recv(1) == b"":
                    return
            except socket.timeout:
                continue
            except ConnectionError:
                return
        raise AssertionError("the header may take for ever")


def test_answers_that_end_in_pieces_or_wrongly(tunnel):
    """The last chunk byte by byte, and answers that break off, are nothing that ends the program."""
    with servers.accepting() as server:
        for pieces, whole in (([b"0\r\n", b"\r", b"\n"], True), ([b"0", b"\r\n\r\n"], True), ([b"3\r\nab"], False),
                              ([b"zz\r\n"], False)):
            with socket.create_connection(tunnel.proxy, 10) as near:
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                near.sendall(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n\r\n".encode())
                far = server.next()
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                far.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                assert near.recv(65536).endswith(b"\r\n\r\n"), "the header is there before any chunk"
                with contextlib.suppress(OSError):  # the proxy may have seen enough before the end
                    for piece in pieces:
                        far.sendall(piece)
                    far.shutdown(socket.SHUT_WR)
                if whole:
                    assert socks.read_exactly(near, 5) == b"0\r\n\r\n"
                else:
                    with pytest.raises(ConnectionResetError):
                        while near.recv(65536):
                            pass
                far.close()
    tunnel.assert_alive()


def test_client_reset_reaches_server(tunnel):
    with servers.accepting() as server:
        near = socket.create_connection(tunnel.proxy, 10)
        near.sendall(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n\r\n".encode())
        far = server.next()
        assert far.recv(65536).startswith(b"GET / ")
        socks.abort(near)
        with pytest.raises(ConnectionResetError):
            far.recv(1)
        far.close()


@pytest.mark.parametrize("protocol", ["connect", "4"])
def test_nc_half_closes_through_a_tunnel(tunnel, web, page, protocol):
    """`nc -N` sends FIN at the end of its input and prints what still comes."""
    got = run(["nc", "-N", "-X", protocol, "-x", tunnel.proxy_text, "127.0.0.1", str(web.http_port)],
              input="GET /page.html HTTP/1.0\r\n\r\n")
    assert got.returncode == 0 and got.stdout.endswith(PAGE), got.stderr


def test_half_close_behind_a_request(tunnel, page):
    """A whole request, then FIN: the answer still comes."""
    with socket.create_connection(tunnel.proxy, 10) as near:
        near.sendall(f"GET {page} HTTP/1.0\r\n\r\n".encode())
        near.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := near.recv(65536):
            answer += chunk
    assert answer.endswith(PAGE.encode())


# --- the proxy's own pages ---


def test_own_pages(tunnel, locked):
    for client in (tunnel, locked):
        host, port = client.proxy
        with socket.create_connection((host, port), 10):
            connection = http.client.HTTPConnection(host, port, timeout=10)
            html, pac = "text/html; charset=utf-8", "application/x-ns-proxy-autoconfig"
            for path, status, kind in (("/", 200, html), ("/nothing", 404, html), ("/proxy.pac", 200, pac)):
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read().decode()
                assert (answer.status, answer.getheader("Content-Type")) == (status, kind)
            socks5 = "" if client is locked else f"SOCKS5 {client.proxy_text}; "
            assert f'return "{socks5}PROXY {client.proxy_text}"' in body
            connection.request("GET", "/proxy.pac", headers={"Host": "rebound.test:1080"})
            assert f"PROXY {client.proxy_text}" in connection.getresponse().read().decode()
            connection.close()


# --- WebSocket ---


class EchoServer:
    """websockets' server, in a thread of its own."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()
        self._thread.start()
        assert self._started.wait(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self):
        self._stop = asyncio.Event()

        async def echo(connection):
            async for message in connection:
                await connection.send(message)

        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._started.set()
            await self._stop.wait()

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture(scope="module")
def echo():
    server = EchoServer()
    yield server
    server.close()


async def speak(sock, port):
    async with websockets.connect(f"ws://127.0.0.1:{port}/", sock=sock) as connection:
        for message in ("hello", b"\0" * 100_000):
            await connection.send(message)
            assert await asyncio.wait_for(connection.recv(), 10) == message


def test_websocket_through_connect(tunnel, echo):
    with socket.create_connection(tunnel.proxy, 10) as sock:
        sock.sendall(f"CONNECT 127.0.0.1:{echo.port} HTTP/1.1\r\nHost: 127.0.0.1:{echo.port}\r\n\r\n".encode())
        header = b""
        while not header.endswith(b"\r\n\r\n"):
            header += socks.read_exactly(sock, 1)
        assert status_of(header) == 200
        asyncio.run(speak(sock, echo.port))


class AbsoluteForm(socket.socket):
    """Makes absolute-form of the first request line that is sent, as a browser does for a proxy."""

    prefix = b""

    def send(self, data, *flags):
        if self.prefix and data.startswith(b"GET /"):
            changed, self.prefix = b"GET " + self.prefix + bytes(data[4:]), b""
            self.sendall(changed, *flags)
            return len(data)
        return super().send(data, *flags)


def test_websocket_by_upgrade(tunnel, echo):
    with AbsoluteForm(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect(tunnel.proxy)
        sock.prefix = f"http://127.0.0.1:{echo.port}".encode()
        asyncio.run(speak(sock, echo.port))
        assert sock.prefix == b"", "the request went out in absolute form"


def test_exit_logs_no_destination(tunnel, page):
    assert curl(*through(tunnel), "--fail", page).returncode == 0
    logs = tunnel.client.stderr() + tunnel.exit.stderr() + tunnel.relay.stderr()
    assert not re.search(re.escape(SITE), logs)
