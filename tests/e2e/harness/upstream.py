# SPDX-License-Identifier: MIT
"""Upstream HTTP proxies as corporate networks have them, from Debian: squid and tinyproxy, with Basic auth. They can be
killed and started again at the same port."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .outages import unused_port
from .process import Program, wait_until

USER, PASSWORD = "erika", "pass:w@rd%/7"  # what a URL has to escape
ESCAPED_PASSWORD = "pass%3Aw%40rd%25%2F7"

SQUID = """
http_port 127.0.0.1:{port}
pid_filename {directory}/squid.pid
cache deny all
cache_mem 0 MB
access_log stdio:{directory}/access.log
cache_log {directory}/cache.log
coredump_dir {directory}
shutdown_lifetime 0 seconds
visible_hostname proxy.test
auth_param basic program /usr/lib/squid/basic_ncsa_auth {directory}/passwd
auth_param basic children 1
acl known proxy_auth REQUIRED
acl allowed_ports port {ports}
http_access deny CONNECT !allowed_ports
http_access allow CONNECT known
http_access deny all
"""

TINYPROXY = """
Listen 127.0.0.1
Port {port}
Timeout 600
LogLevel Connect
LogFile "{directory}/access.log"
PidFile "{directory}/tinyproxy.pid"
ConnectPort {ports}
BasicAuth {user} {password}
"""


class _Proxy:
    """`allowed_port` is the only one that it lets through to."""

    user, password, escaped_password = USER, PASSWORD, ESCAPED_PASSWORD

    def __init__(self, allowed_port):
        # Not in the test's directory: squid leaves root for a user of its own, who has to get here.
        self.directory = Path(tempfile.mkdtemp(prefix="zks-proxy-"))
        self.directory.chmod(0o755)
        self.port = unused_port()
        self.config = self.directory / "proxy.conf"
        self.write_config(allowed_port)
        if os.geteuid() == 0:
            shutil.chown(self.directory, self.runs_as, self.runs_as)
        self.program = None
        self.start()

    def start(self):
        self.program = Program(type(self).__name__.lower(), self.command(), self.directory)
        wait_until(self._listens, 20, f"{self.program.name} listens; {self.program.stderr()}")

    def _listens(self):
        assert self.program.alive(), self.program.stderr()
        wanted = f"0100007F:{self.port:04X} 00000000:0000 0A"
        return any(wanted in line for line in Path("/proc/net/tcp").read_text().splitlines())

    def address(self):
        return f"127.0.0.1:{self.port}"

    def url(self):
        return f"http://{self.user}:{self.escaped_password}@{self.address()}"

    def requests(self):
        """The lines of its log with a CONNECT. squid writes one when the tunnel ends, or it was refused."""
        log = self.directory / "access.log"
        return [line for line in log.read_text().splitlines() if "CONNECT localhost:" in line] if log.exists() else []

    def kill(self):
        self.program.kill()

    def close(self):
        self.kill()
        shutil.rmtree(self.directory)


class Squid(_Proxy):
    runs_as = "proxy"

    def write_config(self, allowed_port):
        self.config.write_text(SQUID.format(port=self.port, directory=self.directory, ports=allowed_port))
        hashed = subprocess.run(["openssl", "passwd", "-apr1", "-stdin"], input=self.password, text=True, check=True,
                                capture_output=True).stdout
        (self.directory / "passwd").write_text(f"{self.user}:{hashed}")

    def command(self):
        (self.directory / "squid.pid").unlink(missing_ok=True)
        return ["/usr/sbin/squid", "-N", "-f", self.config]


class Tinyproxy(_Proxy):
    runs_as = "root"
    password = escaped_password = "plain-password"  # all that its configuration can hold

    def write_config(self, allowed_port):
        self.config.write_text(TINYPROXY.format(port=self.port, directory=self.directory, ports=allowed_port,
                                                user=self.user, password=self.password))

    def command(self):
        return ["/usr/bin/tinyproxy", "-d", "-c", self.config]
