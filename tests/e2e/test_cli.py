# SPDX-License-Identifier: MIT
"""The command line of zks-tunnel-client: what scripts rely on (stdout, exit status, files) and what a user reads.

The state directory of an exit is made here file by file, so that no relay and no exit has to run."""
import json
import os
import stat
import subprocess

import pytest
from harness.access_link import AccessLink, base64url
from harness.process import CLIENT_PROGRAM, ReadyProgram, clean_environment, run
from harness.tunnel import start_exit, start_relay

USAGE = 2
MODES = ("socks5", "p2p-client", "exit-peer", "invite", "limit", "revoke", "invites", "check", "demo")
RELAY_MODES = ("socks5", "p2p-client", "exit-peer", "check")


def client(*arguments, **environment):
    return run([CLIENT_PROGRAM, *arguments], env=clean_environment(**environment))


def assert_usage_error(done, says):
    """One line on stderr that says what is wrong and what to do next, nothing on stdout, status 2."""
    assert done.returncode == USAGE, done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "--help" in done.stderr
    assert done.stdout == ""


def write_private(path, value):
    path.write_text(json.dumps(value))
    path.chmod(0o600)


@pytest.fixture
def state(tmp_path):
    """The state directory of an exit that has run with two relays."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    write_private(directory / "exit-identity.json",
                  {"version": 1, "room_seed": base64url(b"\1" * 32), "static_key": base64url(b"\2" * 32)})
    write_private(directory / "relays.json",
                  {"version": 1, "relays": ["wss://a.example:8443/x", "wss://[2001:db8::1]/x"],
                   "pin": base64url(b"\3" * 32)})
    return directory


def make_link(state, name="alice"):
    done = client("invite", name, "--state-dir", state)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- help and version

def test_help_names_every_mode():
    done = client("--help")
    assert done.returncode == 0
    assert all(mode in done.stdout for mode in MODES)
    assert done.stderr == ""


@pytest.mark.parametrize("mode", MODES)
def test_help_of_a_mode_teaches(mode):
    done = client(mode, "--help")
    assert done.returncode == 0
    assert f"zks-tunnel-client {mode}" in done.stdout
    assert "Example:" in done.stdout


@pytest.mark.parametrize("mode", RELAY_MODES)
def test_help_says_the_defaults(mode):
    text = client(mode, "--help").stdout
    assert "--reconnect-max DURATION=15s" in text
    assert "--log-level LEVEL=info" in text
    assert "--state-dir DIR=" in text


def test_version_everywhere():
    whole = client("--version")
    assert whole.returncode == 0 and whole.stdout.startswith("zks-tunnel-client ")
    for mode in MODES:
        assert client(mode, "--version").stdout == whole.stdout


# --- wrong usage

@pytest.mark.parametrize("arguments, says", [
    ([], "mode is missing"),
    (["sock5"], "no such mode"),
    (["socks5", "--lissten", "127.0.0.1:0"], "unknown option --lissten"),
    (["socks5", "--listen", "1080"], "--listen"),
    (["socks5", "--listen", "example.org:1080"], "--listen"),
    (["socks5", "--log-level", "loud"], "--log-level"),
    (["socks5", "--relay-ca", "/nonexistent/ca.pem"], "/nonexistent/ca.pem"),
    (["socks5", "--header", "no-colon"], "--header"),
    (["socks5", "--header", "Host: elsewhere.example"], "set by the program"),
    (["socks5", "--sni", "not a name"], "--sni"),
    (["socks5", "--reconnect-max", "0"], "--reconnect-max"),
    (["socks5", "--user", "nocolon"], "USER:PASSWORD"),
    (["socks5"], "no link"),
    (["check"], "no link"),
    (["p2p-client"], "--socks"),
    (["exit-peer", "--relay", "https://relay.example"], "--relay"),
    (["exit-peer", "--relay-pin", base64url(b"\3" * 32)], "--relay-pin belongs to --relay"),
    (["exit-peer", "--relay", "wss://a.example", "--relay-pin", "short"], "--relay-pin"),
    (["exit-peer", "--allow", "10.0.0.0/33"], "--allow"),
    (["exit-peer", "--resolver", "dns.example"], "--resolver"),
    (["exit-peer", "--max-streams", "0"], "--max-streams"),
    (["invite"], "name"),
    (["revoke"], "name"),
    (["limit"], "name"),
    (["invites", "extra"], "argument too many"),
])
def test_wrong_usage(arguments, says):
    assert_usage_error(client(*arguments), says)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:1080"])
@pytest.mark.parametrize("mode, option", [("socks5", "--listen"), ("p2p-client", "--socks"), ("demo", "--listen")])
def test_a_proxy_beyond_loopback_needs_a_user(mode, option, address):
    assert_usage_error(client(mode, option, address), "--user")


# --- links

@pytest.mark.parametrize("mode", ["socks5", "check"])
def test_a_damaged_link_is_refused_wherever_it_comes_from_and_not_repeated(state, tmp_path, mode):
    link = make_link(state)
    damaged = link[:-1] + ("A" if link[-1] != "A" else "B")
    secret = link.split("#")[1]
    in_file = tmp_path / "damaged.link"
    in_file.write_text(damaged + "\n")
    in_file.chmod(0o600)
    for done in (client(mode, damaged), client(mode, "--link-file", in_file), client(mode, ZKS_LINK=damaged)):
        assert_usage_error(done, "access link")
        assert secret[:20] not in done.stderr and secret[-20:-1] not in done.stderr


def test_a_link_that_lost_its_key_to_the_shell(state):
    assert_usage_error(client("socks5", make_link(state).split("#")[0]), "single quotes")


def test_two_links_are_refused_without_repeating_them(state, tmp_path):
    link = make_link(state)
    file = tmp_path / "a.link"
    file.write_text(link)
    file.chmod(0o600)
    for done in (client("socks5", link, "--link-file", file), client("socks5", link, link)):
        assert done.returncode == USAGE
        assert link.split("#")[1] not in done.stderr


@pytest.mark.parametrize("content, says", [("", "empty"), ("a\nb\n", "more than one line"), ("a" * 9000, "too long")],
                         ids=["empty", "two lines", "long"])
def test_a_link_file_of_the_wrong_shape(tmp_path, content, says):
    file = tmp_path / "x.link"
    file.write_text(content)
    file.chmod(0o600)
    assert_usage_error(client("socks5", "--link-file", file), says)


def test_a_missing_link_file(tmp_path):
    assert_usage_error(client("socks5", "--link-file", tmp_path / "none"), "No such file")


def test_the_link_and_the_password_leave_the_process_list(tmp_path):
    relay = start_relay(tmp_path)
    exit_peer = start_exit(tmp_path, relay.url)
    programs = [relay, exit_peer]
    try:
        link = str(exit_peer.link())
        proxy = ReadyProgram("client", [CLIENT_PROGRAM, "socks5", link, "--listen", "127.0.0.1:0",
                                        "--user", "alice:swordfish", "--state-dir", tmp_path / "client-state"], tmp_path)
        programs.append(proxy)
        with open(f"/proc/{proxy.pid}/cmdline", "rb") as file:
            shown = file.read()
        assert b"alice:" in shown and link.split("#")[0].encode() in shown
        assert link.split("#")[1].encode() not in shown and b"swordfish" not in shown
    finally:
        for program in reversed(programs):
            program.kill()


# --- the config file

def test_config_file_errors_are_usage_errors(tmp_path):
    file = tmp_path / "zks.toml"
    for text, says in (("lissten = '127.0.0.1:0'", "lissten"), ("listen = 'x'", "--listen"), ("listen = ", "line 1"),
                       ("[socks5]\nlisten = '127.0.0.1:0'", "no sections"), ("config = 'other'", "config")):
        file.write_text(text)
        assert_usage_error(client("socks5", "--config", file), says)
    assert_usage_error(client("socks5", "--config", tmp_path / "none.toml"), "none.toml")


def test_a_link_may_stand_in_the_config_file(state, tmp_path):
    link = make_link(state)
    file = tmp_path / "zks.toml"
    file.write_text(f"link = '{link[:-1]}'\n")  # damaged, so that nothing is dialled
    done = client("socks5", "--config", file)
    assert_usage_error(done, "access link")
    assert link.split("#")[1][:-1] not in done.stderr


# --- invite, revoke, invites

def test_invite_prints_a_link_and_nothing_else(state):
    done = client("invite", "alice", "--state-dir", state, "--expires", "30d", "--devices", "2")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    text = done.stdout.strip()
    assert text.startswith("zks://a.example:8443,[2001:db8::1]/x/") and f"?pin={base64url(bytes([3]) * 32)}#" in text
    assert str(AccessLink.parse(text)) == text


def test_invites_lists_without_keys(state):
    links = {name: make_link(state, name) for name in ("alice", "bob")}
    listed = json.loads(client("invites", "--state-dir", state, "--json").stdout)
    assert [entry["name"] for entry in listed] == ["alice", "bob"]
    for entry in listed:
        assert set(entry) == {"name", "id", "created", "expires", "devices", "max_devices", "allow", "deny",
                              "allow_listen", "max_streams", "stream_rate", "rate_bytes", "quota_bytes", "used_bytes"}
        assert entry["quota_bytes"] is None and entry["allow"] == [] and entry["used_bytes"] == 0
        assert entry["expires"] is None and entry["devices"] == 0 and entry["max_devices"] == 5
    table = client("invites", "--state-dir", state).stdout
    assert "alice" in table and "never" in table and "0/5" in table
    for link in links.values():
        psk = base64url(AccessLink.parse(link).psk)
        assert psk in (state / "invites.json").read_text()  # the search finds what is there
        assert psk not in table and psk not in json.dumps(listed)


def test_invites_of_an_exit_without_any(state):
    assert json.loads(client("invites", "--state-dir", state, "--json").stdout) == []


def test_expiry_is_listed(state):
    client("invite", "alice", "--state-dir", state, "--expires", "12h")
    entry = json.loads(client("invites", "--state-dir", state, "--json").stdout)[0]
    assert entry["expires"] > entry["created"]
    invites = json.loads((state / "invites.json").read_text())
    assert invites["invites"][0]["expires"] - invites["invites"][0]["created"] == 12 * 3600
    invites["invites"][0]["expires"] = 1
    write_private(state / "invites.json", invites)
    assert "expired" in client("invites", "--state-dir", state).stdout


def test_rules_and_limits_of_an_invite(state):
    """Given with the invite, listed, changed one by one, taken away."""
    first = client("invite", "alice", "--state-dir", state, "--allow", "10.1.2.3:22", "--deny", "*.ads.example",
                   "--deny", "*:6667", "--max-streams", "20", "--stream-rate", "5/s", "--rate", "1MB/s", "--quota", "2GiB")
    assert first.returncode == 0, first.stderr
    (alice,) = json.loads(client("invites", "--state-dir", state, "--json").stdout)
    assert (alice["allow"], alice["deny"]) == (["10.1.2.3:22"], ["*.ads.example", "*:6667"])
    assert (alice["max_streams"], alice["stream_rate"], alice["rate_bytes"], alice["quota_bytes"]) == (20, 5, 10**6, 2 << 30)
    changed = client("limit", "alice", "--state-dir", state, "--rate", "none", "--deny", "none", "--quota", "3GiB")
    assert changed.returncode == 0, changed.stderr
    assert changed.stdout == "--allow 10.1.2.3:22 --max-streams 20 --stream-rate 5/s --quota 3221225472\n"
    (alice,) = json.loads(client("invites", "--state-dir", state, "--json").stdout)
    assert alice["rate_bytes"] is None and alice["deny"] == [] and alice["quota_bytes"] == 3 << 30
    table = client("invites", "--state-dir", state).stdout
    assert "0 of 3.0GiB" in table and changed.stdout.strip() in table
    assert_usage_error(client("limit", "bob", "--state-dir", state, "--rate", "1"), "no such invite")


@pytest.mark.parametrize("arguments, says", [
    (["--allow", "10.0.0.1/8"], "--allow"), (["--deny", "127.1"], "--deny"), (["--max-streams", "0"], "--max-streams"),
    (["--stream-rate", "x/s"], "--stream-rate"), (["--rate", "0/s"], "--rate"), (["--quota", "much"], "--quota"),
    (["--allow-listen", "0"], "--allow-listen"), (["--allow-listen", "8080"] * 65, "at most 64 rules"),
    (["--deny", "a.example"] * 65, "at most 64 rules"),
])
def test_limits_that_can_not_be(state, arguments, says):
    make_link(state, "alice")
    assert_usage_error(client("limit", "alice", "--state-dir", state, *arguments), says)
    (alice,) = json.loads(client("invites", "--state-dir", state, "--json").stdout)
    assert alice["deny"] == [] and alice["quota_bytes"] is None


def test_revoke_takes_the_invite_away(state):
    first = make_link(state)
    assert client("revoke", "alice", "--state-dir", state).returncode == 0
    assert json.loads(client("invites", "--state-dir", state, "--json").stdout) == []
    assert_usage_error(client("revoke", "alice", "--state-dir", state), "no such invite")
    assert make_link(state) != first


@pytest.mark.parametrize("arguments, says", [
    (["alice"], "already"), (["a b"], "letters"), (["a" * 65], "letters"), (["bob", "--expires", "soon"], "--expires"),
    (["bob", "--expires", "0d"], "--expires"), (["bob", "--devices", "0"], "--devices"),
    (["bob", "--devices", "65"], "--devices"), (["bob", "eve"], "argument too many"),
])
def test_an_invite_that_can_not_be_made_changes_nothing(state, arguments, says):
    make_link(state)
    before = (state / "invites.json").read_bytes()
    assert_usage_error(client("invite", *arguments, "--state-dir", state), says)
    assert (state / "invites.json").read_bytes() == before


def test_a_link_that_can_not_be_written_is_status_1(state):
    with open("/dev/full", "w") as full:
        done = subprocess.run([CLIENT_PROGRAM, "invite", "alice", "--state-dir", state], stdout=full,
                              stderr=subprocess.PIPE, text=True, env=clean_environment(), timeout=60)
    assert done.returncode == 1
    assert "revoke alice" in done.stderr


def test_a_terminal_gets_a_qr_code_as_well(state):
    control, terminal = os.openpty()
    try:
        done = subprocess.run([CLIENT_PROGRAM, "invite", "alice", "--state-dir", state], stdout=terminal,
                              stderr=subprocess.PIPE, text=True, env=clean_environment(), timeout=60)
        shown = os.read(control, 4096).decode()
    finally:
        os.close(control)
        os.close(terminal)
    assert done.returncode == 0
    assert shown.startswith("zks://") and shown.count("\n") == 1
    lines = done.stderr.splitlines()
    assert len(lines) > 20 and all("█" in line or "▀" in line or "▄" in line for line in lines[2:-2])


# --- the state directory

def test_a_state_directory_that_is_not_there_is_not_made(tmp_path):
    for mode in (["invite", "alice"], ["revoke", "alice"], ["invites"]):
        assert_usage_error(client(*mode, "--state-dir", tmp_path / "none"), "no state directory")
    assert not (tmp_path / "none").exists()


def test_an_exit_that_never_ran_has_no_invites_to_give(tmp_path):
    (tmp_path / "empty").mkdir(mode=0o700)
    assert_usage_error(client("invite", "alice", "--state-dir", tmp_path / "empty"), "exit-peer --relay")
    assert not (tmp_path / "empty" / "exit-identity.json").exists()


def test_a_state_directory_open_to_others_is_refused(state):
    state.chmod(0o755)
    assert_usage_error(client("invites", "--state-dir", state), f"chmod 700 {state}")


def test_a_damaged_file_is_named_and_kept(state):
    make_link(state)
    file = state / "invites.json"
    file.write_text(file.read_text()[:50])
    before = file.read_bytes()
    for mode in (["invite", "bob"], ["revoke", "alice"], ["invites"]):
        done = client(*mode, "--state-dir", state)
        assert done.returncode == 1
        assert str(file) in done.stderr and len(done.stderr.splitlines()) == 1
    assert file.read_bytes() == before


def test_files_are_closed_to_others_whatever_the_umask(state):
    before = os.umask(0)
    try:
        make_link(state)
    finally:
        os.umask(before)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in state.iterdir())
