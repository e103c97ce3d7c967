# SPDX-License-Identifier: MIT
"""A user at work through a proxy, until told to stop: he types a key a second into an ssh session, has a long download
on the way, and asks for a page a second. Everything is written down, and a failure ends nothing else."""
import contextlib
import hashlib
import http.server
import os
import random
import select
import string
import subprocess
import threading
import time
import urllib.request

from .process import clean_environment
from .transfer import Transfer

PAGE_BYTES = 20_000
DOWNLOAD_PIECE, DOWNLOAD_PAUSE = 64 * 1024, 0.25
GIVES_UP_SECONDS = 20


class Origin:
    """/page, and /long, which is sent slowly until `over` is set."""

    def __init__(self):
        self.page = os.urandom(PAGE_BYTES)
        self.over = threading.Event()
        self.sent = hashlib.sha256()
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(200)
                if self.path == "/long":
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    while not origin.over.wait(DOWNLOAD_PAUSE):
                        self.piece(os.urandom(DOWNLOAD_PIECE))
                    self.piece(b"")
                else:
                    self.send_header("Content-Length", str(PAGE_BYTES))
                    self.end_headers()
                    self.wfile.write(origin.page)

            def piece(self, data):
                origin.sent.update(data)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # who resets a connection says nothing with it
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class WorkingUser:
    """`echoes` and `pages` are (when it began, seconds); `failures` what went wrong."""

    def __init__(self, directory, proxy, sshd, origin, host):
        self.origin = origin
        self.echoes, self.pages, self.failures = [], [], []
        self._stopped = threading.Event()
        proxy_text = "{}:{}".format(*proxy)
        through = ["-o", f"ProxyCommand=nc -X 5 -x {proxy_text} %h %p", "-o", "ConnectTimeout=20"]
        self.ssh = subprocess.Popen([*map(str, sshd.command(*through)), "cat"], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
                                    env=clean_environment())
        result = directory / "long.bytes"
        self.download = Transfer("long", directory, proxy, result, ["-o", result, f"http://{host}:{origin.port}/long"])
        self._page = f"http://{host}:{origin.port}/page"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://{proxy_text}"}))
        self._threads = [threading.Thread(target=self._each_second, args=work, daemon=True)
                         for work in ((self._type, self.echoes), (self._read_a_page, self.pages))]
        for thread in self._threads:
            thread.start()

    def _each_second(self, work, seconds):
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                work()
            except Exception as failure:
                self.failures.append(f"{work.__name__}: {failure!r}")
            seconds.append((began, time.monotonic() - began))
            self._stopped.wait(max(0, began + 1 - time.monotonic()))

    def _type(self):
        key = random.choice(string.ascii_letters).encode()
        self.ssh.stdin.write(key)
        assert select.select([self.ssh.stdout], [], [], GIVES_UP_SECONDS)[0], "no echo"
        assert self.ssh.stdout.read(1) == key

    def _read_a_page(self):
        with self._opener.open(self._page, timeout=GIVES_UP_SECONDS) as answer:
            assert answer.status == 200
            assert answer.read() == self.origin.page

    def stop(self):
        """Ends all three as their user would: nothing went wrong, and all bytes came."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(2 * GIVES_UP_SECONDS)
        assert self.ssh.poll() is None and self.download.alive(), "neither has ended by itself"
        self.ssh.stdin.close()
        assert self.ssh.stdout.read() == b""
        assert self.ssh.wait(GIVES_UP_SECONDS) == 0
        self.origin.over.set()
        self.download.assert_complete(self.origin.sent.hexdigest(), GIVES_UP_SECONDS)
        assert not self.failures, self.failures

    def kill(self):
        self._stopped.set()
        self.download.kill()
        with contextlib.suppress(ProcessLookupError):
            self.ssh.kill()
        self.ssh.wait()
