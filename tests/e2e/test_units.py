# SPDX-License-Identifier: MIT
"""The systemd units, as far as systemd itself can judge them without running them; and vpn's system calls against the
filter of its unit."""
import os
import re
import shutil
import signal
import socket
import sys

import pytest
from harness import namespace
from harness.process import BUILD, RELAY_PROGRAM, ReadyProgram, clean_environment, run, wait_until
from harness.world import SITE, World

PACKAGING = os.path.join(os.path.dirname(__file__), "..", "..", "packaging")
# What `systemd-analyze security` may say at most, in tenths: 0 has no rights, 100 has all.
EXPOSURE = {"zks-vpn": 33, "zks-exit-peer": 12, "zks-tunnel-relay": 15, "zks-worker-relay": 15}
PROGRAMS = [name for name in EXPOSURE if name != "zks-worker-relay"]

pytestmark = pytest.mark.native_relay("no relay takes part, or one in a namespace")
systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="takes systemd-analyze")


def unit_text(name):
    with open(os.path.join(PACKAGING, f"{name}.service" + (".in" if name in PROGRAMS else ""))) as source:
        text = source.read().replace("@bindir@", str(BUILD)).replace("@docdir@", "/usr/share/doc/zks_vpn")
    return text.replace("/opt/zks-worker-relay/serve", "/bin/true")  # systemd looks whether it is there


@systemd
@pytest.mark.parametrize("name", EXPOSURE)
def test_systemd_finds_no_fault(tmp_path, name):
    path = tmp_path / f"{name}.service"
    path.write_text(unit_text(name))
    found = run(["systemd-analyze", "verify", path])
    assert found.returncode == 0 and found.stdout + found.stderr == ""
    found = run(["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE[name]}", path])
    assert found.returncode == 0, found.stdout


ALWAYS = ("NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes",
          "PrivateMounts=yes", "ProtectClock=yes", "ProtectHostname=yes", "ProtectControlGroups=yes",
          "ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectProc=invisible", "RestrictRealtime=yes", "RestrictSUIDSGID=yes",
          "LockPersonality=yes", "KeyringMode=private", "SystemCallArchitectures=native", "LimitCORE=0", "UMask=0077")
VPN_RIGHTS = {f"CAP_{name}" for name in ("NET_ADMIN", "SYS_ADMIN", "SETUID", "SETGID", "KILL", "DAC_OVERRIDE", "CHOWN",
                                         "FOWNER")}
BUT_FOR_VPN = ("DynamicUser=yes", "ProtectKernelTunables=yes", "ProcSubset=pid", "RestrictNamespaces=yes")


@pytest.mark.parametrize("name", EXPOSURE)
def test_what_every_unit_gives_up(name):
    lines = unit_text(name).splitlines()
    assert [line for line in ALWAYS if line not in lines] == []
    assert [line for line in BUT_FOR_VPN if line not in lines] == (list(BUT_FOR_VPN) if name == "zks-vpn" else [])
    (rights,) = [line.split("=")[1].split() for line in lines if line.startswith("CapabilityBoundingSet=")]
    assert set(rights) <= {"zks-vpn": VPN_RIGHTS, "zks-exit-peer": set()}.get(name, {"CAP_NET_BIND_SERVICE"})


@pytest.mark.parametrize("name", ["zks-exit-peer", "zks-tunnel-relay"])
def test_what_sighup_reads_again_is_reloaded_by_systemd(name):
    assert "\nExecReload=/bin/kill -HUP $MAINPID\n" in unit_text(name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_hangs_is_restarted(name):
    assert re.search(r"^Type=notify\n(.*\n)*Restart=on-failure\n(.*\n)*WatchdogSec=\d+$", unit_text(name), re.M)


class Notify:
    """What systemd would hear."""

    def __init__(self, directory):
        self.path = directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(60)

    def environment(self, **more):
        return clean_environment(NOTIFY_SOCKET=str(self.path), WATCHDOG_USEC="4000000", **more)

    def quiet(self, seconds):
        """Nothing is said for so long, half as much again as systemd would wait, but for what is on its way."""
        self._socket.settimeout(seconds)
        with pytest.raises(TimeoutError):
            for _ in range(3):
                self._socket.recv(4096)
        self._socket.settimeout(60)

    def wait_for(self, text):
        while self._socket.recv(4096).decode() != text:
            pass


def test_the_relay_tells_that_its_loops_run(tmp_path, programs):
    notify = Notify(tmp_path)
    programs.append(ReadyProgram("relay", [RELAY_PROGRAM, "--plaintext", "--listen", "127.0.0.1:0", "--threads", "3"],
                                 tmp_path, environment=notify.environment()))
    for _ in range(3):
        notify.wait_for("WATCHDOG=1")


@pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces")
def test_vpn_tells_that_both_processes_run(tmp_path):
    notify = Notify(tmp_path)
    with World(tmp_path) as world:
        world.start_relay()
        vpn = world.start_vpn(world.start_exit().link, environment=notify.environment())
        notify.wait_for("READY=1\nSTATUS=session is up")
        for _ in range(3):
            notify.wait_for("WATCHDOG=1")
        # The worker alone hangs: its parent says nothing for it.
        worker = int(run(["pgrep", "-P", str(vpn.pid)]).stdout.split()[0])
        os.kill(worker, signal.SIGSTOP)
        notify.quiet(6)
        os.kill(worker, signal.SIGCONT)
        notify.wait_for("WATCHDOG=1")


def calls_of(groups):
    """The names in lists of calls and @groups, the groups resolved by systemd."""
    names, waiting = set(), groups.split()
    while waiting:
        word = waiting.pop()
        if not word.startswith("@"):
            names.add(word)
            continue
        lines = run(["systemd-analyze", "syscall-filter", word]).stdout.splitlines()[1:]
        waiting += [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return names


def allowed_calls(unit):
    """What the unit's SystemCallFilter= lets through: the first line allows, later ones add and take away, in turn."""
    lines = re.findall(r"^SystemCallFilter=(.*)$", unit, re.M)
    assert lines and not lines[0].startswith("~"), "only a list of what is allowed is understood here"
    names = calls_of("@default")
    for line in lines:
        names = names - calls_of(line[1:]) if line.startswith("~") else names | calls_of(line)
    return names


@systemd
@pytest.mark.skipif(not shutil.which("strace"), reason="takes strace")
@pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces")
def test_vpn_stays_within_its_filter(tmp_path):
    with World(tmp_path) as world:
        (tmp_path / "small").write_text("from the site\n")
        world.start("site", "web", sys.executable, "-m", "http.server", "--bind", "::", "--directory", tmp_path, "80")
        world.start_relay()
        link = world.start_exit().link
        trace, ready = tmp_path / "trace", tmp_path / "vpn.ready"
        tracer = world.start("client", "vpn", "strace", "-f", "-qq", "-o", trace, *world.vpn_argv(link, "--ready-file", ready))
        wait_until(ready.exists, 60, "vpn is up")
        for host in (SITE[4], f"[{SITE[6]}]"):
            assert world.run("client", "curl", "-sS", "-m", "20", f"http://{host}/small").stdout == "from the site\n"
        assert world.run("client", "ping", "-c", "1", "-W", "5", SITE[4]).returncode == 0
        os.kill(int(ready.read_text().split()[0]), signal.SIGTERM)
        assert tracer.wait(60) == 0
        used = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.M))
        assert {"unshare", "capset", "sendmsg"} <= used  # what is looked for is found
        allowed = allowed_calls(unit_text("zks-vpn"))
        assert used - allowed == set()
        assert not {"bpf", "mount", "ptrace", "init_module", "kexec_load", "add_key"} & allowed
        # The worker's own filter says ENOSYS to nothing that matters: a thread is made by clone, the names of
        # interfaces are not looked at, and its control socket's file is the parent's to remove.
        refused = re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)[ (].* = -1 ENOSYS", trace.read_text(errors="replace"), re.M)
        assert set(refused) <= {"clone3", "socket", "unlinkat"}


# What the unit's mounts and rights are, made by hand: systemd itself would have to be this machine's first process.
AS_ITS_UNIT = """set -e
mkdir "$1/dev"; mount -t tmpfs -o mode=755 none "$1/dev"
for device in null zero full random urandom tty; do
  touch "$1/dev/$device"; mount --bind /dev/$device "$1/dev/$device"
done
mkdir "$1/dev/net"; touch "$1/dev/net/tun"; mount --bind /dev/net/tun "$1/dev/net/tun"
mount --move "$1/dev" /dev
mount -t proc -o hidepid=invisible proc /proc
mount --bind "$1" "$1"
mount -o remount,bind,ro /
shift; exec "$@"
"""


@pytest.mark.skipif(not namespace.possible(), reason="takes root, for network namespaces")
def test_vpn_runs_with_what_its_unit_leaves_it(tmp_path):
    rights = re.search("^CapabilityBoundingSet=(.*)$", unit_text("zks-vpn"), re.M)[1]
    rights = rights.lower().replace("cap_", "+").split()
    wrapper = ["unshare", "-m", "sh", "-c", AS_ITS_UNIT, "sh", tmp_path,
               "setpriv", "--no-new-privs", f"--bounding-set=-all,{','.join(rights)}"]
    with World(tmp_path) as world:
        world.start_relay()
        before = world.resolv_conf.read_text()
        argv = world.vpn_argv(world.start_exit().link, "--control", "none")
        vpn = world.start("client", "vpn", *wrapper, *argv, ready=True,
                          environment=clean_environment(ZKS_VPN_DIR=str(tmp_path)))
        status = dict(line.split(":\t") for line in open(f"/proc/{vpn.pid}/status").read().splitlines())
        assert int(status["CapBnd"], 16).bit_count() == len(rights)
        assert world.run("client", "ping", "-c", "1", "-W", "10", SITE[4]).returncode == 0
        assert world.resolv_conf.read_text() != before
        assert world.stop(vpn) == 0
        assert world.resolv_conf.read_text() == before
