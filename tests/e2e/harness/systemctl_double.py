# SPDX-License-Identifier: MIT
"""Stands for systemctl in a machine (machine.py) where no systemd runs: `enable --now`, `stop` and `reload` of a
unit below /usr/local. It starts what the unit's ExecStart says with what the unit promises about files and users:
StateDirectory=, LoadCredential=, EnvironmentFile=, DynamicUser=, Type=notify. It knows no sandboxing."""
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path("/usr/local/lib/systemd/system")
NOBODY = 65534
READY_SECONDS = 60


def settings(unit):
    out = {}
    for line in (UNITS / f"{unit}.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            out.setdefault(name, []).append(value)
    return out


def own(path, user, mode):
    os.chown(path, user, user)
    path.chmod(mode)


def make_state(unit, words, user):
    """The environment, with the directories that it names."""
    env = {**os.environ, "LISTEN_FDS": "0"}
    for name in words.get("StateDirectory", []):
        state = Path("/var/lib") / name
        state.mkdir(exist_ok=True)
        own(state, user, 0o700)
        env["STATE_DIRECTORY"] = str(state)
    credentials = Path(f"/run/credentials/{unit}.service")
    for credential in words.get("LoadCredential", []):
        name, source = credential.split(":", 1)
        credentials.mkdir(parents=True, exist_ok=True)
        own(credentials, user, 0o500)
        shutil.copyfile(source, credentials / name)
        own(credentials / name, user, 0o400)
        env["CREDENTIALS_DIRECTORY"] = str(credentials)
    return env


def command(words, env):
    text = words["ExecStart"][-1]
    for name, value in env.items():
        text = text.replace("${" + name + "}", value)
    argv = shlex.split(text)
    if "DynamicUser" not in words:
        return argv
    kept = [c.lower().removeprefix("cap_") for c in " ".join(words.get("AmbientCapabilities", [])).split()]
    capabilities = ",".join(f"+{name}" for name in kept) or "-all"
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--inh-caps={capabilities}",
            f"--ambient-caps={capabilities}", "--no-new-privs", *argv]


def said_ready(told):
    try:
        return b"READY=1" in told.recv(4096)
    except TimeoutError:
        return False


def start(unit):
    words = settings(unit)
    user = NOBODY if "DynamicUser" in words else 0
    env = make_state(unit, words, user)
    notify = Path(f"/run/{unit}.notify")
    notify.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, open(f"/run/{unit}.log", "w") as log:
        told.bind(str(notify))
        notify.chmod(0o666)
        told.settimeout(0.2)
        env["NOTIFY_SOCKET"] = str(notify)
        to_log = subprocess.DEVNULL if words.get("StandardOutput") == ["null"] else log
        process = subprocess.Popen(command(words, env), env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=to_log, stderr=log,
                                   start_new_session=True)
        Path(f"/run/{unit}.pid").write_text(str(process.pid))
        deadline = time.monotonic() + READY_SECONDS
        while not said_ready(told):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{unit} did not become ready:\n" + Path(f"/run/{unit}.log").read_text())


def main(argv):
    what, *rest = argv
    if what == "enable" and rest[:1] == ["--now"]:
        start(rest[1])
    elif what == "stop":
        os.kill(int(Path(f"/run/{rest[0]}.pid").read_text()), signal.SIGTERM)
    elif what == "reload":
        pid = Path(f"/run/{rest[0]}.pid").read_text()
        subprocess.run(shlex.split(settings(rest[0])["ExecReload"][-1].replace("$MAINPID", pid)), check=True)
    else:
        sys.exit(f"systemctl double: it does not know {' '.join(argv)}")


main(sys.argv[1:])
