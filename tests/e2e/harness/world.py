# SPDX-License-Identifier: MIT
"""A small internet for vpn: five hosts, each a network namespace, joined by a router.

  client  192.0.2.2, 2001:db8:1::2       the machine whose every packet shall go through the tunnel; `uplink`
  relay   198.51.100.10, 2001:db8:2::10
  exit    203.0.113.20, 2001:db8:3::20
  site    93.184.216.34, 2a0a::34        what the client wants to reach
  router                                 the .1 of all of these; it has no firewall, so whatever leaks gets far

`bare=True` lets the exit have no IPv6.
"""
import itertools
import os
import shutil
import subprocess
from pathlib import Path

from .process import CLIENT_PROGRAM, RELAY_PROGRAM, Program, ReadyProgram, run
from .access_link import AccessLink

HOSTS = {
    "client": ("192.0.2.", "2", "2001:db8:1::", "2"),
    "relay": ("198.51.100.", "10", "2001:db8:2::", "10"),
    "exit": ("203.0.113.", "20", "2001:db8:3::", "20"),
    "site": ("93.184.216.", "34", "2a0a::", "34"),
}
SITE = {4: "93.184.216.34", 6: "2a0a::34"}
RELAY = {4: "198.51.100.10", 6: "2001:db8:2::10"}
RELAY_NAME = "relay.example"  # where somebody serves DNS on the router
RELAY_PORT = 8443
TUN = "zks0"
_numbers = itertools.count()


def sh(*argv, **options):
    return subprocess.run([str(part) for part in argv], check=True, capture_output=True, text=True, **options).stdout


class World:
    def __init__(self, directory, bare=False):
        self.directory = directory
        self.prefix = f"zks-{os.getpid()}-{next(_numbers)}"
        self.programs = []
        self.made = []
        try:
            self._make(bare)
        except BaseException:
            self.close()
            raise

    def name(self, host):
        return f"{self.prefix}-{host}"

    def _make(self, bare):
        for host in ("router", *HOSTS):
            sh("ip", "netns", "add", self.name(host))
            self.made.append(self.name(host))
            self.sh(host, "ip", "link", "set", "lo", "up")
            self.sysctl(host, "net/ipv6/conf/all/accept_dad", 0)
            self.sysctl(host, "net/ipv6/conf/default/accept_dad", 0)
        self.sysctl("router", "net/ipv4/ip_forward", 1)
        self.sysctl("router", "net/ipv6/conf/all/forwarding", 1)
        for host, (net4, own4, net6, own6) in HOSTS.items():
            sh("ip", "link", "add", "uplink", "netns", self.name(host), "type", "veth", "peer", host, "netns",
               self.name("router"))
            for where, device, tail4, tail6 in ((host, "uplink", own4, own6), ("router", host, "1", "1")):
                self.sh(where, "ip", "address", "add", f"{net4}{tail4}/24", "dev", device)
                if not (bare and "exit" in (host, where)):
                    self.sh(where, "ip", "address", "add", f"{net6}{tail6}/64", "dev", device, "nodad")
                self.sh(where, "ip", "link", "set", device, "up")
            self.sh(host, "ip", "route", "add", "default", "via", f"{net4}1")
            if not (bare and host == "exit"):
                self.sh(host, "ip", "route", "add", "default", "via", f"{net6}1")
        for host in ("exit", "client"):
            self.resolv_conf = Path("/etc/netns") / self.name(host) / "resolv.conf"
            self.resolv_conf.parent.mkdir(parents=True)
            self.resolv_conf.write_text(f"# the provider's\nnameserver {HOSTS[host][0]}1\n")

    def argv(self, host, *argv):
        return ["ip", "netns", "exec", self.name(host), *argv]

    def sh(self, host, *argv, **options):
        return sh(*self.argv(host, *argv), **options)

    def run(self, host, *argv, **options):
        return run(self.argv(host, *argv), **options)

    def sysctl(self, host, name, value):
        self.sh(host, "sh", "-c", f"echo {value} > /proc/sys/{name}")

    def start(self, host, name, *argv, ready=False, **options):
        kind = ReadyProgram if ready else Program
        program = kind(name, self.argv(host, *argv), self.directory, **options)
        self.programs.append(program)
        return program

    def start_relay(self, *extra, certificate=None, name="relay"):
        transport = ["--tls-cert", certificate.cert, "--tls-key", certificate.key] if certificate else ["--plaintext"]
        return self.start("relay", name, RELAY_PROGRAM, "--listen", f"[::]:{RELAY_PORT}", "--name", RELAY[4],
                          "--name", RELAY[6], "--name", RELAY_NAME, *transport, "--join-rate", "0",
                          *extra, ready=True)

    def start_exit(self, *extra, relay_host=RELAY[4], ca_file=None, name="exit"):
        link_file = self.directory / f"{name}.link"
        scheme = "wss" if ca_file else "ws"
        trust = ["--relay-ca", ca_file] if ca_file else []
        program = self.start("exit", name, CLIENT_PROGRAM, "exit-peer", "--relay", f"{scheme}://{relay_host}:{RELAY_PORT}",
                             "--state-dir", self.directory / f"{name}-state", "--link-file", link_file, *trust, *extra,
                             ready=True)
        program.link = AccessLink.parse(link_file.read_text().strip())
        return program

    def vpn_argv(self, link, *extra, mode="vpn"):
        link_file = self.directory / "vpn.link"
        link_file.write_text(f"{link}\n")
        link_file.chmod(0o600)
        return [CLIENT_PROGRAM, mode, "--tun", TUN, "--link-file", link_file, "--state-dir", self.directory / "vpn-state",
                *extra]

    def start_vpn(self, link, *extra, mode="vpn", name="vpn", **options):
        return self.start("client", name, *self.vpn_argv(link, *extra, mode=mode), ready=True, **options)

    def stop(self, program):
        self.programs.remove(program)
        return program.stop()

    def close(self):
        for program in reversed(self.programs):
            program.kill()
        for name in self.made:
            subprocess.run(["ip", "netns", "delete", name], check=True)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
