# SPDX-License-Identifier: MIT
"""A path that loses large packets and does not say so: a router that drops packets over 1,280 bytes, and its ICMP. And
two that do not: a clean one, and one that is away for a while."""
import contextlib
import itertools
import json
import re
import sys

import pytest
from harness import namespace
from harness.chain import LOST, said
from harness.outages import pause
from harness.process import CLIENT_PROGRAM, wait_until
from harness.transfer import MIB, sha256_of, write_random
from harness.world import RELAY, RELAY_PORT, World

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]
FOUND = "loses large packets"
SEGMENT = 1200
SIZE = 3 * MIB
# Two lanes are stuck until the client gives them up, and the third goes on; the rest is patience with a busy machine.
SECONDS = 150
NEVER_SECONDS = 20  # bare TCP is still where it was then
PROXY = "127.0.0.1:1080"
SITE = "127.0.0.1"  # at the exit, or its path would be the narrow one, too
PROXY_PORT = "3128"  # of the HTTP proxy on the way
# More than a segment of TLS's first answer.
MANY_NAMES = [f"{'n' * 40}{number}.{'x' * 50}.example" for number in range(40)]
SERVER = """
import http.server, pathlib, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_PUT(self):
        path = pathlib.Path(self.directory, "uploads", self.path.strip("/"))
        left = int(self.headers["Content-Length"])
        with open(path, "wb") as out:
            while left and (part := self.rfile.read(min(left, 65536))):
                out.write(part)
                left -= len(part)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.ThreadingHTTPServer(("0.0.0.0", 80), lambda *a: Handler(*a, directory=sys.argv[1])).serve_forever()
"""
CURL_TIMED_OUT = 28
_numbers = itertools.count()


class Path:
    """Relay, exit with a site, and client. `narrow`: the host to and from which packets of 1,280 bytes pass at most."""

    def __init__(self, world, directory, authority, narrow=None, family=4, tls=None, beside=None, client_options=()):
        self.world, self.directory = world, directory
        world.sh("router", "nft", "add table inet path; add chain inet path forward { type filter hook forward priority 0; }")
        for host in ("client", "relay", "exit"):  # or a veth lets what is larger pass
            world.sh(host, "ip", "link", "set", "uplink", "gso_max_segs", "1")
        if narrow:
            self.drop(narrow, "meta length > 1280")
        if beside:
            world.start(*beside)
            wait_until(lambda: world.run("relay", "nc", "-z", RELAY[4], PROXY_PORT).returncode == 0, 20, "the proxy listens")
        names = {None: None, "small": (), "large": MANY_NAMES}[tls]
        certificate = None if names is None else authority.issue(RELAY[4], RELAY[6], *names)
        self.trust = ["--relay-ca", authority.ca_file] if certificate else []
        self.relay = world.start_relay(certificate=certificate)
        host = RELAY[4] if family == 4 else f"[{RELAY[6]}]"
        self.exit = world.start_exit("--allow", "127.0.0.0/8", relay_host=host, ca_file=authority.ca_file if certificate else None)
        root = directory / "www"
        (root / "uploads").mkdir(parents=True)
        self.source, self.uploads = root / "source", root / "uploads"
        self.digest = write_random(self.source, SIZE)
        world.start("exit", "web", sys.executable, "-c", SERVER, root)
        wait_until(lambda: world.run("exit", "curl", "-sI", "http://127.0.0.1/").returncode == 0, 20, "the site answers")
        self.link_file = directory / "socks.link"
        self.link_file.write_text(f"{self.exit.link}\n")
        self.link_file.chmod(0o600)
        self.client = world.start("client", "socks", CLIENT_PROGRAM, "socks5", "--link-file", self.link_file, "--state-dir",
                                  directory / "socks-state", "--listen", PROXY, *self.trust, *client_options, ready=True)

    def drop(self, host, what=""):
        """On the way from and to the host."""
        for way in ("iifname", "oifname"):
            self.world.sh("router", "nft", f"add rule inet path forward {way} {host} {what} drop")

    def curl(self, *arguments):
        return self.world.run("client", "curl", "-sS", "--fail", "-m", str(SECONDS), "--socks5", PROXY, *arguments,
                              seconds=SECONDS + 10)

    def download(self):
        target = self.directory / f"down-{next(_numbers)}"
        got = self.curl("-o", target, f"http://{SITE}/source")
        assert got.returncode == 0, got.stderr
        assert sha256_of(target) == self.digest

    def upload(self):
        name = f"up-{next(_numbers)}"
        got = self.curl("-H", "Expect:", "-T", self.source, f"http://{SITE}/{name}")
        assert got.returncode == 0, got.stderr
        assert sha256_of(self.uploads / name) == self.digest

    def assert_bare_tcp_is_stuck(self):
        """The path is what it shall be: so much as a first segment does not come."""
        self.world.start("relay", "web-beside", sys.executable, "-c", SERVER, self.source.parent)
        wait_until(lambda: self.world.run("client", "curl", "-sI", f"http://{RELAY[4]}/").returncode == 0, 20, "it answers")
        got = self.world.run("client", "curl", "-sS", "-m", str(NEVER_SECONDS), "-o", "/dev/null", f"http://{RELAY[4]}/source",
                             seconds=NEVER_SECONDS + 10)
        assert got.returncode == CURL_TIMED_OUT, got.stderr

    def lanes(self):
        status = json.loads(self.world.run("client", CLIENT_PROGRAM, "status", "--json", "--state-dir",
                                           self.directory / "socks-state").stdout)
        return status["client"]["session"]["lanes"]

    def segment(self):
        """What the client's status says of its lane, once there is one alone: a silent one has another beside it."""
        wait_until(lambda: len(self.lanes()) == 1, 30, "one lane is left")
        return self.lanes()[0]["path"]["segment_bytes"]

    def largest_segment(self, host):
        """Of the host's connections to the relay, as its kernel has it."""
        shown = self.world.sh(host, "ss", "-tin", "state", "established", f"( dport = :{RELAY_PORT} )")
        return max(int(size) for size in re.findall(r"\bmss:(\d+)", shown))


@pytest.fixture
def path(tmp_path, authority):
    with contextlib.ExitStack() as stack:
        yield lambda **how: Path(stack.enter_context(World(tmp_path)), tmp_path, authority, **how)


@pytest.mark.parametrize("family, tls, first, second", [
    (4, None, "download", "upload"),
    (6, None, "upload", "download"),
    (4, "small", "upload", "download"),
])
def test_bulk_passes_a_narrow_link(path, family, tls, first, second):
    path = path(narrow="client", family=family, tls=tls)
    path.assert_bare_tcp_is_stuck()
    getattr(path, first)()
    getattr(path, second)()
    path.client.says(FOUND, seconds=20)
    assert path.segment() == SEGMENT
    assert path.largest_segment("client") <= SEGMENT
    assert said(path.client, FOUND) == 1, "once"
    assert said(path.exit, FOUND) == 0, "it is not the exit's path"


@pytest.mark.parametrize("way", ["download", "upload"])
def test_the_exit_finds_it_too(path, way):
    path = path(narrow="exit")
    getattr(path, way)()
    path.exit.says(FOUND, seconds=20)
    assert path.segment() is None and said(path.client, FOUND) == 0, "it is not the client's path"


def test_a_certificate_that_does_not_pass(path):
    """As most relays have one, and all of Cloudflare's: both ends find it before there is a lane."""
    path = path(narrow="relay", tls="large")
    path.client.says(FOUND, seconds=30)
    path.exit.says(FOUND, seconds=30)
    path.download()
    path.upload()
    assert said(path.client, LOST) == 0
    checked = path.world.run("client", CLIENT_PROGRAM, "check", "--link-file", path.link_file, "--state-dir",
                             path.directory / "check-state", *path.trust, seconds=SECONDS)
    assert checked.returncode == 0, checked.stdout
    assert f"segments of {SEGMENT} bytes" in checked.stdout


@pytest.mark.parametrize("tls", [None, "large"])
def test_through_an_http_proxy(path, tmp_path, tls):
    """Behind the narrow link: what is found is the path to the proxy."""
    config = tmp_path / "tinyproxy.conf"
    config.write_text(f"Listen {RELAY[4]}\nPort {PROXY_PORT}\nTimeout 600\nConnectPort {RELAY_PORT}\n")
    path = path(narrow="client", tls=tls, client_options=("--http-proxy", f"http://{RELAY[4]}:{PROXY_PORT}"),
                beside=("relay", "tinyproxy", "/usr/bin/tinyproxy", "-d", "-c", config))
    path.download()
    path.upload()
    path.client.says(f"the path to {RELAY[4]}:{PROXY_PORT} {FOUND}", seconds=20)


def test_a_clean_path_stays_as_it_is(path):
    path = path(tls="large")
    path.download()
    path.upload()
    assert path.segment() is None
    assert path.largest_segment("client") > SEGMENT
    assert said(path.client, FOUND) == said(path.exit, FOUND) == 0


def test_a_path_that_was_away_stays_as_it_is(path):
    path = path()
    transfers = [path.world.start("client", f"curl-{way}", "curl", "-sS", "--fail", "-m", str(SECONDS), "--limit-rate",
                                  "150k", "--socks5", PROXY, *arguments)
                 for way, arguments in (("down", ("-o", path.directory / "down", f"http://{SITE}/source")),
                                        ("up", ("-H", "Expect:", "-T", path.source, f"http://{SITE}/up")))]
    for away in (3, 20):  # a lane lives through the first one, not through the second
        pause(1)
        path.drop("client")
        pause(away)
        path.world.sh("router", "nft", "flush chain inet path forward")
    for transfer in transfers:
        assert transfer.wait(SECONDS) == 0, transfer.stderr()
    path.download()
    path.upload()
    assert path.segment() is None
    assert said(path.client, FOUND) == said(path.exit, FOUND) == 0
