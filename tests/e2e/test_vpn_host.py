# SPDX-License-Identifier: MIT
"""What `vpn` changes on a machine, without a tunnel behind it: host_setup sets it up and undoes it in a network
namespace whose uplink ends in another one, where every packet is seen. IPv4 and IPv6, strict rp_filter."""
import contextlib
import errno
import fcntl
import itertools
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest
from harness import namespace
from harness.process import BUILD, clean_environment, wait_until

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("no relay takes part"),
]

MARK = 0x2A53
TABLE = "inet zks-vpn"
TUN = "zks0"
RELAY = {4: "198.51.100.1", 6: "2001:db8:1::1"}
ELSEWHERE = {4: "203.0.113.1", 6: "2001:db8:2::1"}
EXCLUDED = {4: "10.1.2.3", 6: "fd00:1::3"}
NEAR = {4: "192.0.2.2", 6: "2001:db8::2"}
FAR = {4: "192.0.2.1", 6: "2001:db8::1"}
TUN_ADDRESS = {4: "198.18.0.1", 6: "2001:2::1"}
DNS = {4: "198.18.0.2", 6: "2001:2::2"}
EXCLUDES = ["10.0.0.0/8", "fd00:1::/32"]
RELAY_PORT, OTHER_PORT = 443, 444
SECONDS = 10
USER, OTHER_USER = 12345, 12346
both = pytest.mark.parametrize("version", [4, 6])

RESTARTS = 15
MOMENTS = 24
SEND_WITHOUT_END = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"uplink")
while True:
    try:
        sender.sendto(b"without end", (sys.argv[1], 80))
    except OSError:
        pass
"""
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
ICMPV6_KEEPS_THE_UPLINK = {133, 135, 136, 131, 132, 143}  # solicitations, advertisements, listener reports
_payloads = (f"packet {number} of {os.getpid()}".encode() for number in itertools.count())


def ip(name, *commands):
    for command in commands:
        subprocess.run(["ip", "-n", name, *command.split()], check=True)


def parse(packet):
    """(destination, protocol, destination port or ICMP type) of an IP packet."""
    if packet[0] >> 4 == 4:
        header, protocol, destination = (packet[0] & 15) * 4, packet[9], packet[16:20]
    else:
        header, protocol, destination = 40, packet[6], packet[24:40]
        if protocol == 0:  # hop-by-hop: listener reports
            protocol, header = packet[40], 48 + packet[41] * 8
    transport = packet[header:]
    port = transport[0] if protocol in (1, 58) else struct.unpack("!H", transport[2:4])[0]
    return socket.inet_ntop(FAMILY[packet[0] >> 4], destination), protocol, port


class Wire:
    """Everything that comes in at an interface, as the kernel's packet socket has it."""

    def __init__(self, name, interface):
        with namespace.entered(name):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
            self.socket.bind((interface, 3))

    def until(self, payload):
        """The packets that came before one with this payload; of one wire, in order."""
        seen = []
        deadline = time.monotonic() + SECONDS
        while True:
            ready, _, _ = select.select([self.socket], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{payload} did not come; what did: {seen}"
            packet, address = self.socket.recvfrom(65535)
            if address[2] == socket.PACKET_OUTGOING or address[1] not in (0x0800, 0x86DD):
                continue
            if payload in packet:
                return seen
            entry = parse(packet)
            if entry[1] != 58 or entry[2] not in ICMPV6_KEEPS_THE_UPLINK:
                seen.append(entry)

    def close(self):
        self.socket.close()


class Tun:
    def __init__(self, name):
        with namespace.entered(name):
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.fd, 0x400454CA, struct.pack("16sH22x", TUN.encode(), 0x1001))  # TUNSETIFF, TUN without info

    def packets(self):
        out = []
        with contextlib.suppress(BlockingIOError):
            while True:
                out.append(parse(os.read(self.fd, 65535)))
        return out

    def takes(self, entry):
        deadline = time.monotonic() + SECONDS
        seen = []
        while entry not in seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{entry} did not go into the tunnel; what did: {seen}"
            seen += self.packets()

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Program:
    def __init__(self, name, shell_prefix=None):
        argv = [str(BUILD / "host_setup")]
        if shell_prefix:
            argv = ["unshare", "-m", "sh", "-c", f'{shell_prefix} && exec "$@"', "sh", *argv]
        with namespace.entered(name):
            self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                            env=clean_environment())

    def ask(self, command, argument=None):
        self.process.stdin.write(f"{command} {json.dumps(argument)}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n").partition(" ")[::2]

    def do(self, command, argument=None):
        verdict, answer = self.ask(command, argument)
        assert verdict == "ok", answer
        return json.loads(answer)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(SECONDS)


class Machine:
    """A host with rules, tables and settings of its own, and one uplink; behind that, a router that is every server."""

    def __init__(self, near, far, directory):
        self.near, self.far, self.directory = near, far, directory
        self.open = []
        ip(near, f"link add uplink type veth peer name wire netns {far}")
        for name, interface, addresses in ((near, "uplink", NEAR), (far, "wire", FAR)):
            ip(name, f"link set {interface} addrgenmode none", f"link set {interface} up",
               f"address add {addresses[4]}/24 dev {interface}",
               f"address add {addresses[6]}/64 dev {interface} nodad")
        for version, bits in ((4, 32), (6, 128)):
            ip(near, f"-{version} route add default via {FAR[version]}")
            for addresses in (RELAY, ELSEWHERE, EXCLUDED):
                ip(far, f"address add {addresses[version]}/{bits} dev lo" + (" nodad" if version == 6 else ""))
            ip(near, f"-{version} rule add priority 50 to {NEAR[version]} lookup main",
               f"-{version} rule add priority 30000 fwmark 7 lookup 77",
               f"-{version} route add unreachable default table 77 metric 9")
        self.sysctl("net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.uplink.rp_filter=1")
        self.run("nft", "add table inet other; add chain inet other input { type filter hook input priority 0; }")
        self.resolv_conf = directory / "resolv.conf"
        self.resolv_conf.write_text("nameserver 192.0.2.1\nsearch lan\n")
        self.resolv_conf.chmod(0o640)
        self.journal = directory / "journal.json"
        for version in (4, 6):
            wait_until(lambda: self.connect(version, FAR[version], 9) == errno.ECONNREFUSED, SECONDS, "a way to the router")
        self.wire = self.keep(Wire(far, "wire"))

    def keep(self, what):
        self.open.append(what)
        return what

    def close(self):
        for what in reversed(self.open):
            what.close()

    def run(self, *argv):
        return subprocess.run(["ip", "netns", "exec", self.near, *argv], check=True, capture_output=True, text=True).stdout

    def sysctl(self, *settings):
        self.run("sysctl", "-q", "-w", *settings)

    def snapshot(self):
        found = self.resolv_conf.lstat()
        return {
            "addresses": self.run("ip", "address"),
            **{f"rules {v}": self.run("ip", f"-{v}", "rule") for v in (4, 6)},
            **{f"routes {v}": self.run("ip", f"-{v}", "route", "show", "table", "all") for v in (4, 6)},
            "firewall": self.run("nft", "list", "ruleset"),
            "sysctl": self.run("sysctl", "-e", "-a", "-r", r"^net\.ipv[46]\."),
            "resolv.conf": (self.resolv_conf.read_bytes(), found.st_mode, found.st_uid, found.st_gid),
            "files": sorted(path.name for path in self.directory.iterdir()),
        }

    def start(self, **options):
        """A program that has set up the machine, and the TUN device."""
        tun, program = self.keep(Tun(self.near)), self.keep(Program(self.near))
        program.do("up", self.plan(**options))
        return program, tun

    def plan(self, **options):
        return {"journal": str(self.journal), "tun": TUN, "resolv_conf": str(self.resolv_conf), "excludes": EXCLUDES,
                **options}

    def socket(self, kind, version, mark=0, user=0, device=None):
        """Of another user: what decides is who makes it."""
        with namespace.entered(self.near):
            os.seteuid(user)
            try:
                made = self.keep(socket.socket(FAMILY[version], kind))
            finally:
                os.seteuid(0)
        made.settimeout(SECONDS)
        if mark:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        if device:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        return made

    def send(self, version, host, port, payload=b"x", **options):
        """A datagram; what the kernel says of it is not the question here."""
        with contextlib.suppress(OSError):
            self.socket(socket.SOCK_DGRAM, version, **options).sendto(payload, (host, port))

    def try_everything(self, version, host, **options):
        """TCP, UDP, DNS and, from root, ICMP; also by the uplink's name."""
        for device in (None, "uplink"):
            for port in (80, 53):
                self.send(version, host, port, device=device, **options)
                with contextlib.suppress(OSError):
                    connecting = self.socket(socket.SOCK_STREAM, version, device=device, **options)
                    connecting.setblocking(False)
                    connecting.connect((host, port))
        if not options.get("user"):
            with namespace.entered(self.near):
                kind = (socket.IPPROTO_ICMP, b"\x08") if version == 4 else (socket.IPPROTO_ICMPV6, b"\x80")
                with contextlib.suppress(OSError), socket.socket(FAMILY[version], socket.SOCK_RAW, kind[0]) as raw:
                    raw.sendto(kind[1] + b"\x00\xf7\xff" + bytes(4), (host, 0))

    def left(self, version, host=None, port=RELAY_PORT, mark=MARK, **options):
        """What left by the uplink until now: a packet that may leave closes the list."""
        payload = next(_payloads)
        self.send(version, host or RELAY[version], port, payload, mark=mark, **options)
        return self.wire.until(payload)

    def listen(self, version, host, port):
        with namespace.entered(self.far):
            listener = self.keep(socket.create_server((host, port), family=FAMILY[version]))
        return listener

    def connect(self, version, host, port, **options):
        made = self.socket(socket.SOCK_STREAM, version, **options)
        made.settimeout(1)
        return made.connect_ex((host, port))


@pytest.fixture
def machine(tmp_path):
    with namespace.made() as near, namespace.made() as far:
        made = Machine(near, far, tmp_path)
        yield made
        made.close()


def allowed(version):
    return [[RELAY[version], RELAY_PORT, True], [RELAY[version], RELAY_PORT, False]]


PLANS = {
    "everything": {},
    "without kill switch": {"kill_switch": False},
    "without dns": {"dns": False},
    "some routes": {"routes": ["203.0.113.0/24", "2001:db8:2::/48"], "excludes": []},
    "the same twice": {"routes": ["0.0.0.0/0", "203.0.113.0/24", "203.0.113.0/24", "::/0", "2001:db8::/32"],
                       "excludes": ["10.0.0.0/8", "10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "fd00::/8"],
                       "uids": [[USER, USER], [USER, USER], [0, USER]]},
    "users": {"uids": [[USER, USER], [20000, 30000]]},
}


@pytest.mark.parametrize("options", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("how", ["undo", "killed", "killed, without its journal"])
def test_everything_is_as_before(machine, options, how):
    before = machine.snapshot()
    program, tun = machine.start(**options)
    program.do("allow", allowed(4) + allowed(6))
    during = machine.snapshot()
    changed = {"addresses", "rules 4", "rules 6", "routes 4", "routes 6", "firewall", "sysctl", "files"}
    assert {key for key in before if before[key] != during[key]} - {"resolv.conf"} == changed
    assert (before["resolv.conf"] != during["resolv.conf"]) == options.get("dns", True)
    assert machine.journal.stat().st_mode & 0o777 == 0o600
    for line in "".join(before[key] for key in ("rules 4", "rules 6", "routes 4", "routes 6")).splitlines():
        assert line in during["rules 4"] + during["rules 6"] + during["routes 4"] + during["routes 6"]

    if how == "undo":
        program.do("undo")
        tun.close()
        assert machine.snapshot() == before
    program.kill()
    tun.close()
    after = machine.keep(Program(machine.near))
    if how == "killed, without its journal":
        machine.journal.unlink()
        assert after.do("leftovers", str(machine.journal)) is True
        for key in ("rules 4", "rules 6", "routes 4", "routes 6", "firewall"):
            assert machine.snapshot()[key] == before[key]
        return
    assert after.do("leftovers", str(machine.journal)) is (how == "killed")
    assert machine.snapshot() == before
    assert after.do("leftovers", str(machine.journal)) is False
    assert machine.snapshot() == before


def test_killed_at_any_moment_of_the_start(machine):
    before = machine.snapshot()
    began = time.monotonic()
    program, tun = machine.start()
    whole = time.monotonic() - began
    program.do("undo")
    tun.close()
    left = 0
    after = machine.keep(Program(machine.near))
    for moment in range(MOMENTS):
        tun, program = Tun(machine.near), Program(machine.near)
        program.process.stdin.write(f"up {json.dumps(machine.plan())}\n")
        program.process.stdin.flush()
        time.sleep(moment * whole / MOMENTS)
        program.kill()
        tun.close()
        left += after.do("leftovers", str(machine.journal))
        assert machine.snapshot() == before, f"killed after {moment * whole / MOMENTS} s"
    assert left > 1


@both
def test_only_relay_and_excludes_by_the_uplink(machine, version):
    machine.try_everything(version, ELSEWHERE[version])
    seen = machine.left(version)
    assert {protocol for _, protocol, _ in seen} == {6, 17, 1 if version == 4 else 58}  # what is looked for is found
    assert {host for host, _, _ in seen} == {ELSEWHERE[version]}

    program, tun = machine.start()
    program.do("allow", allowed(version))
    for host in (ELSEWHERE[version], RELAY[version], FAR[version], DNS[version]):
        machine.try_everything(version, host)
    machine.send(version, RELAY[version], OTHER_PORT, mark=MARK)
    machine.send(version, ELSEWHERE[version], RELAY_PORT, mark=MARK)
    assert machine.left(version) == []
    for entry in ((ELSEWHERE[version], 17, 53), (ELSEWHERE[version], 6, 80), (DNS[version], 17, 53),
                  (RELAY[version], 6, 80), (FAR[version], 17, 80)):
        tun.packets()
        machine.try_everything(version, entry[0])
        tun.takes(entry)

    machine.try_everything(version, EXCLUDED[version])
    assert {(EXCLUDED[version], 6, 80), (EXCLUDED[version], 17, 53)} <= set(machine.left(version))
    assert not [host for host, _, _ in tun.packets() if host == EXCLUDED[version]]


@both
@pytest.mark.parametrize("kill_switch", [True, False])
def test_nothing_leaves_when_the_program_is_killed(machine, version, kill_switch):
    program, tun = machine.start(kill_switch=kill_switch)
    program.do("allow", allowed(version))
    program.kill()
    tun.close()
    for user in (0, USER):
        machine.send(version, ELSEWHERE[version], 80, user=user)
        assert machine.connect(version, ELSEWHERE[version], 80, user=user) != 0
        if kill_switch:  # a socket of the uplink's takes no notice of routes
            machine.try_everything(version, ELSEWHERE[version], user=user)
    assert machine.left(version) == []


def test_no_gap_between_a_crash_and_the_next_start(machine):
    """Somebody sends all the time, by the uplink's name. Where the table is replaced without a stand-in, one restart in
    five or so lets a packet out."""
    before = machine.snapshot()
    program, tun = machine.start()
    with namespace.entered(machine.near):
        senders = [subprocess.Popen([sys.executable, "-c", SEND_WITHOUT_END, ELSEWHERE[4]]) for _ in range(2)]
    try:
        for _ in range(RESTARTS):
            program.kill()
            tun.close()
            program, tun = machine.start()
            program.do("allow", allowed(4))
            assert program.do("resolvers") == ["192.0.2.1"]
        assert machine.left(4) == []
        program.kill()  # and with it the guard
        machine.run("nft", "delete", "table", *TABLE.split())
        machine.wire.until(b"without end")  # they do send
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()
    tun.close()
    assert machine.keep(Program(machine.near)).do("leftovers", str(machine.journal)) is True
    assert machine.snapshot() == before


@both
def test_marked_sockets_reach_what_is_allowed(machine, version):
    """With answers, under strict rp_filter."""
    for host, port in ((RELAY, RELAY_PORT), (RELAY, OTHER_PORT), (ELSEWHERE, RELAY_PORT)):
        machine.listen(version, host[version], port)
    program, _ = machine.start()
    assert machine.connect(version, RELAY[version], RELAY_PORT, mark=MARK) != 0
    program.do("allow", [[RELAY[version], RELAY_PORT, False]])
    assert machine.connect(version, RELAY[version], RELAY_PORT, mark=MARK) == 0
    assert machine.connect(version, RELAY[version], OTHER_PORT, mark=MARK) != 0
    assert machine.connect(version, ELSEWHERE[version], RELAY_PORT, mark=MARK) != 0
    assert machine.connect(version, RELAY[version], RELAY_PORT, mark=MARK + 1) != 0
    program.do("allow", [[ELSEWHERE[version], RELAY_PORT, False]])
    assert machine.connect(version, ELSEWHERE[version], RELAY_PORT, mark=MARK) == 0
    assert machine.connect(version, RELAY[version], RELAY_PORT, mark=MARK) != 0
    assert program.do("summary")["allowed_endpoints"] == 1


@both
def test_one_users_traffic(machine, version):
    machine.listen(version, ELSEWHERE[version], RELAY_PORT)
    program, tun = machine.start(uids=[[USER, USER]])
    program.do("allow", allowed(version))
    assert machine.connect(version, ELSEWHERE[version], RELAY_PORT, user=OTHER_USER) == 0
    machine.left(version)
    tun.packets()
    machine.try_everything(version, ELSEWHERE[version], user=USER)
    assert machine.left(version) == []
    tun.takes((ELSEWHERE[version], 17, 53))
    # Everybody's questions go to the tunnel's DNS server, since resolv.conf says so to everybody.
    machine.send(version, DNS[version], 53, user=OTHER_USER)
    tun.takes((DNS[version], 17, 53))


@both
def test_some_routes(machine, version):
    program, tun = machine.start(routes=["203.0.113.0/24", "2001:db8:2::/48"], excludes=[])
    program.do("allow", allowed(version))
    machine.try_everything(version, ELSEWHERE[version])
    assert machine.left(version) == []
    tun.takes((ELSEWHERE[version], 17, 53))
    machine.send(version, EXCLUDED[version], 80)
    assert machine.left(version) == [(EXCLUDED[version], 17, 80)]
    tun.close()
    assert machine.connect(version, ELSEWHERE[version], 80) != 0
    assert machine.left(version) == []


@both
def test_neighbours_do_not_reach_the_tunnels_address(machine, version):
    """CVE-2019-14899. The same packet arrives once the table is gone, if rp_filter does not stop it as well."""
    machine.sysctl("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.uplink.rp_filter=0")
    program, _ = machine.start(excludes=[*EXCLUDES, FAR[version]])
    server = machine.socket(socket.SOCK_DGRAM, version)
    server.bind((TUN_ADDRESS[version], 0))
    ip(machine.far, f"-{version} route add {TUN_ADDRESS[version]} via {NEAR[version]}")
    with namespace.entered(machine.far), socket.socket(FAMILY[version], socket.SOCK_DGRAM) as neighbour:
        target = server.getsockname()[:2]
        neighbour.sendto(b"hidden", target)
        program.kill()  # and with it the guard
        machine.run("nft", "delete", "table", *TABLE.split())
        neighbour.sendto(b"open", target)
        assert server.recv(100) == b"open"
    # Nor does a program of this machine reach anybody from that address by the uplink.
    program = machine.keep(Program(machine.near))
    program.do("up", machine.plan(excludes=[*EXCLUDES, FAR[version]]))
    program.do("allow", allowed(version))
    bound = machine.socket(socket.SOCK_DGRAM, version, device="uplink")
    bound.bind((TUN_ADDRESS[version], 0))
    with contextlib.suppress(OSError):
        bound.sendto(b"x", (EXCLUDED[version], 80))
    assert machine.left(version) == []


@both
@pytest.mark.parametrize("how", ["undo", "killed"])
def test_connections_end_with_the_tunnel(machine, version, how):
    """They would hang, and over IPv6 go on by the uplink, from the tunnel's address."""
    program, tun = machine.start()
    connecting = machine.socket(socket.SOCK_STREAM, version)
    connecting.setblocking(False)
    assert connecting.connect_ex((ELSEWHERE[version], 80)) == errno.EINPROGRESS
    tun.takes((ELSEWHERE[version], 6, 80))
    assert connecting.getsockname()[0] == TUN_ADDRESS[version]
    datagrams = machine.socket(socket.SOCK_DGRAM, version)
    datagrams.connect((ELSEWHERE[version], 53))
    if how == "undo":
        program.do("undo")
    else:
        program.kill()
        tun.close()
        assert machine.keep(Program(machine.near)).do("leftovers", str(machine.journal)) is True
    ready, _, _ = select.select([connecting], [], [], SECONDS)
    assert ready and connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNABORTED
    with pytest.raises(ConnectionAbortedError):
        datagrams.recv(1)
    assert machine.left(version, mark=0) == []


DHCP = [(4, 68, 67, "255.255.255.255"), (4, 68, 67, FAR[4]), (6, 546, 547, "ff02::1:2")]


@pytest.mark.parametrize("version, client, server, to", DHCP)
def test_the_uplink_keeps_its_address(machine, version, client, server, to):
    program, _ = machine.start()
    program.do("allow", allowed(version))
    asking = machine.socket(socket.SOCK_DGRAM, version, device="uplink")
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    asking.bind(("", client))
    asking.sendto(b"discover", (to, server))
    assert machine.left(version) == [(to, 17, server)]
    # Neighbours are asked for anew.
    ip(machine.near, "neigh flush dev uplink")
    assert machine.left(version) == []


# What has no route of ours, a socket bound to the uplink or a link's multicast, is the kill switch's to stop.
@pytest.mark.parametrize("version, client, server, to, kill_switch",
                         [(*case, True) for case in DHCP] + [(*case, False) for case in DHCP if case[0] == 4])
def test_a_users_program_is_no_dhcp_client(machine, version, client, server, to, kill_switch):
    """Also where its ports take no privilege."""
    machine.sysctl("net.ipv4.ip_unprivileged_port_start=0")
    program, tun = machine.start(kill_switch=kill_switch)
    program.do("allow", allowed(version))
    for device in ("uplink", None) if kill_switch else (None,):
        asking = machine.socket(socket.SOCK_DGRAM, version, device=device, user=USER)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.bind(("", client))
        with contextlib.suppress(OSError):
            asking.sendto(b"discover", (to, server))
        asking.close()
    assert machine.left(version) == []


@both
def test_without_kill_switch_our_own_sockets_are_bound_too(machine, version):
    """The worker connects them, and is not believed."""
    program, _ = machine.start(kill_switch=False)
    program.do("allow", allowed(version))
    for host, port in ((ELSEWHERE[version], RELAY_PORT), (RELAY[version], OTHER_PORT), (EXCLUDED[version], RELAY_PORT)):
        machine.send(version, host, port, mark=MARK)
        assert machine.connect(version, host, port, mark=MARK) != 0
    assert machine.left(version) == []
    assert machine.connect(version, RELAY[version], RELAY_PORT, mark=MARK) == errno.ECONNREFUSED  # it is reached


@both
def test_no_multicast_and_no_broadcast(machine, version):
    def send_to_groups():
        for group in {4: ("224.0.0.251", "239.1.2.3", "255.255.255.255", "192.0.2.255"), 6: ("ff02::fb", "ff05::1")}[version]:
            sender = machine.socket(socket.SOCK_DGRAM, version, device="uplink")
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            with contextlib.suppress(OSError):
                sender.sendto(b"x", (group, 5353))
        return machine.left(version)

    assert len(send_to_groups()) >= 2
    program, _ = machine.start()
    program.do("allow", allowed(version))
    assert send_to_groups() == []


@both
def test_what_the_machine_forwards(machine, version):
    """A container's packets, whose network is excluded so that answers find it."""
    host, bits, guest = {4: ("10.88.0.1", 24, "10.88.0.2"), 6: ("fd00:1:0:88::1", 64, "fd00:1:0:88::2")}[version]
    with namespace.made() as container:
        ip(machine.near, f"link add bridge type veth peer name eth0 netns {container}")
        for name, interface, address in ((machine.near, "bridge", host), (container, "eth0", guest)):
            ip(name, f"link set {interface} addrgenmode none", f"link set {interface} up",
               f"address add {address}/{bits} dev {interface}" + (" nodad" if version == 6 else ""))
        ip(container, f"-{version} route add default via {host}")
        machine.sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        with namespace.entered(container):
            sender = machine.keep(socket.socket(FAMILY[version], socket.SOCK_DGRAM))
        sender.sendto(b"before", (ELSEWHERE[version], 80))
        assert machine.wire.until(b"before") == []

        program, tun = machine.start()
        program.do("allow", allowed(version))
        sender.sendto(b"x", (ELSEWHERE[version], 80))
        tun.takes((ELSEWHERE[version], 17, 80))
        ip(machine.near, f"-{version} rule add priority 40 lookup main")
        sender.sendto(b"x", (ELSEWHERE[version], 80))
        sender.sendto(b"excluded", (EXCLUDED[version], 80))
        assert machine.wire.until(b"excluded") == []


@both
def test_a_rule_of_somebody_in_front(machine, version):
    """It takes the traffic away from the tunnel, so the kill switch has it, and says so at once."""
    program, tun = machine.start()
    program.do("allow", allowed(version))
    ip(machine.near, f"-{version} rule add priority 40 lookup main")
    began = time.monotonic()
    with pytest.raises(OSError):
        machine.socket(socket.SOCK_STREAM, version).connect((ELSEWHERE[version], 80))
    assert time.monotonic() - began < SECONDS / 2
    if version == 4:  # an error to a sender that is not here would be a packet too
        with namespace.entered(machine.near), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw, \
                contextlib.suppress(PermissionError):
            raw.sendto(struct.pack("!BBHHHBBH4s4s8x", 0x45, 0, 28, 0, 0, 64, 17, 0, socket.inet_aton("203.0.113.9"),
                                   socket.inet_aton(ELSEWHERE[4])), (ELSEWHERE[4], 0))
    assert machine.left(version) == [] and tun.packets() == []


def test_where_ipv6_is_switched_off(machine):
    machine.sysctl("net.ipv6.conf.all.disable_ipv6=1")
    before = machine.snapshot()
    program, tun = machine.start()
    program.do("allow", allowed(4))
    assert program.do("summary")["ipv6"] is None
    machine.try_everything(4, ELSEWHERE[4])
    tun.takes((ELSEWHERE[4], 17, 53))
    # An interface that has it nevertheless is no way out.
    machine.sysctl("net.ipv6.conf.uplink.disable_ipv6=0")
    ip(machine.near, f"address add {NEAR[6]}/64 dev uplink nodad")
    ip(machine.near, f"-6 route add default via {FAR[6]}")
    machine.try_everything(6, ELSEWHERE[6])
    program.do("allow", allowed(6))
    assert machine.left(6) == []
    machine.sysctl("net.ipv6.conf.uplink.disable_ipv6=1")
    program.do("undo")
    tun.close()
    assert machine.snapshot() == before


def test_a_mounted_resolv_conf(machine):
    """As `ip netns exec` and containers have it: the name can't be replaced, the content can."""
    original = machine.directory / "original"
    original.write_bytes(b"nameserver 192.0.2.9\n\xff\n")
    machine.keep(Tun(machine.near))
    program = machine.keep(Program(machine.near, f"mount --bind {original} {machine.resolv_conf}"))
    program.do("up", machine.plan())
    assert DNS[4] in original.read_text()
    assert program.do("resolvers") == ["192.0.2.9"]
    program.do("undo")
    assert original.read_bytes() == b"nameserver 192.0.2.9\n\xff\n"
    assert "192.0.2.1" in machine.resolv_conf.read_text()


def test_resolvers_after_a_move(machine):
    """Another program writes resolv.conf, or what it was a link to; what is the tunnel's own is never taken for it."""
    managed = machine.directory / "managed"
    managed.write_text("nameserver 192.0.2.9\n")
    for link in (False, True):
        if link:
            machine.resolv_conf.unlink()
            machine.resolv_conf.symlink_to(managed.name)
        tun, program = machine.keep(Tun(machine.near)), machine.keep(Program(machine.near))
        program.do("up", machine.plan())
        before = ["192.0.2.9"] if link else ["192.0.2.1"]
        assert program.do("resolvers") == before
        (managed if link else machine.resolv_conf).write_text("nameserver 192.0.2.77\n")
        assert program.do("resolvers") == ["192.0.2.77"]
        managed.write_text("")
        assert program.do("resolvers") == ["192.0.2.77"]
        managed.write_text("nameserver 192.0.2.9\n")
        program.do("undo")
        tun.close()
        assert DNS[4] not in machine.resolv_conf.read_text()


def test_a_resolv_conf_that_another_program_writes_is_put_back(machine):
    """And what that wrote last is there afterwards, also when the tunnel's program was killed."""
    for number, end in enumerate(("undo", "kill")):
        tun, program = machine.keep(Tun(machine.near)), machine.keep(Program(machine.near))
        program.do("up", machine.plan())
        ours = machine.resolv_conf.read_text()
        assert DNS[4] in ours and program.do("keep") is False
        for content in (f"nameserver 192.0.2.1{number}7\nsearch lan\n", f"nameserver 192.0.2.1{number}8\nsearch lan\n"):
            machine.resolv_conf.unlink()
            machine.resolv_conf.write_text("")  # at first
            assert program.do("keep") is False
            machine.resolv_conf.write_text(content)
            assert program.do("keep") is False and machine.resolv_conf.read_text() == content
            assert program.do("keep") is True and machine.resolv_conf.read_text() == ours
            assert program.do("keep") is False
            assert program.do("resolvers") == [content.split()[1]]
        if end == "undo":
            program.do("undo")
        else:
            program.kill()
            assert machine.keep(Program(machine.near)).do("leftovers", str(machine.journal)) is True
        tun.close()
        assert machine.resolv_conf.read_text() == content


def test_what_fails_leaves_nothing(machine):
    before = machine.snapshot()
    program = machine.keep(Program(machine.near))
    verdict, text = program.ask("up", machine.plan())  # without a TUN device
    assert verdict == "error" and TUN in text
    assert machine.snapshot() == before


def test_without_rights(machine):
    before = machine.snapshot()
    with namespace.entered(machine.near):
        done = subprocess.run(["setpriv", "--bounding-set=-net_admin", BUILD / "host_setup"], capture_output=True,
                              input=f"up {json.dumps(machine.plan())}\n", text=True, timeout=SECONDS)
    assert done.stdout.startswith("error ") and "CAP_NET_ADMIN" in done.stdout
    assert machine.snapshot() == before
