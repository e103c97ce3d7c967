# SPDX-License-Identifier: MIT
"""Programs on emulated links: a network namespace for each host, `bench_link` between them, and our three programs
on it. Takes root.

    client --[link]-- relay --[link]-- exit        the target is on the exit's loopback, behind no link

    with Chain(directory, client="home", exit="lan") as chain:
        latency_under_load(chain, "up")

A link is a scenario of bench_link (lan, home, far, far-lossless, bad) or a list of its options. Its `up` leads away
from the client, and on the other side away from the exit. Bytes are counted where they arrive, in processes of their own.
"""
import contextlib
import itertools
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path

from harness import namespace
from harness.access_link import AccessLink
from harness.certificates import Authority
from harness.process import BUILD, CLIENT_PROGRAM, RELAY_PROGRAM, Program, ReadyProgram, wait_until
from harness.socks import read_exactly, read_reply, request

LINK_PROGRAM = BUILD / "bench_link"
RELAY_PORT = 8443
BLOCK = 256 * 1024
# bench_link has to be on time whatever else runs. A process may lower its own priority, so this is not for ours.
PRIORITY = ("nice", "-n", "-15")
_numbers = itertools.count()


def sh(*argv):
    subprocess.run([str(part) for part in argv], check=True, capture_output=True)


class Network:
    """Hosts as namespaces, `hub` in the middle: {host: link}. Host number n has 10.81.n.1 and its link's other end
    10.81.n.2; the hub is 10.81.0.1, and routes between them."""

    def __init__(self, directory, links, hub="relay", congestion=None):
        self.directory = Path(directory)
        self._congestion = congestion  # control; None: the machine's
        self.hub = hub
        self.addresses = {hub: "10.81.0.1"}
        self.programs = []
        self.links = {}
        self._prefix = f"zks-{os.getpid()}-{next(_numbers)}"
        self._stack = contextlib.ExitStack()
        try:
            self._add(hub)
            self._ip(hub, "address", "add", "10.81.0.1/32", "dev", "lo")
            self._sysctl(hub, "net/ipv4/ip_forward", 1)
            for number, (host, link) in enumerate(links.items(), 1):
                self._add(host)
                self._join(host, number, link)
        except BaseException:
            self.close()
            raise

    def name(self, host):
        return f"{self._prefix}-{host}"

    def argv(self, host, *argv):
        return ["ip", "netns", "exec", self.name(host), *argv]

    def start(self, host, name, *argv, ready=False):
        """A program on a host; it is killed with the network unless it has ended."""
        kind = ReadyProgram if ready else Program
        program = kind(name, self.argv(host, *argv), self.directory)
        self.programs.append(program)
        return program

    def counters(self, host):
        """What the link of `host` has counted, after it is stopped: one line of JSON."""
        program = self.links.pop(host)
        self.programs.remove(program)
        assert program.stop(signal.SIGTERM) == 0, program.stderr()
        return program.stdout().splitlines()[-1]

    def close(self):
        for program in reversed(self.programs):
            program.kill()
        self._stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _ip(self, host, *argv):
        sh("ip", "-n", self.name(host), *argv)

    def _sysctl(self, host, name, value):
        sh(*self.argv(host, "sh", "-c", f"echo {value} > /proc/sys/{name}"))

    def _add(self, host):
        sh("ip", "netns", "add", self.name(host))
        self._stack.callback(sh, "ip", "netns", "delete", self.name(host))
        self._ip(host, "link", "set", "lo", "up")
        if self._congestion:
            self._sysctl(host, "net/ipv4/tcp_congestion_control", self._congestion)

    def _join(self, host, number, link):
        options = ["--scenario", link] if isinstance(link, str) else link
        device, far = "uplink", f"link{number}"
        program = Program(f"link-{host}", [*PRIORITY, LINK_PROGRAM, "--from", f"{self.name(host)}:{device}", "--to",
                                           f"{self.name(self.hub)}:{far}", *options], self.directory)
        self.programs.append(program)
        self.links[host] = program
        wait_until(lambda: "ready" in program.stdout() or not program.alive(), 10, "the link is there")
        assert program.alive(), program.stderr()
        self.addresses[host] = f"10.81.{number}.1"
        for where, name, own in ((host, device, 1), (self.hub, far, 2)):
            self._ip(where, "link", "set", "dev", name, "addrgenmode", "none")  # nothing but what is measured
            self._ip(where, "address", "add", f"10.81.{number}.{own}/24", "dev", name)
            self._ip(where, "link", "set", "dev", name, "up")
        self._ip(host, "route", "add", "default", "via", f"10.81.{number}.2")


class Target:
    """A server on a host's loopback. A connection's first byte says what it does: D sends without end, U counts, E echoes."""

    def __init__(self, network, host):
        with namespace.entered(network.name(host)):
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.received = multiprocessing.Value("Q")
        self._process = multiprocessing.Process(target=self._accept, daemon=True)
        self._process.start()

    def _accept(self):
        while True:
            sock, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            role = sock.recv(1)
            if role == b"D":
                send_without_end(sock)
            elif role == b"U":
                count_until_end(sock, self.received)
            while role == b"E" and (data := sock.recv(BLOCK)):
                sock.sendall(data)
        sock.close()

    def close(self):
        self._process.kill()
        self._process.join()
        self._listener.close()


def send_without_end(sock):
    block = b"z" * BLOCK
    while True:
        sock.sendall(block)


def count_until_end(sock, counter):
    buffer = bytearray(BLOCK)
    while size := sock.recv_into(buffer):
        with counter.get_lock():
            counter.value += size


class Chain:
    """Relay with TLS, exit and SOCKS5 client, on links of their own. `proxy` is on the client's loopback."""

    def __init__(self, directory, client="home", exit="lan", relay_options=(), exit_options=(), client_options=(),
                 congestion=None):
        self.network = Network(directory, {"client": client, "exit": exit}, congestion=congestion)
        self._stack = contextlib.ExitStack()
        self._stack.callback(self.network.close)
        try:
            self.target = Target(self.network, "exit")
            self._stack.callback(self.target.close)
            self._start(Path(directory), relay_options, exit_options, client_options)
        except BaseException:
            self.close()
            raise

    def _start(self, directory, relay_options, exit_options, client_options):
        hub = self.network.addresses["relay"]
        authority = Authority(directory / "ca")
        certificate = authority.issue(hub)
        trust = ("--relay-ca", authority.ca_file)
        self.relay = self.network.start(
            "relay", "relay", RELAY_PROGRAM, "--listen", f"0.0.0.0:{RELAY_PORT}", "--name", hub, "--tls-cert",
            certificate.cert, "--tls-key", certificate.key, "--join-rate", "0", *relay_options, ready=True)
        link = directory / "exit.link"
        self.exit = self.network.start(
            "exit", "exit", CLIENT_PROGRAM, "exit-peer", "--relay", f"wss://{hub}:{RELAY_PORT}", "--state-dir",
            directory / "exit-state", "--link-file", link, "--allow", "127.0.0.1/32", *trust, *exit_options, ready=True)
        assert AccessLink.parse(link.read_text().strip())
        self.client = self.network.start(
            "client", "client", CLIENT_PROGRAM, "socks5", "--listen", "127.0.0.1:0", "--link-file", link, "--state-dir",
            directory / "client-state", *trust, *client_options, ready=True)
        self.proxy = self.client.address()

    def connect(self, role):
        """A connection through the proxy to the target, which has been told its role."""
        with namespace.entered(self.network.name("client")):
            sock = socket.socket()
        sock.settimeout(60)
        sock.connect(self.proxy)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"\x05\x01\x00")
        assert read_exactly(sock, 2) == b"\x05\x00"
        sock.sendall(request("127.0.0.1", self.target.port))
        assert read_reply(sock) == 0
        sock.sendall(role)
        return sock

    @contextlib.contextmanager
    def bulk(self, direction):
        """One stream that sends all that goes, "down" or "up"; yields the count of bytes where they arrive."""
        down = direction == "down"
        counter = multiprocessing.Value("Q") if down else self.target.received
        sock = self.connect(b"D" if down else b"U")
        sock.settimeout(None)
        work, arguments = (count_until_end, (sock, counter)) if down else (send_without_end, (sock,))
        process = multiprocessing.Process(target=work, args=arguments, daemon=True)
        process.start()
        sock.close()
        try:
            yield counter
        finally:
            process.kill()
            process.join()

    def close(self):
        self._stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def echo_times(chain, seconds, every=0.02):
    """Round trips in seconds of 64-byte messages, one at a time on one connection, begun `every` so often."""
    times = []
    with chain.connect(b"E") as sock:
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            sock.sendall(b"e" * 64)
            read_exactly(sock, 64)
            times.append(time.monotonic() - began)
            time.sleep(max(0, every - times[-1]))
    return times


def percentile(values, share):
    return sorted(values)[round(share * (len(values) - 1))]


def rate(chain, direction, seconds, warm_up):
    """Mbit/s that one stream carries, after `warm_up` seconds."""
    with chain.bulk(direction) as counter:
        time.sleep(warm_up)
        before, began = counter.value, time.monotonic()
        time.sleep(seconds)
        return (counter.value - before) * 8e-6 / (time.monotonic() - began)


def share_of_rate(chain, direction, link_mbit_s, seconds=10, warm_up=5):
    """One stream beside what its link is set to, IP headers included. {direction, mbit_s, share}"""
    mbit_s = rate(chain, direction, seconds, warm_up)
    return {"direction": direction, "mbit_s": mbit_s, "share": mbit_s / link_mbit_s}


def latency_under_load(chain, direction, seconds=10, warm_up=3):
    """Echo while a bulk stream runs, beside the median without. Milliseconds:
    {direction, idle_ms, p50_ms, p99_ms, ratio: p99 / idle, mbit_s: of the bulk}"""
    idle = statistics.median(echo_times(chain, 2))
    with chain.bulk(direction) as counter:
        time.sleep(warm_up)
        before, began = counter.value, time.monotonic()
        loaded = echo_times(chain, seconds)
        mbit_s = (counter.value - before) * 8e-6 / (time.monotonic() - began)
    p99 = percentile(loaded, 0.99)
    return {"direction": direction, "idle_ms": idle * 1e3, "p50_ms": statistics.median(loaded) * 1e3,
            "p99_ms": p99 * 1e3, "ratio": p99 / idle, "mbit_s": mbit_s}


def far_without_loss(directory, direction="down", **options):
    """One stream over a far link at the client's side, share of its 50 Mbit/s."""
    with Chain(directory, client="far-lossless", exit="lan") as chain:
        return share_of_rate(chain, direction, 50, **options)


def home_under_load(directory, direction, **options):
    """Echo p99 beside a bulk stream that fills a home link at the client's side."""
    with Chain(directory, client="home", exit="lan") as chain:
        return latency_under_load(chain, direction, **options)


def far_at_every_hop(directory, direction="down", seconds=15, warm_up=10):
    """One stream with a far link, losses included, on both sides of the relay. {direction, mbit_s, share}"""
    with Chain(directory, client="far", exit="far") as chain:
        return share_of_rate(chain, direction, 50, seconds, warm_up)
