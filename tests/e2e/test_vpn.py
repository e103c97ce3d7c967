# SPDX-License-Identifier: MIT
"""vpn between network namespaces (harness/world.py): everything that programs of the client's machine send goes to the
exit, IPv4 and IPv6, and they notice nothing of it."""
import json
import re
import sys

import pytest
from harness import namespace
from harness.process import CLIENT_PROGRAM, wait_until
from harness.watching import METRICS, Metrics, metrics_text
from harness.world import SITE, TUN, World

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]
both = pytest.mark.parametrize("version", [4, 6])
PORTS = (80, 2222, 7777)
NAME = "www.site.example"
EXIT = {4: "203.0.113.20", 6: "2001:db8:3::20"}


def url(version, path=""):
    return f"http://{SITE[4]}/{path}" if version == 4 else f"http://[{SITE[6]}]/{path}"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vpn")
    with World(directory) as world:
        root = directory / "www"
        root.mkdir()
        (root / "small").write_text("from the site\n")
        for port in PORTS:
            world.start("site", f"web{port}", sys.executable, "-m", "http.server", "--bind", "::", "--directory", root, port)
        world.start("site", "dnsmasq", "dnsmasq", "-k", "-p", "53", "--no-resolv", "--no-hosts", "--pid-file=",
                    "--user=root", f"--address=/{NAME}/{SITE[4]}", f"--address=/{NAME}/{SITE[6]}",
                    f"--txt-record=long.site.example,{','.join(['x' * 250] * 8)}")
        world.start_relay()
        world.exit = world.start_exit("--resolver", f"{SITE[4]}:53", "--max-flows", "4096")
        for port in PORTS:
            wait_until(lambda: world.run("exit", "curl", "-s", f"http://{SITE[4]}:{port}/small").returncode == 0, 20, port)
        world.vpn = world.start_vpn(world.exit.link, *METRICS)
        yield world
        assert world.stop(world.vpn) == 0


@both
def test_curl_leaves_at_the_exit(world, version):
    answer = world.run("client", "curl", "-sS", "-m", "20", url(version, "small"))
    assert answer.stdout == "from the site\n", answer.stderr
    # Python's server logs who asked: the exit, and not the client.
    log = (world.directory / "web80.stderr").read_text()
    assert EXIT[version] in log
    assert "192.0.2.2" not in log and "2001:db8:1::2" not in log


def test_a_name_is_looked_up_at_the_exit(world):
    answer = world.run("client", "curl", "-sS", "-m", "20", f"http://{NAME}/small")
    assert answer.stdout == "from the site\n", answer.stderr


@pytest.mark.parametrize("server", ["198.18.0.2", "2001:2::2"])
def test_dig_asks_the_exits_resolver(world, server):
    for option in ("+notcp", "+tcp"):
        answer = world.run("client", "dig", option, "+short", "+time=5", "+tries=1", f"@{server}", NAME, "A")
        assert answer.stdout.split() == [SITE[4]], answer.stdout + answer.stderr
    # More than a datagram of 512 bytes: cut, and asked again over TCP by itself.
    answer = world.run("client", "dig", "+noedns", "+time=5", "+tries=1", f"@{server}", "long.site.example", "TXT")
    assert "Truncated, retrying in TCP mode" in answer.stdout
    assert answer.stdout.count("x" * 250) == 8


@both
def test_dig_asks_a_server_of_its_own(world, version):
    answer = world.run("client", "dig", "+short", "+time=5", "+tries=1", f"@{SITE[version]}", NAME, "AAAA")
    assert answer.stdout.split() == [SITE[6]], answer.stdout + answer.stderr


@both
def test_a_closed_port_refuses(world, version):
    answer = world.run("client", sys.executable, "-c", "import socket,sys; socket.create_connection((sys.argv[1], 81), 20)",
                       SITE[version])
    assert "ConnectionRefusedError" in answer.stderr, answer.stderr


@both
def test_a_closed_udp_port_is_unreachable(world, version):
    script = ("import socket,sys; s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, "
              "socket.SOCK_DGRAM); s.settimeout(10); s.connect((sys.argv[1], 81)); s.send(b'x'); s.recv(9)")
    answer = world.run("client", sys.executable, "-c", script, SITE[version])
    assert "ConnectionRefusedError" in answer.stderr, answer.stderr


@both
def test_ping_tells_the_truth(world, version):
    answer = world.run("client", "ping", "-c", "3", "-i", "0.2", "-W", "5", "-s", "1000", SITE[version])
    assert " 0% packet loss" in answer.stdout, answer.stdout + answer.stderr
    assert answer.stdout.count("ttl=63 ") == 3, answer.stdout  # with which it reached the exit, over one router
    nobody = SITE[version].replace("34", "99")
    answer = world.run("client", "ping", "-c", "1", "-W", "2", nobody)
    assert " 0 received" in answer.stdout, answer.stdout


@both
def test_large_datagrams_and_fragments(world, version):
    """9,000 bytes leave the client's kernel as fragments at an MTU of 1500, and come back as such."""
    answer = world.run("client", "ping", "-c", "2", "-i", "0.2", "-W", "5", "-s", "8000", SITE[version])
    assert " 0% packet loss" in answer.stdout, answer.stdout + answer.stderr


def test_nmap_finds_exactly_the_open_ports(world):
    answer = world.run("client", "nmap", "-sT", "-Pn", "-n", "-p", "70-90,2220-2225,7770-7780", SITE[4], seconds=120)
    assert [int(port) for port in re.findall(r"^(\d+)/tcp +open", answer.stdout, re.M)] == list(PORTS), answer.stdout


@both
@pytest.mark.parametrize("options", [(), ("-R",), ("-P", "8"), ("-u", "-b", "20M", "-l", "1200")],
                         ids=["up", "down", "eight", "udp"])
def test_iperf3(world, version, options):
    # For one run: a server that goes on resets who connects while it ends the run before.
    server = world.start("site", "iperf3", "iperf3", "-s", "--one-off", "--forceflush")
    wait_until(lambda: "Server listening" in server.stdout(), 20, "iperf3 listens")
    answer = world.run("client", "iperf3", "-J", "-t", "2", "-c", SITE[version], *options, seconds=60)
    result = json.loads(answer.stdout)
    assert "error" not in result, result.get("error")
    assert server.wait(20) == 0
    server.forget()
    world.programs.remove(server)
    if "-u" in options:
        assert result["end"]["sum"]["packets"] > 1000
        assert result["end"]["sum"]["lost_percent"] < 50  # a busy machine drops what has waited 100 ms
    else:
        assert result["end"]["sum_received"]["bytes"] > 10_000_000


def test_status_shows_what_is_set_up(world):
    answer = world.run("client", CLIENT_PROGRAM, "status", "--json", "--state-dir", world.directory / "vpn-state")
    status = json.loads(answer.stdout)
    assert status["mode"] == "vpn" and status["state"] == "up"
    set_up = status["tun"]["set_up"]
    assert set_up["tun"] == TUN and set_up["mtu"] == 1500 and set_up["kill_switch"] is True
    assert set_up["routes"] == ["0.0.0.0/0", "::/0"] and set_up["uids"] == []
    assert set_up["name_service"] == "/etc/resolv.conf"
    assert set_up["offloads"]["tcp"] is True
    text = world.run("client", CLIENT_PROGRAM, "status", "--state-dir", world.directory / "vpn-state").stdout
    for line in (f"device       {TUN}, 198.18.0.1, 2001:2::1, MTU 1500, segmentation offload for TCP",
                 "routes       in: 0.0.0.0/0, ::/0", "users        everybody",
                 "names        at 198.18.0.2, 2001:2::2, by /etc/resolv.conf", "kill switch  on"):
        assert f"\n{line}" in text, text


def test_metrics_count_what_passes_the_device(world):
    def scrape():
        with namespace.entered(world.name("client")):
            return Metrics(metrics_text(world.vpn))

    before = scrape()
    assert world.run("client", "curl", "-sS", "-m", "20", url(4, "small")).returncode == 0
    assert world.run("client", "curl", "-s", "-m", "20", f"http://{SITE[4]}:81/").returncode == 7
    assert world.run("client", "dig", "+short", "+time=5", "+tries=1", NAME).returncode == 0
    assert world.run("client", "dig", "+short", "+time=5", "+tries=1", f"@{SITE[4]}", NAME).returncode == 0
    assert world.run("client", "ping", "-c", "1", "-W", "5", SITE[4]).returncode == 0
    assert world.run("client", "ping", "-c", "1", "-W", "5", SITE[6]).returncode == 0
    after = scrape()

    def more(name, **labels):
        return after.of(name, **labels) - before.of(name, **labels)

    assert more("zks_client_tun_connections_total", answer="opened") == 1
    assert more("zks_client_tun_connections_total", answer="refused") == 1
    assert more("zks_client_tun_dns_queries_total") == 1
    for direction in ("sent", "received"):
        assert more("zks_client_tun_datagrams_total", direction=direction) == 1
        assert more("zks_client_tun_pings_total", direction=direction) == 2
    assert more("zks_client_tun_dropped_total", reason="malformed") == 0
    assert after["zks_client_tun_open_flows"] >= 1


def test_the_worker_has_no_rights(world):
    children = world.run("client", "pgrep", "-P", world.vpn.pid).stdout.split()
    assert len(children) == 1
    status = dict(line.split(":", 1) for line in open(f"/proc/{children[0]}/status") if ":" in line)
    assert set(status["Uid"].split()) != {"0"} and "0" not in status["Uid"].split()
    assert {status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"].strip() == "1"
