# SPDX-License-Identifier: MIT
"""Files of random bytes, and curl processes that carry them through the proxy: down with GET, up with PUT, at a
stated rate where a transfer has to last."""
import hashlib
import os

from .process import Program

MIB = 1 << 20


def write_random(path, size):
    """Fills `path` with `size` random bytes, whole MiB, and returns their SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as out:
        for _ in range(size // MIB):
            chunk = os.urandom(MIB)
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest()


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        while chunk := source.read(MIB):
            digest.update(chunk)
    return digest.hexdigest()


class Transfer(Program):
    """One curl, started. `result` is the file in which the bytes arrive, complete when curl's status is 0."""

    def __init__(self, name, directory, proxy, result, arguments, rate=None):
        self.result = result
        pace = ["--limit-rate", str(rate)] if rate else []
        super().__init__(name, ["curl", "-sS", "--fail", "--noproxy", "", "--connect-timeout", "15",
                                "--socks5-hostname", "{}:{}".format(*proxy), *pace, *arguments], directory)

    def finish(self, seconds):
        """Curl's exit status, which must come within `seconds`."""
        status = self.wait(seconds)
        self.forget()
        return status

    def assert_complete(self, digest, seconds):
        status = self.finish(seconds)
        assert status == 0, f"{self.name}: curl's status {status}: {self.stderr()}"
        assert sha256_of(self.result) == digest, f"{self.name}: other bytes arrived than were sent"


def download(directory, proxy, web, source, rate=None, name="download"):
    """GET of `source`, a file in `web.root`; `rate` in bytes a second."""
    result = directory / f"{name}.bytes"
    url = f"http://127.0.0.1:{web.http_port}/{source.name}"
    return Transfer(name, directory, proxy, result, ["-o", result, url], rate)


def upload(directory, proxy, web, source, rate=None, name="upload"):
    """PUT of the file `source`; it lands in `web.uploads`."""
    stored = f"{directory.name}-{name}"
    url = f"http://127.0.0.1:{web.http_port}/upload/{stored}"
    return Transfer(name, directory, proxy, web.uploads / stored, ["-H", "Expect:", "-T", source, url], rate)
