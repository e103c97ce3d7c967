# SPDX-License-Identifier: MIT
"""An exit whose disk hangs or is full, or whose lock somebody holds: that holds up who needs a write, which a new device
does, and nobody else. And a newer version's entries in the files, which are kept."""
import fcntl
import json
import signal

import pytest
from harness.chain import LATER, a_stream, assert_serves
from harness.preloads import Disk
from harness.process import CLIENT_PROGRAM, ReadyProgram, wait_until
from harness.tunnel import ALLOWED, Tunnel, client_command
from harness.watching import METRICS, health

pytestmark = pytest.mark.native_relay("it is about the exit's disk")

PATIENCE = 30
ECHOES = 50


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path)
    yield made
    made.hang(False)


@pytest.fixture
def chain(tmp_path, authority, disk):
    with disk.loaded():
        made = Tunnel(tmp_path, authority, exit_options=METRICS)
    yield made
    disk.hang(False)
    made.kill()


@pytest.fixture
def start_newcomer(chain, tmp_path, programs):
    def begin(name):
        command = client_command(tmp_path, chain.exit.link(), ca_file=chain.authority.ca_file, name=name)
        programs.append(ReadyProgram(name, command, tmp_path, wait=False))
        return programs[-1]

    return begin


def test_a_disk_that_hangs_holds_up_a_new_device_and_nobody_else(chain, disk, start_newcomer):
    with a_stream(chain.proxy) as assert_alive:
        before = disk.fsyncs()
        disk.hang()
        newcomer = start_newcomer("newcomer")
        wait_until(lambda: disk.fsyncs() > before, PATIENCE, "the new device is being written down")
        for _ in range(ECHOES):
            assert_alive()
        assert_serves(chain.proxy)
        assert not newcomer.ready_path.exists()
        disk.hang(False)
        newcomer.wait_ready(60)
        assert_serves(newcomer.address())
        assert_alive()


def test_and_does_not_keep_the_exit_from_ending(chain, disk, start_newcomer):
    before = disk.fsyncs()
    disk.hang()
    start_newcomer("newcomer")
    wait_until(lambda: disk.fsyncs() > before, PATIENCE, "the new device is being written down")
    assert chain.exit.stop() == 0
    chain.programs.remove(chain.exit)


def test_a_lock_that_somebody_holds_holds_up_nobody_else_either(chain, start_newcomer):
    with open(chain.exit.state / "lock", "r+b") as lock, a_stream(chain.proxy) as assert_alive:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newcomer = start_newcomer("newcomer")
        wait_until(lambda: [assert_alive() for _ in range(ECHOES)] and LATER in newcomer.stderr(), PATIENCE,
                   "the new device is told to try later")
        assert health(chain.exit) == 503
        assert_serves(chain.proxy)
        fcntl.flock(lock, fcntl.LOCK_UN)
        newcomer.wait_ready(60)
        wait_until(lambda: health(chain.exit) == 200, PATIENCE, "the exit is well again")


def test_a_full_disk_keeps_nobody_out_but_new_devices(chain, disk, tmp_path, start_newcomer, programs):
    chain.exit.stop()
    chain.programs.remove(chain.exit)
    disk.full()
    argv = [CLIENT_PROGRAM, "exit-peer", "--relay", chain.relay.url, "--state-dir", chain.exit.state, "--link-file",
            chain.exit.link_file, "--relay-ca", chain.authority.ca_file, *METRICS]
    with disk.loaded():
        again = ReadyProgram("again", [*argv, *(part for rule in ALLOWED for part in ("--allow", rule))], tmp_path, wait=False)
    programs.append(again)
    again.says("registered with relay", seconds=PATIENCE)
    again.says("No space left on device", seconds=PATIENCE)
    chain.client.says("session with the exit is up", seconds=60, times=2)
    assert_serves(chain.proxy)
    newcomer = start_newcomer("newcomer")
    newcomer.says(LATER, seconds=PATIENCE)
    assert health(again) == 503
    disk.full(False)
    newcomer.wait_ready(60)
    wait_until(lambda: health(again) == 200, PATIENCE, "the exit is well again")
    assert again.stop(signal.SIGTERM) == 0


def test_what_a_newer_version_wrote_is_kept(chain, start_newcomer):
    path = chain.exit.state / "invites.json"
    content = json.loads(path.read_text())
    content["hint"] = ["of a newer version"]
    content["invites"][0]["colour"] = "red"
    new = path.with_name("new")
    new.write_text(json.dumps(content))
    new.chmod(0o600)
    new.rename(path)
    newcomer = start_newcomer("newcomer")
    newcomer.wait_ready()
    after = json.loads(path.read_text())
    assert len(after["invites"][0]["devices"]) == 2, "it was written anew"
    assert after["hint"] == content["hint"] and after["invites"][0]["colour"] == "red"
