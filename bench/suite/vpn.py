# SPDX-License-Identifier: MIT
"""scripts/bench vpn: iperf3 and ping from a client's namespace to a site's, through each VPN in turn. Every VPN has a small
internet of its own (harness/world.py), so that none sees another's routes."""
import contextlib
import json
import os
import re
import tempfile
from pathlib import Path as File

from harness.certificates import Authority
from harness.process import wait_until
from harness.world import HOSTS, RELAY, SITE, World

from . import machine
from .results import Result
from .rounds import Job, Path, in_turns, say

NAME = "vpn"
TITLE = "Whole-machine VPNs"
ABOUT = """
`zks-tunnel-client vpn` beside wireguard-go and OpenVPN, IPv4, between network namespaces: client, router, exit, site and,
for `zks`, relay. `zks` has a TLS connection to each side of its relay, through which every byte goes, and two ciphers end to
end inside; the others have a hop fewer, since their client reaches the exit directly. Each has its default MTU (`zks` takes
segments of up to 64 KiB from the kernel, WireGuard 1420, OpenVPN 1500), OpenVPN AES-256-GCM without compression. All
run in user space; a kernel with WireGuard or with OpenVPN's data channel offload (the last line of the list) does the same
faster than the programs measured here. `none` is the same way without a VPN.
"""
PLOTS = ["1 stream down", "8 streams down", "ping p99 while downloading"]
ZKS, WIREGUARD, OPENVPN_UDP, OPENVPN_TCP, NONE = "zks vpn", "wireguard-go", "OpenVPN udp", "OpenVPN tcp", "none"
EXIT, PORT, CIPHER = f"{HOSTS['exit'][0]}{HOSTS['exit'][1]}", 1194, "AES-256-GCM"
# The exit's end of a tunnel, and the client's.
FAR, NEAR, NETWORK = "10.77.0.1", "10.77.0.2", "10.77.0.0/24"
SITE_NETWORK = f"{HOSTS['site'][0]}0"


def routed(world):
    """The way back into a tunnel that ends at the exit, instead of address translation, which would cost the peer."""
    world.sysctl("exit", "net/ipv4/ip_forward", 1)
    world.sh("router", "ip", "route", "add", NETWORK, "via", EXIT)


def start_zks(world):
    authority = Authority(world.directory / "ca")
    relay = world.start_relay(certificate=authority.issue(*RELAY.values()))
    exit_peer = world.start_exit(ca_file=authority.ca_file)
    client = world.start_vpn(exit_peer.link, "--relay-ca", authority.ca_file)
    return {"client": [client.pid], "relay": [relay.pid], "exit": [exit_peer.pid]}


def start_wireguard(world):
    """The control sockets lie in one folder for all namespaces, so the devices have names of this process."""
    routed(world)
    ends = {}
    for host, letter in (("client", "c"), ("exit", "e")):
        device = f"wg{letter}{os.getpid()}"
        key = world.directory / f"{device}.key"
        key.touch(mode=0o600)
        key.write_text(world.sh(host, "wg", "genkey"))
        public = world.sh(host, "wg", "pubkey", input=key.read_text()).strip()
        program = world.start(host, device, "wireguard-go", "-f", device)
        wait_until(lambda: world.run(host, "wg", "show", device).returncode == 0, 10, "wireguard-go answers")
        ends[host] = (device, key, public, program)
    for host, other, own, far in (("client", "exit", NEAR, f"{SITE_NETWORK}/24"), ("exit", "client", FAR, f"{NEAR}/32")):
        device, key, _, _ = ends[host]
        endpoint = ["endpoint", f"{EXIT}:51820"] if host == "client" else []
        world.sh(host, "wg", "set", device, "listen-port", "51820", "private-key", key, "peer", ends[other][2],
                 *endpoint, "allowed-ips", far)
        world.sh(host, "ip", "address", "add", f"{own}/24", "dev", device)
        world.sh(host, "ip", "link", "set", device, "up", "mtu", "1420")
    world.sh("client", "ip", "route", "add", f"{SITE_NETWORK}/24", "dev", ends["client"][0])
    return {"client": [ends["client"][3].pid], "exit": [ends["exit"][3].pid]}


def start_openvpn(world, protocol):
    routed(world)
    authority = Authority(world.directory / "ca")
    roles = {}
    for host, own, other in (("exit", FAR, NEAR), ("client", NEAR, FAR)):
        certificate = authority.issue(host)
        server = host == "exit"
        transport = protocol if protocol == "udp" else "tcp-server" if server else "tcp-client"
        ends = ["--tls-server", "--dh", "none", "--lport", PORT] if server else \
            ["--tls-client", "--remote", EXIT, PORT, "--nobind", "--route", SITE_NETWORK, "255.255.255.0"]
        program = world.start(
            host, f"openvpn-{host}", "openvpn", "--dev", "tun", "--proto", transport, *ends, "--ifconfig", own, other,
            "--ca", authority.ca_file, "--cert", certificate.cert, "--key", certificate.key, "--data-ciphers", CIPHER,
            "--cipher", CIPHER, "--allow-compression", "no", "--disable-dco", "--verb", "1")
        roles[host] = [program.pid]
    return roles


# (name, what starts it, why it has to be left out)
PEERS = [
    (ZKS, start_zks, lambda: None),
    (WIREGUARD, start_wireguard, lambda: machine.missing("wireguard-go", "apt package wireguard-go") or
     machine.missing("wg", "apt package wireguard-tools")),
    (OPENVPN_UDP, lambda world: start_openvpn(world, "udp"), lambda: machine.missing("openvpn", "apt package openvpn")),
    (OPENVPN_TCP, lambda world: start_openvpn(world, "tcp"), lambda: machine.missing("openvpn", "apt package openvpn")),
    (NONE, lambda world: {}, lambda: None),
]


def in_kernel(world):
    """Which of the peers this kernel could carry itself; they are not measured."""
    def known(kind):
        found = world.run("client", "ip", "link", "add", "probe", "type", kind).returncode == 0
        if found:
            world.sh("client", "ip", "link", "delete", "probe")
        return "yes" if found else "no"
    return f"WireGuard {known('wireguard')}, OpenVPN's data channel offload {known('ovpn')}"


def set_congestion(world, congestion):
    for host in ("router", *HOSTS):
        world.sysctl(host, "net/ipv4/tcp_congestion_control", congestion)


def begin(stack, directory, name, start, congestion):
    """The path of a peer, when its tunnel carries."""
    folder = directory / f"{congestion}-{name}".replace(" ", "-")
    folder.mkdir()
    world = stack.enter_context(World(folder))
    set_congestion(world, congestion)
    world.start("site", "iperf3", "iperf3", "-s")
    roles = start(world)
    carries = lambda: world.run("client", "ping", "-c", "1", "-W", "1", SITE[4]).returncode == 0  # noqa: E731
    wait_until(carries, 30, f"{name} carries a ping")
    return Path(name, world, lambda: roles)


def iperf(path, seconds, streams, down):
    command = ["iperf3", "-J", "-t", max(1, round(seconds)), "-P", streams, "-c", SITE[4], *(["-R"] if down else [])]
    done = path.end.run("client", *command, seconds=60 + seconds)
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise RuntimeError(f"iperf3 through {path.name}: {answer['error']}")
    return answer["end"]["sum_received"]


def throughput(name, seconds, streams, down):
    def run(path, _):
        received = iperf(path, seconds, streams, down)
        return {name: received["bits_per_second"] / 1e9}, received["bytes"]
    return Job(name, [(name, "Gbit/s", True)], run)


def percentiles(text, wanted=(0.5, 0.99)):
    """Of the round trips that `ping` printed, in ms."""
    times = sorted(float(found) for found in re.findall(r"time=([0-9.]+) ms", text))
    if not times:
        raise RuntimeError(f"no ping was answered:\n{text}")
    return [times[int(share * (len(times) - 1))] for share in wanted]


def pings(name, seconds, load):
    """`load` is None, or the direction of the stream that is going on: "up" or "down"."""
    names = [f"ping p50{name}", f"ping p99{name}"]

    def run(path, _):
        interval, busy = 0.01, None
        if load:
            busy = path.end.start("client", f"load-{load}", "iperf3", "-t", round(seconds) + 3, "-c", SITE[4],
                                  *(["-R"] if load == "down" else []))
        # 1.5 s into the load, so that its start is over; without load it only costs a moment.
        path.end.run("client", "ping", "-q", "-c", "10", "-i", "0.15", SITE[4])
        answer = path.end.run("client", "ping", "-c", round(seconds / interval), "-i", interval, SITE[4], seconds=60 + seconds)
        if busy:
            busy.wait(60)
            path.end.programs.remove(busy)
            busy.forget()
        return dict(zip(names, percentiles(answer.stdout))), 0
    return Job(f"ping{name}", [(measure, "ms", False) for measure in names], run)


def jobs(seconds):
    return [*(throughput(f"{count} stream{'s' if count > 1 else ''} {way}", seconds, count, way == "down")
              for count in (1, 8) for way in ("down", "up")),
            pings(", idle", seconds, None), pings(" while downloading", seconds, "down"),
            pings(" while uploading", seconds, "up")]


def run(options):
    left_out = {name: why for name, _, reason in PEERS if (why := reason())}
    result = Result.new(NAME, machine.header(options, ["iperf3", "wireguard-go", "openvpn", "openssl"],
                                             "network namespaces joined by veth"), left_out)
    for congestion in options.congestion:
        with tempfile.TemporaryDirectory(prefix="zks-bench-") as folder, contextlib.ExitStack() as stack:
            paths = []
            for name, start, _ in PEERS:
                if name not in left_out:
                    say(f"starting {name}")
                    paths.append(begin(stack, File(folder), name, start, congestion))
            result.content["header"]["in this kernel"] = in_kernel(paths[-1].end)
            in_turns(result, paths, jobs(options.seconds), options.rounds, congestion)
    return result


def claims(result):
    """Issue 6: ahead of each in TCP throughput, both ways."""
    rows = []
    for peer in (WIREGUARD, OPENVPN_UDP, OPENVPN_TCP):
        for measure in ("1 stream down", "1 stream up", "8 streams down", "8 streams up"):
            rows.append((f"vpn, TCP, {measure}, beside {peer}", result.ratio(measure, ZKS, peer), 1, 1, " ×", True))
    return rows
