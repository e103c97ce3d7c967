# SPDX-License-Identifier: MIT
"""One vpn in a network namespace, whatever its state directory; what it needs is looked at before anything is changed,
and an error before the first session leaves the machine as it was."""
import os
import socket
import sys
from pathlib import Path

import pytest
from harness import namespace
from harness.process import CLIENT_PROGRAM, clean_environment, run, wait_until
from harness.world import RELAY, SITE, TUN, World

pytestmark = [
    pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces"),
    pytest.mark.native_relay("the relay runs in a namespace"),
]
USAGE, REFUSED = 2, 3
STRANGER = 12345


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("vpn")
    directory.chmod(0o755)
    with World(directory) as world:
        root = directory / "www"
        root.mkdir()
        (root / "small").write_text("from the site\n")
        world.start("site", "web", sys.executable, "-m", "http.server", "--bind", "::", "--directory", root, "80")
        world.start_relay()
        world.exit = world.start_exit()
        yield world


@pytest.fixture
def world(made):
    """Whose every program of a test is gone after it, and the machine open."""
    before = list(made.programs)
    yield made
    for program in reversed([one for one in made.programs if one not in before and one is not made.exit]):
        program.kill()
        made.programs.remove(program)
    wait_until(lambda: down(made).returncode == 0, 15, "no vpn is left")


def fetches(world, host="client"):
    return world.run(host, "curl", "-sS", "-m", "5", f"http://{SITE[4]}/small").returncode == 0


def down(world, host="client", state="vpn-state"):
    return world.run(host, CLIENT_PROGRAM, "vpn", "--down", "--state-dir", world.directory / state)


def snapshot(world):
    def shown(*argv):
        return world.run("client", *argv).stdout

    return {
        "links": shown("ip", "-o", "link"),
        "addresses": shown("ip", "-o", "address"),
        **{f"rules {v}": shown("ip", f"-{v}", "rule") for v in (4, 6)},
        **{f"routes {v}": shown("ip", f"-{v}", "route", "show", "table", "all") for v in (4, 6)},
        "firewall": shown("nft", "list", "ruleset"),
        "resolv.conf": world.resolv_conf.read_bytes(),
        "journals": sorted(os.listdir(os.environ["ZKS_VPN_DIR"])),
    }


def crash(world, vpn):
    children = world.run("client", "pgrep", "-P", vpn.pid).stdout.split()
    vpn.kill()
    wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), 15, "the worker ends as well")


def test_a_second_one_is_refused_and_changes_nothing(world, tmp_path):
    vpn = world.start_vpn(world.exit.link)
    before = snapshot(world)
    second = world.vpn_argv(world.exit.link, "--ready-file", vpn.ready_path)
    second[second.index(TUN)] = "zks1"
    second[second.index("--state-dir") + 1] = tmp_path / "other"
    # Also a container with this machine's network and files of its own, and the other front door.
    for mode, environment in (("vpn", {}), ("p2p-client", {}), ("vpn", {"ZKS_VPN_DIR": str(tmp_path / "container")})):
        argv = [second[0], mode, *second[2:]]
        refused = world.run("client", *argv, env=clean_environment(**environment))
        assert refused.returncode == USAGE and f"process {vpn.pid}" in refused.stderr, refused.stderr
        assert ("vpn-state" in refused.stderr) is not bool(environment), refused.stderr
        assert vpn.ready_path.exists() and snapshot(world) == before and fetches(world)
        opened = world.run("client", CLIENT_PROGRAM, "vpn", "--down", "--state-dir", tmp_path / "third",
                           env=clean_environment(**environment))
        assert opened.returncode == USAGE and f"process {vpn.pid}" in opened.stderr, opened.stderr
        assert snapshot(world) == before
    asked = world.run("client", CLIENT_PROGRAM, "status", "--state-dir", tmp_path / "third")
    assert asked.returncode == 1 and f"process {vpn.pid}, --state-dir {world.directory}/vpn-state" in asked.stderr
    assert world.stop(vpn) == 0


def test_a_user_who_has_the_name_locks_nobody_out(world):
    """Abstract names are everybody's; only what root holds there is another vpn."""
    squat = "import socket; s=socket.socket(socket.AF_UNIX); s.bind(b'\\0zks-tunnel-vpn'); s.listen(); input()"
    squatter = world.start("client", "squatter", "setpriv", f"--reuid={STRANGER}", "--clear-groups", sys.executable, "-c", squat,
                           stdin=os.fdopen(os.open("/dev/zero", os.O_RDONLY)))
    wait_until(lambda: "@zks-tunnel-vpn" in world.run("client", "ss", "-xl").stdout, 10, "the name is taken")
    vpn = world.start_vpn(world.exit.link)
    assert down(world).returncode == USAGE  # by the lock's file
    assert world.stop(vpn) == 0
    squatter.kill()


def test_two_namespaces_with_one_state_directory(world):
    """Neither hinders the other, and a crash of one is undone while the other runs."""
    def set_up(host):
        return "zks-vpn" in world.run(host, "nft", "list", "tables").stdout and \
            "lookup 10835" in world.run(host, "ip", "rule").stdout

    vpn = world.start_vpn(world.exit.link)
    # What the site answers goes to the exit as before.
    other = world.start("site", "other", *world.vpn_argv(world.exit.link, "--dns", "none", "--route", "203.0.113.77"),
                        ready=True)
    assert fetches(world) and set_up("site")
    crash(world, vpn)
    assert not fetches(world) and set_up("site")
    assert down(world, "site").returncode == USAGE
    done = down(world)
    assert done.returncode == 0 and "is undone" in done.stderr
    assert fetches(world) and set_up("site") and other.alive()
    again = world.start_vpn(world.exit.link, name="again")
    assert world.stop(other) == 0 and not set_up("site")
    assert fetches(world) and set_up("client")
    assert world.stop(again) == 0


def test_after_a_crash_status_says_so_and_down_finds_it_whatever_the_state_directory(world, tmp_path):
    before = snapshot(world)
    crash(world, world.start_vpn(world.exit.link))
    tmp_path.chmod(0o755)
    for user in (0, STRANGER):
        asked = world.run("client", "setpriv", f"--reuid={user}", "--clear-groups", CLIENT_PROGRAM, "status", "--state-dir",
                          world.directory / "vpn-state" if user == 0 else tmp_path)
        assert asked.returncode == 1
        assert "this machine is closed" in asked.stderr and "zks-tunnel-client vpn --down" in asked.stderr, asked.stderr
    assert down(world, "site").stderr.startswith("there was nothing to undo in this network namespace")
    assert not fetches(world)
    done = down(world, state="another")
    assert done.returncode == 0 and "is undone" in done.stderr, done.stderr
    assert snapshot(world) == before and fetches(world)
    asked = world.run("client", CLIENT_PROGRAM, "status", "--state-dir", tmp_path)
    assert asked.returncode == 1 and "closed" not in asked.stderr


def test_a_resolv_conf_that_a_reboot_left(world):
    """Then the kernel has nothing of it any more, and the boot another name."""
    before = snapshot(world)
    crash(world, world.start_vpn(world.exit.link))
    left = world.resolv_conf.read_bytes()
    journals = Path(os.environ["ZKS_VPN_DIR"])
    (journal,) = [each for each in journals.glob("*.journal") if each.name not in before["journals"]]
    assert left != before["resolv.conf"]
    kept = journal.read_bytes()
    assert down(world).returncode == 0
    for recover in (lambda: down(world).returncode, lambda: world.stop(world.start_vpn(world.exit.link, name="next"))):
        world.resolv_conf.write_bytes(left)
        (journals / "00000000-1.journal").write_bytes(kept)
        (journals / "00000000-1.journal").chmod(0o600)
        assert recover() == 0
        assert snapshot(world) == before
    # Of a namespace with another resolv.conf it is kept for that one.
    world.resolv_conf.write_bytes(left)
    (journals / "00000000-1.journal").write_bytes(kept.replace(world.name("client").encode(), b"elsewhere"))
    (journals / "00000000-1.journal").chmod(0o600)
    assert down(world).returncode == 0
    assert world.resolv_conf.read_bytes() == left and (journals / "00000000-1.journal").exists()
    (journals / "00000000-1.journal").unlink()
    world.resolv_conf.write_bytes(before["resolv.conf"])


def test_down_where_the_resolv_conf_is_another(world, tmp_path):
    """As by nsenter with the network namespace alone: another file has that name, perhaps a running vpn's."""
    before = snapshot(world)
    crash(world, world.start_vpn(world.exit.link))
    ours, another = world.resolv_conf.read_bytes(), tmp_path / "resolv.conf"
    another.write_bytes(ours)
    command = [CLIENT_PROGRAM, "vpn", "--down", "--state-dir", world.directory / "vpn-state"]
    done = world.run("client", "unshare", "-m", "sh", "-c", f'mount --bind {another} /etc/resolv.conf && exec "$@"', "sh", *command)
    assert done.returncode != 0 and "ip netns exec" in done.stderr, done.stderr
    assert another.read_bytes() == ours
    assert down(world).returncode == 0
    assert snapshot(world) == before


def taken(world):
    """An address of the client's machine on which something listens."""
    with namespace.entered(world.name("client")):
        listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"127.0.0.1:{listener.getsockname()[1]}"


MISTAKES = {
    "no such user": lambda _: ["--run-as", "nosuchuser"],
    "root": lambda _: ["--run-as", "root"],
    "no certificates": lambda world: ["--relay-ca", world.directory / "garbage.pem"],
    "metrics": lambda world: ["--metrics", world.taken],
    "metrics elsewhere": lambda _: ["--metrics", "192.0.2.99:9464"],
    "control": lambda _: ["--control", "/nonexistent/x.sock"],
    "ready file": lambda _: ["--ready-file", "/nonexistent/x"],
    "ready directory": lambda world: ["--ready-file", world.directory],
    "state directory": lambda world: ["--state-dir", world.directory / "garbage.pem"],
    "socks": lambda world: ["--socks", world.taken],
    "forward": lambda world: ["-L", f"{world.taken}:site.example:80"],
    "unix forward": lambda _: ["-L", "/nonexistent/x:site.example:80"],
    "udp forward": lambda _: ["-L", "192.0.2.99:5353:site.example:53/udp"],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_before_anything_is_changed(world, mistake):
    (world.directory / "garbage.pem").write_text("garbage\n")
    listener, world.taken = taken(world)
    before = snapshot(world)
    mode = "p2p-client" if mistake in ("socks", "forward", "unix forward", "udp forward") else "vpn"
    argv = world.vpn_argv(world.exit.link, mode=mode)
    monitor = world.start("client", "monitor", "nft", "monitor")
    options = MISTAKES[mistake](world)
    if "--state-dir" in options:
        at = argv.index("--state-dir")
        del argv[at:at + 2]
    with listener:
        done = world.run("client", *argv, *options)
    assert done.returncode in (1, USAGE, REFUSED) and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert snapshot(world) == before and fetches(world)
    world.stop(monitor)
    assert "zks-vpn" not in monitor.stdout(), "no kill switch meanwhile"


@pytest.mark.parametrize("ending", ["revoked link", "forward not allowed", "once", "once, no relay"])
def test_an_error_before_the_first_session_leaves_the_machine_as_it_was(world, ending):
    before = snapshot(world)
    link, options, mode = world.exit.link, [], "vpn"
    if ending == "revoked link":
        state = world.directory / "exit-state"
        made = world.run("exit", CLIENT_PROGRAM, "invite", "leaver", "--state-dir", state)
        assert world.run("exit", CLIENT_PROGRAM, "revoke", "leaver", "--state-dir", state).returncode == 0
        link = made.stdout.strip()
    elif ending == "forward not allowed":
        mode, options = "p2p-client", ["-R", "8080:127.0.0.1:80"]
    elif ending == "once":
        link, options = link.with_(room="a" * 32), ["--once"]
    else:
        link, options = link.with_(hosts=f"{RELAY[4]}:9"), ["--once"]
    done = world.run("client", *world.vpn_argv(link, *options, mode=mode))
    assert done.returncode == (1 if ending == "once, no relay" else REFUSED), done.stderr
    assert "what was changed on this machine is undone" in done.stderr, done.stderr
    assert snapshot(world) == before and fetches(world)


def test_what_was_closed_stays_closed_at_an_error(world):
    """An attacker on the way must not open by a refusal what a crash left closed, or what is to stay closed."""
    link = world.exit.link.with_(room="a" * 32)
    done = world.run("client", *world.vpn_argv(link, "--once", "--stay-closed"))
    assert done.returncode == REFUSED and "the kill switch stays" in done.stderr and not fetches(world)
    assert down(world).returncode == 0 and fetches(world)
    crash(world, world.start_vpn(world.exit.link))
    done = world.run("client", *world.vpn_argv(link, "--once"))
    assert done.returncode == REFUSED and "the kill switch stays" in done.stderr and not fetches(world)
    assert down(world).returncode == 0 and fetches(world)


def test_an_exit_that_is_offline_is_waited_for(world):
    assert world.stop(world.exit) == 0
    vpn = world.start_vpn(world.exit.link, "--reconnect-max", "1s", wait=False)
    wait_until(lambda: "no exit peer is registered" in vpn.stderr(), 30, "it says for what it waits")
    assert vpn.alive() and not fetches(world)
    world.exit = world.start_exit()
    try:
        vpn.wait_ready()
        assert fetches(world)
    finally:
        assert world.stop(vpn) == 0


def refused_with(world, words, *argv, before=None):
    done = world.run("client", *argv, *world.vpn_argv(world.exit.link))
    assert done.returncode == USAGE and len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    if before:
        assert snapshot(world) == before


@pytest.mark.parametrize("capability", ["net_admin", "sys_admin", "setuid"])
def test_a_capability_that_a_container_lacks_is_named(world, capability):
    refused_with(world, [f"CAP_{capability.upper()}", f"--cap-add {capability.upper()}"], "setpriv",
                 f"--bounding-set=-{capability}", before=snapshot(world))


def test_without_the_device_that_a_container_lacks(world):
    refused_with(world, ["/dev/net/tun", "--device /dev/net/tun", "modprobe tun"], "unshare", "-m", "sh", "-c",
                 'mount -t tmpfs none /dev/net && exec "$@"', "sh", before=snapshot(world))


@pytest.mark.parametrize("kind", ["tap", "tun", "bridge", "veth"])
def test_a_device_of_that_name_is_left_alone(world, kind):
    """A tun that somebody else keeps would have been taken, and left behind with the tunnel's addresses."""
    make = ["tuntap", "add", TUN, "mode", kind] if kind in ("tap", "tun") else ["link", "add", TUN, "type", kind]
    world.sh("client", "ip", *make)
    try:
        refused_with(world, [TUN, "--tun", "ip link delete"], before=snapshot(world))
    finally:
        world.sh("client", "ip", "link", "delete", TUN)


def test_a_resolv_conf_on_a_read_only_file_system(world):
    refused_with(world, ["/etc/resolv.conf", "read-only", "--dns none"], "unshare", "-m", "sh", "-c",
                 'mount -o remount,bind,ro /etc/resolv.conf && exec "$@"', "sh", before=snapshot(world))


@pytest.mark.parametrize("attribute", ["i", "a"])
def test_a_resolv_conf_with_an_attribute(world, attribute):
    changed = run(["chattr", f"+{attribute}", world.resolv_conf])
    if changed.returncode != 0:
        pytest.skip(f"this file system has no attributes: {changed.stderr.strip()}")
    try:
        refused_with(world, [f"chattr -{attribute} /etc/resolv.conf", "--dns none"], before=snapshot(world))
        vpn = world.start_vpn(world.exit.link, "--dns", "none")
        assert world.stop(vpn) == 0
    finally:
        run(["chattr", f"-{attribute}", world.resolv_conf])
