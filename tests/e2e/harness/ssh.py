# SPDX-License-Identifier: MIT
"""A real sshd with test keys: one `sshd -i` for each connection accepted on a free loopback port, so that no port
has to be guessed, as from inetd."""
import getpass
import os
import socket
import subprocess
from pathlib import Path

from .process import clean_environment
from .servers import accept_in_background

# Where sshd, started as root, confines its unprivileged child; the package's service makes it at boot.
PRIVILEGE_SEPARATION = Path("/run/sshd")

CONFIG = """
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/user_key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
PrintLastLog no
AllowTcpForwarding yes
Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com
"""


def _make_key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


class SshServer:
    def __init__(self, directory, host="127.0.0.1"):
        self.directory = directory / "ssh"
        self.directory.mkdir()
        _make_key(self.directory / "host_key")
        _make_key(self.directory / "user_key")
        (self.directory / "sshd_config").write_text(CONFIG.format(directory=self.directory))
        self._made_run_directory = os.geteuid() == 0 and not PRIVILEGE_SEPARATION.exists()
        if self._made_run_directory:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        self._children = []
        self._log = open(self.directory / "sshd.log", "ab")
        self._listener = socket.create_server((host, 0))
        self.port = self._listener.getsockname()[1]
        self._thread = accept_in_background(self._listener, self._serve)

    def _serve(self, connection):
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._children.append(subprocess.Popen(
                ["/usr/sbin/sshd", "-i", "-e", "-f", self.directory / "sshd_config"],
                stdin=connection, stdout=connection, stderr=self._log, env=clean_environment()))

    def command(self, *options, host="127.0.0.1"):
        """An ssh command line up to the host."""
        host_key = (self.directory / "host_key.pub").read_text().split()
        known_hosts = self.directory / f"known_hosts-{host}"
        known_hosts.write_text(f"[{host}]:{self.port} {host_key[0]} {host_key[1]}\n")
        return ["ssh", "-F", "/dev/null", "-i", self.directory / "user_key", "-o", "IdentitiesOnly=yes",
                "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes",
                "-p", str(self.port), *options, f"{getpass.getuser()}@{host}"]

    def log(self):
        return (self.directory / "sshd.log").read_text(errors="replace")

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for child in self._children:
            if child.poll() is None:
                child.terminate()
            child.wait(10)
        self._log.close()
        if self._made_run_directory:
            try:
                PRIVILEGE_SEPARATION.rmdir()
            except OSError:
                pass  # another sshd began to use it
