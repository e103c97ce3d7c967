# SPDX-License-Identifier: MIT
"""nginx and HAProxy in front of relays, from the very files of docs/deploy/: only ports, paths, and limits of time and
memory are others."""
import os
import socket

from .outages import unused_port
from .process import REPOSITORY, Program, wait_until

DEPLOY = REPOSITORY / "docs" / "deploy"

NGINX = """
daemon off;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {prefix}/body;
  proxy_temp_path {prefix}/proxy;
  fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi;
  scgi_temp_path {prefix}/scgi;
  include {prefix}/relay.conf;
}}
"""


def adapted(name, changes):
    """The text of docs/deploy/NAME with `changes` made, each of which must have something to change."""
    text = (DEPLOY / name).read_text()
    for before, after in changes.items():
        assert before in text, f"docs/deploy/{name} has no {before!r}"
        text = text.replace(before, str(after))
    return text


class _Front:
    def __init__(self, name, command, directory, port):
        self.port = port
        self.url = f"wss://localhost:{port}/zks"
        self.program = Program(name, command, directory)
        wait_until(self._listens, 10, f"{name} listens; {self.program.stderr()}")

    def _listens(self):
        assert self.program.alive(), self.program.stderr()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except ConnectionRefusedError:
            return False
        return True

    def kill(self):
        self.program.kill()


class Nginx(_Front):
    def __init__(self, directory, certificate, relay_ports):
        (relay_port,) = relay_ports
        port = unused_port()
        prefix = directory / "front"
        (prefix / "body").mkdir(parents=True)
        (prefix / "relay.conf").write_text(adapted("nginx.conf", {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "127.0.0.1:8080/": f"127.0.0.1:{relay_port}/",
            "server_name relay.example": "server_name localhost",
            "/etc/ssl/relay/fullchain.pem": certificate.cert, "/etc/ssl/relay/privkey.pem": certificate.key}))
        config = prefix / "nginx.conf"
        config.write_text(NGINX.format(prefix=prefix, user="user root;" if os.geteuid() == 0 else ""))
        super().__init__("front-nginx", ["/usr/sbin/nginx", "-p", prefix, "-c", config, "-e", "stderr"], directory, port)


class Haproxy(_Front):
    def __init__(self, directory, certificate, relay_ports):
        first, *others = relay_ports
        port = unused_port()
        both = directory / "front.pem"
        both.write_bytes(certificate.cert.read_bytes() + certificate.key.read_bytes())
        both.chmod(0o600)
        config = directory / "haproxy.cfg"
        second = f"127.0.0.1:{others[0]}" if others else f"127.0.0.1:{first} disabled"
        config.write_text(adapted("haproxy.cfg", {
            "bind :443": f"bind 127.0.0.1:{port}", "/etc/haproxy/relay.pem": both, "maxconn 20000": "maxconn 2000",
            "127.0.0.1:8081": f"127.0.0.1:{first}", "127.0.0.1:8082": second, "inter 2s": "inter 200ms"}))
        super().__init__("front-haproxy", ["/usr/sbin/haproxy", "-db", "-f", config], directory, port)
