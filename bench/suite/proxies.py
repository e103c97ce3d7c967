# SPDX-License-Identifier: MIT
"""scripts/bench proxies: one machine, loopback, bench_load through the SOCKS5 port of ours and of its peers."""
import contextlib
import subprocess
import tempfile
from pathlib import Path as File

from harness import namespace

from . import load, machine, peers, tor_network
from .results import Result
from .rounds import CONGESTION, Path, in_turns, place, say

NAME = "proxies"
TITLE = "Proxies"
ABOUT = """
One TCP stream, sixteen, an echo of 64 bytes, and connecting with the first 64 bytes back, over loopback through a SOCKS5 port.
`zks` is client, TLS relay and exit: two TLS connections and two ciphers end to end in three processes; `without TLS` has the
native relay with `--plaintext`, as behind a reverse proxy; `new keys` changes the relay's key as often as the protocol
allows and makes a new lane every 16 MiB (by default every 1 GiB and 64 GiB). `ssh -D`, shadowsocks and v2ray (vmess in
WebSocket in TLS) are two processes, a hop fewer. `Tor` is three hops and a client in a private network of three authorities and
three exits, as packaged, and at its best on loopback: `Schedulers Vanilla`, since the default waits 10 ms between
writes, and quick ACKs on the route. `chain` is three forwarders in plaintext that read and write and do nothing else: the limit.
`direct` is the load alone.
"""
PLOTS = ["1 stream down", "16 streams down", "echo of 64 bytes p50", "connect and first byte p50"]
ZKS, PLAIN, KEYS = "zks", "zks without TLS", "zks, new keys"
V2RAY, TOR, BEST_TOR, CHAIN, DIRECT = "v2ray", "Tor as packaged", "Tor at its best", "chain", "direct"
NEW_KEYS = {"relay_options": ("--rotate-bytes", "65536"), "client_options": ("--renew-bytes", "16MiB")}


@contextlib.contextmanager
def quick_place(congestion):
    """A namespace whose loopback route acknowledges at once; its name."""
    with namespace.made() as name:
        subprocess.run(["ip", "-n", name, "route", "change", "local", "127.0.0.0/8", "dev", "lo", "table", "local", "proto",
                        "kernel", "scope", "host", "src", "127.0.0.1", "quickack", "1"], check=True)
        with namespace.entered(name):
            CONGESTION.write_text(congestion)
        yield name


# (name, how it is started in a directory, the programs that it takes, the packages that they come in)
PEERS = [
    (ZKS, peers.zks, [], ""),
    (PLAIN, lambda directory: peers.zks(directory, tls=False), [], ""),
    (KEYS, lambda directory: peers.zks(directory, **NEW_KEYS), [], ""),
    ("ssh -D", peers.ssh, ["ssh", "/usr/sbin/sshd"], "apt packages openssh-client, openssh-server"),
    ("shadowsocks", peers.shadowsocks, ["ss-local", "ss-server"], "apt package shadowsocks-libev"),
    (V2RAY, peers.v2ray, ["v2ray"], "apt package v2ray"),
    ("chisel", peers.chisel, ["chisel"], "go install github.com/jpillora/chisel"),
    ("wstunnel", peers.wstunnel, ["wstunnel"], "cargo install wstunnel"),
    (TOR, tor_network.network, ["tor", "tor-gencert"], "apt package tor"),
    (BEST_TOR, lambda directory: tor_network.network(directory, "Schedulers Vanilla"), ["tor", "tor-gencert"],
     "apt package tor"),
    (CHAIN, peers.chain, [], ""),
]


def reason(programs, source):
    """Why a peer is left out, or None."""
    return next((why for program in programs if (why := machine.missing(program, source))), None)


def begin(stack, directory, peer, congestion):
    name, start, _, _ = peer
    say(f"starting {name}")
    folder = directory / name.replace(" ", "-")
    folder.mkdir()
    if name != BEST_TOR:
        port, roles = stack.enter_context(start(folder))
        return Path(name, load.End(port, slow=name == TOR), lambda: roles)
    where = stack.enter_context(quick_place(congestion))
    with namespace.entered(where):
        port, roles = stack.enter_context(start(folder))
    return Path(name, load.End(port, where, slow=True), lambda: roles)


def jobs(seconds):
    return [*(load.throughput(way, count, seconds) for count in (1, 16) for way in ("down", "up")),
            load.latency("echo of 64 bytes", "echo", 2000, 300),
            load.latency("connect and first byte", "connect", 200, 50)]


def run(options):
    left_out = {name: why for name, _, programs, source in PEERS if (why := reason(programs, source))}
    versions = ["openssl", "ssh", "shadowsocks-libev", "v2ray", "chisel", "wstunnel", "tor"]
    result = Result.new(NAME, machine.header(options, versions, "everything on it, over loopback"), left_out)
    for congestion in options.congestion:
        with tempfile.TemporaryDirectory(prefix="zks-bench-") as folder, contextlib.ExitStack() as stack:
            stack.enter_context(place(congestion))
            paths = [begin(stack, File(folder), peer, congestion) for peer in PEERS if peer[0] not in left_out]
            paths.append(Path(DIRECT, load.End(None)))
            in_turns(result, paths, jobs(options.seconds), options.rounds, congestion)
    return result


def claims(result):
    down, echo, connect = "1 stream down", "echo of 64 bytes p50", "connect and first byte p50"
    return [
        *((f"one TCP stream {way}, TLS relay, beside v2ray", result.ratio(f"1 stream {way}", ZKS, V2RAY), 1, 1.6, " ×", True)
          for way in ("down", "up")),
        *((f"one TCP stream {way}, TLS relay, beside the plaintext chain", result.ratio(f"1 stream {way}", ZKS, CHAIN),
           0.16, 0.3, " ×", True) for way in ("down", "up")),
        *((f"one TCP stream {way}, relay without TLS, beside the plaintext chain",
           result.ratio(f"1 stream {way}", PLAIN, CHAIN), 0.25, 0.45, " ×", True) for way in ("down", "up")),
        ("one TCP stream down, beside Tor at its best", result.ratio(down, ZKS, BEST_TOR), 5, 9, " ×", True),
        ("64-byte echo, p50, beside the plaintext chain", result.ratio(echo, ZKS, CHAIN), 1.9, 1.4, " ×", False),
        ("connect and first byte, p50, beside v2ray", result.ratio(connect, ZKS, V2RAY), 0.5, 0.2, " ×", False),
    ]
