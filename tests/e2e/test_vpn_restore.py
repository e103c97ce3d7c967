# SPDX-License-Identifier: MIT
"""Other programs change what `vpn` has set up: a firewall is reloaded, rules and addresses are flushed, the device is
taken down or deleted. It is put back, and nothing leaves meanwhile."""
import errno
import socket
import subprocess
import sys
import time

import pytest
from harness import namespace
from harness.process import wait_until
from harness.watching import ask
from harness.world import SITE, TUN, World
from test_vpn_host import ELSEWHERE, FAR, SEND_WITHOUT_END, TABLE, TUN_ADDRESS, USER, allowed, both, ip
from test_vpn_host import machine  # noqa: F401, a fixture
from test_vpn_leaks import CHATTER, Capture, strangers

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("no relay takes part, or one in a namespace"),
]

FLUSHES = 20
KILL_SWITCH, DEVICE, ROUTING = "the kill switch", "the TUN device's state", "routing rules or routes"


def set_up(machine):
    program, tun = machine.start()
    program.do("allow", allowed(4) + allowed(6))
    return program, tun


def shown(machine):
    """What is set up, as the kernel shows it, but for counters and for link-layer details."""
    found = {key: machine.snapshot()[key] for key in ("rules 4", "rules 6", "routes 4", "routes 6", "firewall")}
    found["addresses"] = machine.run("ip", "-br", "address", "show", "dev", TUN)
    found["link"] = [word for word in machine.run("ip", "link", "show", "dev", TUN).split() if word.isdigit()]
    return {key: sorted(text.splitlines()) if isinstance(text, str) else text for key, text in found.items()}


CHANGES = {
    "the ruleset is flushed": (["nft flush ruleset", "nft add table inet other"], KILL_SWITCH),
    "the table is deleted": ([f"nft delete table {TABLE}"], KILL_SWITCH),
    "a chain is flushed": ([f"nft flush chain {TABLE} output"], KILL_SWITCH),
    "a rule in front": ([f"nft insert rule {TABLE} output accept"], KILL_SWITCH),
    "a network is let out": ([f"nft add element {TABLE} excluded4 {{ 203.0.113.0/24 }}"], KILL_SWITCH),
    "a relay is closed": ([f"nft flush set {TABLE} allowed4"], KILL_SWITCH),
    "the table sleeps": ([f"nft add table {TABLE} {{ flags dormant; }}"], KILL_SWITCH),
    "all our rules": ([f"ip -{v} rule delete priority {p}" for v in (4, 6) for p in (100, 101, 102, 103, 104)], ROUTING),
    "rules of IPv6": (["ip -6 rule delete priority 104", "ip -6 rule delete priority 105"], ROUTING),
    "where rules lead": (["ip -4 rule delete priority 106"], ROUTING),
    "our table": (["ip -4 route flush table 10835", "ip -6 route flush table 10835"], ROUTING),
    "one route": ([f"ip -4 route delete default dev {TUN} table 10835"], ROUTING),
    "addresses": ([f"ip address flush dev {TUN}"], DEVICE),
    "one address": ([f"ip address delete {TUN_ADDRESS[6]}/128 dev {TUN}"], DEVICE),
    "down and up": ([f"ip link set {TUN} down", f"ip link set {TUN} up"], DEVICE),
    "down": ([f"ip link set {TUN} down"], DEVICE),
    "another MTU": ([f"ip link set {TUN} mtu 1300"], DEVICE),
    "marks": (["sysctl -q -w net.ipv4.conf.all.src_valid_mark=0"], "net.ipv4.conf.all.src_valid_mark"),
}


@pytest.mark.parametrize("commands, what", CHANGES.values(), ids=CHANGES)
def test_it_is_put_back(machine, commands, what):  # noqa: F811
    program, tun = set_up(machine)
    assert program.do("restore") == []
    before = shown(machine)
    for command in commands:
        machine.run(*command.split())
    for version in (4, 6):
        machine.try_everything(version, ELSEWHERE[version])
    assert what in program.do("restore")
    assert program.do("restore") == []
    after = shown(machine)
    if "flush ruleset" in commands[0]:  # of the other table only its name came back
        after.pop("firewall"), before.pop("firewall")
    assert after == before
    tun.packets()
    for version in (4, 6):
        assert machine.left(version) == [], "nothing left before it was put back, and the relay is reached"
        machine.send(version, ELSEWHERE[version], 80)
        tun.takes((ELSEWHERE[version], 17, 80))
    program.do("undo")


@both
def test_nothing_leaves_while_rulesets_are_flushed(machine, version):  # noqa: F811
    program, _ = set_up(machine)
    with namespace.entered(machine.near):
        sender = subprocess.Popen([sys.executable, "-c", SEND_WITHOUT_END.replace("AF_INET", f"AF_INET{'' if version == 4 else '6'}"),
                                   ELSEWHERE[version]])
    try:
        for _ in range(FLUSHES):
            machine.run("nft", "flush", "ruleset")
            assert program.do("restore") == [KILL_SWITCH]
    finally:
        sender.kill()
        sender.wait()
    assert machine.left(version) == []
    program.do("undo")


def test_nobody_else_can_remove_the_guard_and_it_ends_with_the_program(machine):  # noqa: F811
    program, _ = set_up(machine)
    for command in ("delete table inet zks-vpn-guard", "flush table inet zks-vpn-guard"):
        with pytest.raises(subprocess.CalledProcessError):
            machine.run("nft", command)
    machine.run("nft", "flush", "ruleset")
    assert machine.run("nft", "list", "tables").split() == ["table", "inet", "zks-vpn-guard"]
    program.do("allow", allowed(4))
    assert sorted(machine.run("nft", "list", "tables").split("\n")) == ["", "table inet zks-vpn", "table inet zks-vpn-guard"]
    program.kill()
    assert machine.run("nft", "list", "tables").split() == ["table", "inet", "zks-vpn"]


@pytest.mark.parametrize("command", [f"link delete {TUN}", f"link set {TUN} down name other0"])
def test_a_device_that_is_gone_is_told(machine, command):  # noqa: F811
    program, _ = set_up(machine)
    for part in (["link", "set", TUN, "down"], command.split()):
        subprocess.run(["ip", "-n", machine.near, *part], check=True)
    verdict, text = program.ask("restore")
    assert verdict == "error" and "deleted or renamed the TUN device" in text
    program.do("undo")


OTHER_ROUTES = {4: "10.77.0.0/16", 6: "fd77::/32"}


@both
@pytest.mark.parametrize("table", ["main", "88"])
def test_gateways_of_others_routes_are_behind_the_uplink(machine, version, table):  # noqa: F811
    """As OpenVPN adds the routes that its server pushes: without a device. And they stay when the tunnel goes."""
    program, _ = set_up(machine)
    route = OTHER_ROUTES[version]
    ip(machine.near, f"-{version} route add {route} via {FAR[version]} table {table}")
    assert " dev uplink" in machine.run("ip", f"-{version}", "route", "show", "table", table, route)
    ip(machine.near, f"-{version} route del default", f"-{version} route add default via {FAR[version]}")
    assert machine.left(version) == []  # what is marked reaches the relay by the new default route
    ip(machine.near, f"-{version} route add {route} via {FAR[version]} dev uplink table 89")
    program.do("undo")
    for prefix, where in ((route, table), (route, "89"), ("default", "main")):
        assert " dev uplink" in machine.run("ip", f"-{version}", "route", "show", "table", where, prefix)


@both
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("options", [{}, {"routes": ["203.0.113.0/24", "2001:db8:2::/48"]}, {"uids": [[USER, USER]]}],
                         ids=["everything", "some routes", "users"])
def test_sockets_bound_to_the_uplink_fail_at_once(machine, version, kind, options):  # noqa: F811
    program, _ = machine.start(**options)
    program.do("allow", allowed(version))
    bound = machine.socket(kind, version, device="uplink", user=USER if "uids" in options else 0)
    with pytest.raises(OSError) as failed:
        bound.connect((ELSEWHERE[version], 80))
        bound.send(b"x")  # a datagram's refusal comes with the next call
        bound.send(b"x")
    assert failed.value.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM)
    assert machine.left(version) == []
    program.do("undo")


@pytest.fixture
def world(tmp_path):
    with World(tmp_path) as world:
        (tmp_path / "small").write_text("from the site\n")
        world.start("site", "web", sys.executable, "-m", "http.server", "--bind", "::", "--directory", tmp_path, "80")
        world.start_relay()
        world.exit = world.start_exit()
        world.fetches = lambda: world.run("client", "curl", "-sS", "-m", "5", f"http://{SITE[4]}/small").returncode == 0
        yield world


BOUND = CHATTER.replace("socket.create_connection((host, 80), 2).close()", """
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'uplink'); s.settimeout(2)
    s.connect((host, 80))""").replace("s.sendto(", "s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'uplink'); s.sendto(")


def test_a_vpn_that_runs_puts_back_what_others_change(world):
    vpn = world.start_vpn(world.exit.link)
    assert world.fetches()
    capture = Capture(world, "leaks")
    bound = world.start("client", "bound", sys.executable, "-c", BOUND)
    free = world.start("client", "chatter", sys.executable, "-c", CHATTER)
    table, rules = (lambda: world.run("client", "nft", "list", "table", "inet", "zks-vpn").stdout,
                    lambda: world.run("client", "ip", "rule").stdout)
    before = table(), rules()
    for command in ("nft flush ruleset", "ip rule delete priority 104", f"ip link set {TUN} down",
                    f"ip address flush dev {TUN}", "ip route flush table 10835") * 2:
        world.sh("client", *command.split())
        wait_until(lambda: (table(), rules()) == before and world.fetches(), 20, f"all is there again after: {command}")
    assert "on" in next(line for line in ask(world.directory / "vpn-state").stdout.splitlines() if "kill switch" in line)
    for program in (bound, free):
        program.kill()
        world.programs.remove(program)
    assert strangers(capture.packets()) == []
    vpn.says("another program changed the kill switch; it is as it was again")
    assert world.stop(vpn) == 0


def test_a_vpn_whose_device_is_deleted_ends_and_leaves_the_machine_closed(world):
    vpn = world.start_vpn(world.exit.link)
    capture = Capture(world, "leaks")
    began = time.monotonic()
    world.sh("client", "ip", "link", "delete", TUN)
    assert vpn.wait(30) == 1
    assert time.monotonic() - began < 30
    vpn.says("deleted or renamed the TUN device zks0; vpn ends")
    assert not world.fetches()
    assert strangers(capture.packets()) == []
    again = world.start_vpn(world.exit.link, name="again")
    assert world.fetches()
    assert world.stop(again) == 0
