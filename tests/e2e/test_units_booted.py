# SPDX-License-Identifier: MIT
"""The units under a systemd of their own, with nothing changed in them: what they take from a program, and that it runs
with the rest."""
import sys
from pathlib import Path

import pytest
from harness import booted
from harness.booted import Booted
from harness.certificates import Authority
from harness.process import CLIENT_PROGRAM, RELAY_PROGRAM
from harness.world import HOSTS, RELAY, RELAY_NAME, SITE, World
from test_units import PACKAGING, unit_text

pytestmark = [
    pytest.mark.skipif(not booted.possible(), reason="takes root, systemd-nspawn and network namespaces"),
    pytest.mark.native_relay("relay, exit and vpn run as their units"),
]
BIN = "/usr/local/bin"
LINK = "/var/lib/zks-exit/first.link"


def unit(name):
    program = RELAY_PROGRAM if name == "zks-tunnel-relay" else CLIENT_PROGRAM
    return {f"/etc/systemd/system/{name}.service": unit_text(name).replace(str(program.parent), BIN),
            f"{BIN}/{program.name}": program}


@pytest.fixture
def world(tmp_path):
    with World(tmp_path) as world:
        world.start("router", "names", "dnsmasq", "-k", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root",
                    f"--host-record={RELAY_NAME},{RELAY[4]},{RELAY[6]}")
        (tmp_path / "small").write_text("from the site\n")
        world.start("site", "web", sys.executable, "-m", "http.server", "--bind", "::", "--directory", tmp_path, "80")
        yield world


def processes(host):
    """Of the programs: uid, capabilities, and whether a filter of system calls is in force."""
    lines = host.run("sh", "-c", "for p in $(pgrep zks-); do grep -E '^(Uid|CapEff|Seccomp):' /proc/$p/status"
                     " | cut -f2 | tr '\\n' ' '; echo; done").stdout.splitlines()
    return sorted(tuple(line.split()) for line in lines)


def test_relay_exit_and_vpn_run_as_their_units(world, tmp_path):
    authority = Authority(tmp_path)
    server = authority.issue(RELAY_NAME)
    relay_files = unit("zks-tunnel-relay") | {"/etc/zks/relay.toml": Path(PACKAGING, "relay.toml"),
                                              "/etc/zks/tls-cert.pem": Path(server.cert),
                                              "/etc/zks/tls-key.pem": Path(server.key)}
    with Booted(world, "relay", relay_files, ["zks-tunnel-relay.service"]) as relay:
        relay.wait_active("zks-tunnel-relay")
        exit_files = unit("zks-exit-peer") | {
            "/etc/zks/exit-peer.toml":
                f'relay = ["wss://{RELAY_NAME}"]\nrelay-ca = "/etc/zks/ca.pem"\nlink-file = "{LINK}"\n',
            "/etc/zks/ca.pem": authority.ca_file, "/etc/resolv.conf": f"nameserver {HOSTS['exit'][0]}1\n"}
        with Booted(world, "exit", exit_files, ["zks-exit-peer.service"]) as exit_peer:
            exit_peer.wait_active("zks-exit-peer")
            link = exit_peer.run("cat", LINK).stdout.strip()
            vpn_files = unit("zks-vpn") | {
                "/etc/zks/vpn.link": f"{link}\n", "/etc/zks/vpn.toml": 'relay-ca = "/etc/zks/ca.pem"\n',
                "/etc/zks/ca.pem": authority.ca_file, "/etc/resolv.conf": f"nameserver {HOSTS['client'][0]}1\n"}
            with Booted(world, "client", vpn_files, ["zks-vpn.service"]) as client:
                client.wait_active("zks-vpn")
                answer = client.run("curl", "-sS", "-m", "20", f"http://{SITE[4]}/small")
                assert answer.stdout == "from the site\n", answer.stderr
                root, *others = processes(client)
                assert root[0] == "0" and others == [("65534", "0" * 16, "2")] * 2
                assert "198.18.0.2" in client.run("cat", "/etc/resolv.conf").stdout
                assert client.run("systemctl", "stop", "zks-vpn").returncode == 0
                assert client.show("zks-vpn", "Result") == "success"
                assert client.run("cat", "/etc/resolv.conf").stdout == f"nameserver {HOSTS['client'][0]}1\n"
            for host, name in ((exit_peer, "zks-exit-peer"), (relay, "zks-tunnel-relay")):
                ((uid, rights, filtered),) = processes(host)
                assert uid not in ("0", "65534") and filtered == "2"
                assert int(rights, 16) == (0x400 if host is relay else 0)
                assert host.run("systemctl", "stop", name).returncode == 0
                assert host.show(name, "Result") == "success"
