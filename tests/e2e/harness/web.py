# SPDX-License-Identifier: MIT
"""Debian's nginx with a prefix of its own, HTTP and HTTPS on free loopback ports, serving and storing files.

nginx cannot say which port it got, so it inherits listening sockets that were bound to port 0 here, by the
variable that its binary upgrade uses (NGINX=fd;fd;).
"""
import os
import socket

from .process import Program, clean_environment, wait_until

CONFIG = """
daemon off;
worker_processes {workers};
pid {prefix}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log {prefix}/access.log combined;
  types {{ text/html html; text/css css; application/javascript js; image/svg+xml svg; }}
  client_body_temp_path {prefix}/body;
  proxy_temp_path {prefix}/proxy;
  fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi;
  scgi_temp_path {prefix}/scgi;
  client_max_body_size 0;
  sendfile on;
  server {{
    listen 127.0.0.1:{http};
    listen [::1]:{http6};
    listen 127.0.0.1:{https} ssl;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    root {prefix}/root;
    location /upload/ {{ root {prefix}; dav_methods PUT; }}
  }}
}}
"""


def _listener(family, host):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, 0))
    sock.listen(4096)
    return sock


class WebServer:
    """`root` is what it serves, `uploads` where PUT /upload/NAME lands."""

    def __init__(self, directory, certificate, workers=1):
        self.prefix = directory / "nginx"
        self.root = self.prefix / "root"
        self.uploads = self.prefix / "upload"
        for folder in (self.root, self.uploads, self.prefix / "body"):
            folder.mkdir(parents=True)
        listeners = [_listener(socket.AF_INET, "127.0.0.1"), _listener(socket.AF_INET6, "::1"),
                     _listener(socket.AF_INET, "127.0.0.1")]
        self.http_port, self.http6_port, self.https_port = [s.getsockname()[1] for s in listeners]
        config = self.prefix / "nginx.conf"
        config.write_text(CONFIG.format(prefix=self.prefix, workers=workers, http=self.http_port, http6=self.http6_port,
                                        https=self.https_port, cert=certificate.cert, key=certificate.key,
                                        user="user root;" if os.geteuid() == 0 else ""))
        fds = [s.fileno() for s in listeners]
        self.program = Program("nginx", ["/usr/sbin/nginx", "-p", self.prefix, "-c", config, "-e", "stderr"],
                               directory, environment=clean_environment(NGINX="".join(f"{fd};" for fd in fds)),
                               pass_fds=fds)
        for sock in listeners:
            sock.close()
        wait_until(self._answers, 10, f"nginx answers\n{self.program.stderr()}")

    def _answers(self):
        assert self.program.alive(), self.program.stderr()
        with socket.create_connection(("127.0.0.1", self.http_port), 5) as probe:
            probe.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            return probe.recv(4) == b"HTTP"

    def requests(self):
        """The request lines that it answered, from its access log."""
        lines = (self.prefix / "access.log").read_text().splitlines()
        return [line.split('"')[1] for line in lines]

    def close(self):
        self.program.stop()
