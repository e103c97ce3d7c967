# SPDX-License-Identifier: MIT
"""What README and the guides tell a newcomer to type works as it stands there: the blocks of commands run on machines of
their own (harness/machine.py), the shipped units and examples with them. A block that no test knows fails here."""
import json
import re
import tomllib

import pytest
from harness import namespace
from harness.guides import GUIDES, block, blocks, commands, uses_of
from harness.machine import Machine
from harness.process import CLIENT_PROGRAM, RELAY_PROGRAM, REPOSITORY, run, wait_until
from harness.world import HOSTS, RELAY, RELAY_NAME, SITE, World

pytestmark = pytest.mark.native_relay("the guides' relay is the native one")
HERE = "run below"
SAME = "our commands in it stand in a guide too"
START = "docs/guide/getting-started.md"
VPN = "docs/guide/vpn.md"
FORWARDS = "docs/guide/forwards.md"

# Each block by how it begins; what does not run here says where it does, or why it can't.
KNOWN = {
    "README.md": {
        "zks-tunnel-relay --tls-cert fullchain.pem": HERE,
        "scripts/demo\n": "test_demo.py",
        "curl --socks5-hostname 127.0.0.1:1080 http://127.0.0.1:": "test_demo.py, the lines that the demo prints",
        "scripts/setup --build": "CI builds so, and Machine.install() is the last line",
        "zks-tunnel-client socks5 --link-file": SAME,
        "sudo zks-tunnel-client vpn": SAME,
        "zks-tunnel-client p2p-client": SAME,
        "zks-tunnel-client exit-peer --relay wss://relay.example --allow": HERE,
        "zks-tunnel-relay --tls-cert cert.pem": SAME,
        "cd worker": "scripts/test builds and serves the Worker so",
    },
    START: {
        "scripts/setup --build": "CI builds so, and Machine.install() is the last line",
        "zks-tunnel-relay --tls-cert fullchain.pem": HERE,
        "openssl req": HERE,
        "openssl x509": HERE,
        "zks-tunnel-client exit-peer --relay wss://relay.example": HERE,
        "(umask 077; zks-tunnel-client invite alice": HERE,
        "chmod 600 alice.link": HERE,
        "sudo mkdir -p /etc/zks\nsudo cp": HERE,
    },
    VPN: {
        "sudo zks-tunnel-client vpn": HERE,
        "sudo mkdir -p /etc/zks && sudo install": HERE,
    },
    FORWARDS: {
        "zks-tunnel-client p2p-client": HERE,
    },
    "docs/guide/corporate-proxies.md": {
        "(umask 077; cat > proxy-user)": "test_networks.py, with squid and tinyproxy",
    },
    "docs/guide/applications.md": {
        "curl --socks5-hostname 127.0.0.1:1080 https://example.org/\nchromium": "test_browser.py, test_ssh.py, test_http_programs.py",
        "curl --proxy http://": "test_browser.py, test_http_programs.py",
        "chromium --proxy-pac-url": "test_browser.py",
        "chromium --proxy-server": "test_browser.py",
        "(umask 077; echo 'me:a long password'": HERE,
    },
    "docs/guide/operating.md": {
        "modprobe tcp_bbr": "it changes the kernel of the whole machine",
        "kill -HUP": HERE,
        "sed -E": HERE,
        "zks-tunnel-relay --plaintext": "test_deploy.py, behind nginx and HAProxy",
        "curl https://relay.example/healthz": HERE,
        "zks-tunnel-client exit-peer --allow": HERE,
        "zks-tunnel-client invite bob": HERE,
        "zks-tunnel-client invite alice": HERE,
        "zks-tunnel-client limit alice": HERE,
        "systemd-run": "it needs a systemd that runs; its last words are a command of getting-started.md",
        "sudo zks-tunnel-client vpn --link-file alice.link --exclude 172.16": "test_vpn_containers.py",
        "zks-tunnel-client status": HERE,
        "sudo zks-tunnel-client status --state-dir /var/lib/zks-exit": HERE,
    },
    "docs/model/handshake/README.md": {
        "docs/model/handshake/check": "a stage of scripts/test",
        "cargo +nightly install": "a job of the hosted CI",
        "cpp -P": "docs/model/handshake/check does it in a folder of its own",
    },
    "docs/model/README.md": {
        "docs/model/check": "a stage of scripts/test",
        "mkdir /tmp/model": "docs/model/check does it in a folder of its own",
        "spin -t -c": "it needs the trail of a model that fails",
    },
}


@pytest.mark.parametrize("guide", GUIDES)
def test_each_block_of_commands_is_known(guide):
    known = KNOWN.get(guide, {})
    texts = blocks(guide)
    for text in texts:
        assert [b for b in known if text.startswith(b)], f"{guide}: no test knows of the block\n{text}"
    for beginning in known:
        block(guide, beginning)


def test_readme_has_the_guides_commands():
    ours = {line for guide in GUIDES if guide != "README.md" for text in blocks(guide) for line in commands(text)}
    for beginning in (b for b, how in KNOWN["README.md"].items() if how == SAME):
        mine = [line for line in commands(block("README.md", beginning)) if "zks-tunnel-" in line]
        assert mine and set(mine) <= ours


def options_of(program, mode):
    path = CLIENT_PROGRAM if program == "zks-tunnel-client" else RELAY_PROGRAM
    done = run([path, *([mode] if mode else []), "--help"])
    assert done.returncode == 0, f"{program} {mode}: {done.stderr}"
    return set(re.findall(r"--[a-z0-9][a-z0-9-]*", done.stdout))


@pytest.mark.parametrize("guide", GUIDES)
def test_our_programs_have_every_option_that_a_guide_uses(guide):
    for text in blocks(guide) + blocks(guide, ""):
        for program, mode, options in uses_of(text):
            assert set(options) <= options_of(program, mode), f"{guide}: {program} {mode}"


def test_the_programs_have_every_setting_of_the_examples():
    modes = {"relay.toml": ("zks-tunnel-relay", ""), "exit-peer.toml": ("zks-tunnel-client", "exit-peer"),
             "vpn.toml": ("zks-tunnel-client", "vpn")}
    examples = {path.name: path for path in (REPOSITORY / "packaging").glob("*.toml")}
    assert set(examples) == set(modes)
    for name, path in examples.items():
        # What is commented out is a setting too.
        text = re.sub(r"^# (?=[a-z0-9-]+ = )", "", path.read_text(), flags=re.M)
        settings = tomllib.loads(text)
        assert settings
        assert {f"--{setting}" for setting in settings} <= options_of(*modes[name]), name


WEB = """
import http.server, ssl, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.client_address[0].removeprefix("::ffff:").encode() + b"\\n"
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = __import__("socket").AF_INET6
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH); tls.load_cert_chain(sys.argv[1], sys.argv[2])
server = Server(("::", 443), Handler); server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
EXIT = f"{HOSTS['exit'][0]}{HOSTS['exit'][1]}"
PINNED = "203.0.113.5"  # the relay of README whose certificate is for an address


class Story:
    """The machines of the guides, and their blocks, each of which is to be told once."""

    def __init__(self, world, authority):
        self.world = world
        self.told = set()
        self.three = self.lines("README.md", "zks-tunnel-relay --tls-cert fullchain.pem")  # relay, exit, client
        site = authority.issue("example.org")
        world.start("site", "web", "/usr/bin/python3", "-c", WEB, site.cert, site.key)
        world.start("router", "dns", "dnsmasq", "-k", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root",
                    f"--address=/{RELAY_NAME}/{RELAY[4]}", f"--address=/example.org/{SITE[4]}")
        world.sh("relay", "ip", "address", "add", f"{PINNED}/32", "dev", "lo")
        world.sh("router", "ip", "route", "add", f"{PINNED}/32", "via", RELAY[4])
        world.sysctl("router", "net/ipv4/conf/exit/proxy_arp", 1)
        world.sh("client", "ip", "address", "add", "192.168.1.5/32", "dev", "lo")
        self.relay, self.exit, self.client = (self.machine(host, authority) for host in ("relay", "exit", "client"))

    def machine(self, host, authority):
        machine = Machine(self.world, host, {"/etc/resolv.conf": f"nameserver {HOSTS[host][0]}1\n"})
        ca = authority.ca_file.read_text()
        machine.run("cat >> /etc/ssl/certs/ca-certificates.crt", input=ca)
        machine.run("cat > /etc/ssl/certs/test.pem && ln -sf test.pem /etc/ssl/certs/$(openssl x509 -hash -noout "
                    "-in /etc/ssl/certs/test.pem).0", input=ca)
        machine.install()
        return machine

    def text(self, guide, beginning):
        assert KNOWN[guide][beginning] == HERE
        self.told.add((guide, beginning))
        return block(guide, beginning)

    def lines(self, guide, beginning):
        return commands(self.text(guide, beginning))


@pytest.fixture
def story(tmp_path, authority):
    tmp_path.chmod(0o755)
    with World(tmp_path) as world:
        yield Story(world, authority)


def listens(machine, port):
    return lambda log: f":{port} " in machine.run("ss -Hltn")


def registered(log):
    return "registered with relay" in log


def begin_relay(story, authority):
    server = authority.issue(RELAY_NAME)
    story.relay.run("cat > fullchain.pem", input=server.cert.read_text())
    story.relay.run("umask 077; cat > privkey.pem", input=server.key.read_text())
    command, = story.lines(START, "zks-tunnel-relay --tls-cert fullchain.pem")
    assert command == story.three[0]
    relay = story.relay.start("relay", command, listens(story.relay, 443))
    healthz, = story.lines("docs/guide/operating.md", "curl https://relay.example/healthz")
    assert set(json.loads(story.client.run(healthz.replace("curl", "curl -sS")))) == {"version", "uptime"}
    hangup, = story.lines("docs/guide/operating.md", "kill -HUP")
    story.relay.run(hangup)
    wait_until(lambda: "read again" in relay.stderr(), 10, "SIGHUP is heard")
    return relay


def begin_exit(story):
    command, = story.lines(START, "zks-tunnel-client exit-peer --relay wss://relay.example")
    assert command == story.three[1]
    exit_peer = story.exit.start("exit", command, registered)
    first_link = re.search(r"zks://relay\.example/\S+", wait_until(exit_peer.stdout, 10, "the first link"))[0]
    by_link = story.client.start("by-link", story.three[2].replace("zks://relay.example/…", first_link),
                                 listens(story.client, 1080))
    assert story.client.run("curl -sS --socks5-hostname 127.0.0.1:1080 https://example.org/") == f"{EXIT}\n"
    story.client.stop(by_link)
    story.exit.run(story.text(START, "(umask 077; zks-tunnel-client invite alice"))
    link = story.exit.run("cat alice.link")
    assert story.exit.run("stat -c %a alice.link") == "600\n"
    story.client.run("umask 077; cat > alice.link", input=link)
    return exit_peer


def use_proxy(story):
    mode, check, socks5 = story.lines(START, "chmod 600 alice.link")
    story.client.run(mode)
    assert story.client.run(check).count(" ok ") == 7
    proxy = story.client.start("socks5", socks5, listens(story.client, 1080))
    assert story.client.run("curl -sS --socks5-hostname 127.0.0.1:1080 https://example.org/") == f"{EXIT}\n"
    status, = story.lines("docs/guide/operating.md", "zks-tunnel-client status")
    assert "state        up" in story.client.run(status)
    story.client.stop(proxy)


def use_password(story):
    story.client.run("cp alice.link home.link")
    password, socks5, *curls = story.lines("docs/guide/applications.md", "(umask 077; echo 'me:a long password'")
    story.client.run(password)
    proxy = story.client.start("socks5", socks5, listens(story.client, 1080))
    assert len(curls) == 2
    for curl in curls:
        assert story.client.run(curl.replace("curl", "curl -sS")) == f"{EXIT}\n"
    story.client.stop(proxy)


def use_vpn(story):
    vpn, curl, status = story.lines(VPN, "sudo zks-tunnel-client vpn")
    assert story.client.run("curl -sS https://example.org/") == "192.0.2.2\n"
    before = story.client.run("cat /etc/resolv.conf; ip rule; nft list ruleset")
    running = story.client.start("vpn", vpn, lambda log: "session is up" in log)
    assert story.client.run(curl.replace("curl", "curl -sS")) == f"{EXIT}\n"
    assert re.search("kill switch +on", story.client.run(status))
    story.client.stop(running)
    assert story.client.run("cat /etc/resolv.conf; ip rule; nft list ruleset") == before


def use_forwards(story, exit_peer):
    """-R needs a rule at the exit, as the guide says beside it."""
    story.exit.stop(exit_peer)
    exit_peer = story.exit.start("exit", "zks-tunnel-client exit-peer --allow 127.0.0.0/8 --allow-listen 8080", registered)
    story.exit.run("echo '127.0.0.1 db.home.example' >> /etc/hosts")
    answer = "/usr/bin/python3 -c \"import socket; s = socket.create_server(('127.0.0.1', {port}));" \
             "\nwhile True: c, _ = s.accept(); c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nport {port}'); c.recv(99); c.close()\""
    database = story.exit.start("database", answer.format(port=5432), listens(story.exit, 5432))
    server = story.client.start("server", answer.format(port=3000), listens(story.client, 3000))
    p2p, psql, curl = story.lines(FORWARDS, "zks-tunnel-client p2p-client")
    forwards = story.client.start("p2p", p2p, lambda log: "the exit listens" in log)
    assert psql.startswith("psql -h 127.0.0.1")
    assert "port 5432" in story.client.run("curl -sS http://127.0.0.1:5432/")
    assert "port 3000" in story.exit.run(curl.replace("curl", "curl -sS"))
    for machine, program in ((story.client, forwards), (story.exit, exit_peer)):
        machine.stop(program)
    for program in (database, server):
        program.kill()


def use_rules(story):
    command, again, revoke = story.lines("README.md", "zks-tunnel-client exit-peer --relay wss://relay.example --allow")
    exit_peer = story.exit.start("exit", command, registered)
    story.exit.run(revoke)  # the alice that begin_exit() made
    assert story.exit.run(again).startswith("zks://")
    story.exit.run(revoke)
    story.exit.stop(exit_peer)
    command, = story.lines("docs/guide/operating.md", "zks-tunnel-client exit-peer --allow")
    exit_peer = story.exit.start("exit", command, registered)
    bob, deny = story.lines("docs/guide/operating.md", "zks-tunnel-client invite bob")
    assert story.exit.run(bob).startswith("zks://")
    story.exit.run(deny)
    alice, invites = story.lines("docs/guide/operating.md", "zks-tunnel-client invite alice")
    assert story.exit.run(alice).startswith("zks://")
    assert {"default", "alice", "bob"} <= {line.split()[0] for line in story.exit.run(invites).splitlines()}
    for limit in story.lines("docs/guide/operating.md", "zks-tunnel-client limit alice"):
        story.exit.run(limit)
    story.exit.stop(exit_peer)
    story.exit.run("cat > exit.toml", input=block("docs/guide/operating.md", "# exit-peer --config exit.toml", "toml"))
    exit_peer = story.exit.start("exit", "zks-tunnel-client exit-peer --config exit.toml", registered)
    story.exit.run(f"kill -HUP {exit_peer.inner}")
    wait_until(lambda: "read again" in exit_peer.stderr(), 10, "SIGHUP is heard")
    story.exit.stop(exit_peer)


def use_pin(story):
    """A relay without a public certificate, open to one room."""
    *make, relay = story.lines(START, "openssl req")
    story.relay.run("\n".join(make))
    pin = story.relay.run(story.text(START, "openssl x509")).strip()
    running = story.relay.start("relay", relay, listens(story.relay, 8443))
    # A relay of its own state, or this one would be the second relay of the exit from before.
    exit_peer = story.exit.start("exit", f"zks-tunnel-client exit-peer --state-dir pinned --relay wss://{PINNED}:8443 "
                                         f"--relay-pin {pin} --link-file pinned.link", registered)
    wait_until((story.exit.home / "pinned.link").exists, 10, "its link")
    link = story.exit.run("cat pinned.link")
    story.client.run("umask 077; cat > pinned.link", input=link)
    assert "session    ok" in story.client.run("zks-tunnel-client check --link-file pinned.link")
    story.relay.stop(running)
    story.relay.run("cat > home.link", input=link)
    room, relay = story.lines("docs/guide/operating.md", "sed -E")
    story.relay.run(room)
    running = story.relay.start("relay", f"{relay} --listen 0.0.0.0:8443", listens(story.relay, 8443))
    wait_until(lambda: exit_peer.stderr().count("registered with relay") >= 2, 60, "its room is on the list")
    for machine, program in ((story.exit, exit_peer), (story.relay, running)):
        machine.stop(program)


def use_services(story):
    """The shipped units and the shipped examples, as the guides set them up."""
    lines = story.lines(START, "sudo mkdir -p /etc/zks\nsudo cp")
    at_exit = next(i for i, line in enumerate(lines) if "exit-peer.toml" in line)
    story.relay.run("\n".join(lines[:at_exit]))
    story.exit.run(f"mkdir -p /etc/zks\n{lines[at_exit]}")
    story.exit.run("\n".join(lines[at_exit + 1:]))
    for machine, unit in ((story.relay, "zks-tunnel-relay"), (story.exit, "zks-exit-peer")):
        machine.run(f"systemctl reload {unit}")
        wait_until(lambda: "read again" in machine.run(f"cat /run/{unit}.log"), 10, f"{unit} is reloaded")
    log = story.exit.run("cat /run/zks-exit-peer.log")
    assert "make an access link with `zks-tunnel-client invite NAME --state-dir /var/lib/zks-exit`" in log and "zks://" not in log
    status, = story.lines("docs/guide/operating.md", "sudo zks-tunnel-client status --state-dir /var/lib/zks-exit")
    assert "wss://relay.example" in story.exit.run(status)
    invite = "setpriv --reuid 65534 --regid 65534 --clear-groups zks-tunnel-client invite carol --state-dir /var/lib/zks-exit"
    story.client.run("umask 077; cat > alice.link", input=story.exit.run(invite, cwd="/"))
    story.client.run(story.text(VPN, "sudo mkdir -p /etc/zks && sudo install"))
    assert story.client.run("curl -sS https://example.org/") == f"{EXIT}\n"
    for machine, unit in ((story.client, "zks-vpn"), (story.exit, "zks-exit-peer"), (story.relay, "zks-tunnel-relay")):
        pid = machine.run(f"cat /run/{unit}.pid")
        machine.run(f"systemctl stop {unit}")
        # What nobody waits for, since there is no systemd, is left as a zombie.
        state = f"cut -d' ' -f3 /proc/{pid}/stat 2>/dev/null || echo gone"
        wait_until(lambda: machine.run(state).strip() in ("Z", "gone"), 30, f"{unit} ended")


@pytest.mark.timeout(400)
@pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces")
def test_the_guides_from_the_first_relay_to_the_last_service(story, authority):
    relay = begin_relay(story, authority)
    exit_peer = begin_exit(story)
    use_proxy(story)
    use_password(story)
    use_vpn(story)
    use_forwards(story, exit_peer)
    use_rules(story)
    story.relay.stop(relay)
    use_pin(story)
    use_services(story)
    here = {(guide, begin) for guide, known in KNOWN.items() for begin, how in known.items() if how == HERE}
    assert story.told == here
