# SPDX-License-Identifier: MIT
"""Names while vpn is up: the machine's own resolver settings, resolvers that are hard to ask, and systemd-resolved, a real
one in a mount namespace of the client with a bus of its own (scripts/setup fetches it, and does not install it)."""
import contextlib
import shutil

import pytest
from harness import namespace
from harness.process import CLIENT_PROGRAM, REPOSITORY, wait_until
from harness.world import HOSTS, RELAY_NAME, SITE, World

RESOLVED = REPOSITORY / "build" / "resolved"
pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]
needs_resolved = pytest.mark.skipif(not (RESOLVED / "lib/systemd/systemd-resolved").exists(),
                                    reason="build/resolved is not there: scripts/setup fetches it")
LAN_SAYS = "10.9.9.9"


def dnsmasq(world, name, *options):
    return world.start("router", name, "dnsmasq", "-k", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root", *options)


def wait_for_names(world, server, name):
    wait_until(lambda: world.run("client", "dig", "+short", "+time=1", "+tries=1", f"@{server}", name).stdout.strip(), 20,
               f"{server} answers")


def test_a_resolver_of_the_link_and_an_answer_that_needs_tcp(tmp_path):
    """90 addresses are more than 1,232 bytes; the resolver is at a link-local address, as router advertisements bring it."""
    with World(tmp_path) as world:
        addresses = [f"198.51.100.{number}" for number in range(20, 110)]
        for address in addresses:
            world.sh("relay", "ip", "address", "add", f"{address}/24", "dev", "uplink")
        dnsmasq(world, "names", *(f"--host-record={RELAY_NAME},{address}" for address in addresses))
        local = world.sh("router", "ip", "-6", "-br", "address", "show", "dev", "client", "scope", "link").split()[2]
        server = f"{local.split('/')[0]}%uplink"
        wait_for_names(world, HOSTS["client"][0] + "1", RELAY_NAME)
        world.resolv_conf.write_text(f"nameserver {server}\n")
        world.start_relay()
        exit_peer = world.start_exit(relay_host=RELAY_NAME)
        vpn = world.start_vpn(exit_peer.link)  # ready: the session is up
        allowed = world.sh("client", "nft", "list", "table", "inet", "zks-vpn")
        assert ". udp . 53" in allowed and ". tcp . 53" not in allowed, "TCP to the resolver is open for the lookup alone"
        assert world.stop(vpn) == 0
        assert world.resolv_conf.read_text() == f"nameserver {server}\n"


def test_the_machines_own_resolver_settings_stay(tmp_path):
    with World(tmp_path) as world:
        dnsmasq(world, "names", "--address=/ssh-host.corp.example/10.7.7.7")
        wait_for_names(world, "203.0.113.1", "ssh-host.corp.example")
        world.start_relay()
        exit_peer = world.start_exit()
        before = "search corp.example\noptions no-aaaa trust-ad ndots:2\nnameserver 192.0.2.1\n"
        world.resolv_conf.write_text(before)
        vpn = world.start_vpn(exit_peer.link)
        assert "search corp.example\noptions no-aaaa ndots:2\nnameserver 198.18.0.2\n" in world.resolv_conf.read_text()
        assert "10.7.7.7" in world.run("client", "getent", "ahostsv4", "ssh-host").stdout
        world.resolv_conf.write_text("search other.example\nnameserver 192.0.2.1\n")  # as a DHCP client does
        wait_until(lambda: "search other.example\nnameserver 198.18.0.2\n" in world.resolv_conf.read_text(), 20,
                   "what that program says is kept, too")
        assert world.stop(vpn) == 0
        assert world.resolv_conf.read_text() == "search other.example\nnameserver 192.0.2.1\n"


class Machine:
    """The client with systemd-resolved, its users and its bus in a mount namespace."""

    def __init__(self, world, settings=""):
        self.world, self.etc = world, world.directory / "etc"
        shutil.copytree("/etc", self.etc, symlinks=True, ignore_dangling_symlinks=True)
        world.directory.chmod(0o755)
        for file, line in (("passwd", "systemd-resolve:x:990:990::/:/usr/sbin/nologin\n"),
                           ("group", "systemd-resolve:x:990:\n")):
            path = self.etc / file
            path.write_text("".join(one for one in path.read_text().splitlines(True) if "systemd-resolve" not in one) + line)
        (self.etc / "systemd").mkdir(exist_ok=True)
        (self.etc / "systemd/resolved.conf").write_text(f"[Resolve]\nDNSSEC=no\nLLMNR=no\nMulticastDNS=no\n{settings}")
        (self.etc / "resolv.conf").unlink(missing_ok=True)
        (self.etc / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
        script = world.directory / "machine.sh"
        script.write_text(f"""set -e
umount /etc/resolv.conf; mount --bind {self.etc} /etc
mount -t tmpfs none /run; mkdir -p /run/dbus /run/systemd/resolve; chown 990:990 /run/systemd/resolve
mount --bind {RESOLVED}/usr/share/dbus-1 /usr/share/dbus-1
dbus-daemon --system --nofork --nopidfile &
while ! [ -e /run/dbus/system_bus_socket ]; do sleep 0.1; done
{RESOLVED}/lib/systemd/systemd-resolved &
wait
""")
        self.program = world.start("client", "machine", "unshare", "-m", "bash", script)
        wait_until(lambda: self.run("getent", "ahostsv4", "localhost").returncode == 0
                   and self.ctl("dns", "uplink", "192.0.2.1").returncode == 0, 30, "systemd-resolved is up")

    def argv(self, *argv):
        return ["nsenter", "-t", self.program.pid, "-m", *argv]

    def run(self, *argv, **options):
        return self.world.run("client", *map(str, self.argv(*argv)), **options)

    def ctl(self, *argv):
        return self.run(RESOLVED / "usr/bin/resolvectl", *argv)

    def asked(self, name):
        """By nss-dns and the stub, and by D-Bus."""
        self.ctl("flush-caches")
        return self.run("getent", "ahostsv4", name).stdout[:14].split(" ")[0], self.ctl("query", "-4", name).stdout

    @contextlib.contextmanager
    def vpn(self, link, *options, name="vpn"):
        vpn = self.world.start("client", name, *self.argv(*self.world.vpn_argv(link, *options)), ready=True)
        try:
            yield vpn
        finally:
            if vpn.alive():
                assert self.world.stop(vpn) == 0


@pytest.fixture
def lan(tmp_path):
    """The exit's resolver knows all names as the site, the LAN's as somebody of the LAN; what that one is asked it writes."""
    with World(tmp_path) as world:
        dnsmasq(world, "far", "--listen-address=203.0.113.1", "--bind-interfaces", f"--address=/#/{SITE[4]}")
        world.near = dnsmasq(world, "near", "--listen-address=192.0.2.1", "--bind-interfaces", f"--address=/#/{LAN_SAYS}",
                             "--log-queries", "--log-facility=-")
        wait_for_names(world, "192.0.2.1", "www.example")
        world.start_relay()
        world.exit = world.start_exit()
        yield world


@needs_resolved
def test_names_below_the_lans_domain_are_the_tunnels_with_systemd_resolved(lan):
    machine = Machine(lan)
    assert machine.ctl("domain", "uplink", "example", "~corp.test").returncode == 0
    for options in ((), ("--exclude", "192.0.2.0/24")):
        name = f"vpn{len(options)}"
        with machine.vpn(lan.exit.link, *options, name=name):
            for asked in (f"{name}.example", f"{name}.corp.test", f"{name}.elsewhere.test"):
                stub, bus = machine.asked(asked)
                assert stub == SITE[4] and SITE[4] in bus, asked
            # As NetworkManager does at a new lease; what it wants comes back afterwards.
            assert machine.ctl("domain", "uplink", "example", "~corp.test", "~.").returncode == 0
            wait_until(lambda: "example" not in machine.ctl("domain", "uplink").stdout, 20, "it is taken away again")
            assert SITE[4] in machine.asked(f"again-{name}.example")[1]
        assert "example ~corp.test ~." in machine.ctl("domain", "uplink").stdout
        assert name not in lan.near.stderr() + lan.near.stdout()
        assert machine.ctl("domain", "uplink", "example", "~corp.test").returncode == 0
    # Only a network: the LAN's names are the LAN's.
    with machine.vpn(lan.exit.link, "--route", "10.0.0.0/8", name="route"):
        assert machine.asked("route.example")[0] == LAN_SAYS


@needs_resolved
def test_a_crash_leaves_domains_to_be_restored(lan):
    machine = Machine(lan)
    assert machine.ctl("domain", "uplink", "example").returncode == 0
    with machine.vpn(lan.exit.link) as vpn:
        assert "example" not in machine.ctl("domain", "uplink").stdout
        vpn.kill()
    lan.programs.remove(vpn)
    down = machine.run(CLIENT_PROGRAM, "vpn", "--down", "--state-dir", lan.directory / "vpn-state")
    assert down.returncode == 0, down.stderr
    assert "example" in machine.ctl("domain", "uplink").stdout


@needs_resolved
def test_domains_of_resolved_conf_do_not_lead_out(lan):
    """They can't be taken away: resolv.conf goes around, and who asks systemd-resolved itself hears nothing."""
    machine = Machine(lan, "DNS=192.0.2.1\nDomains=~example\n")
    with machine.vpn(lan.exit.link, "--exclude", "192.0.2.0/24") as vpn:
        vpn.says("resolv.conf goes around it")
        assert machine.run("getent", "ahostsv4", "global.example").stdout.startswith(SITE[4])
        assert LAN_SAYS not in machine.ctl("query", "-4", "global.example").stdout
        assert "global.example" not in lan.near.stderr() + lan.near.stdout()
    assert (machine.etc / "resolv.conf").is_symlink()
