# SPDX-License-Identifier: MIT
"""An exit whose state can't be read: who is in stays and comes back, who is not is told to try later and goes on
trying, the log says what is wrong, `status` and /healthz fail; once it can be read again all is as before. And a wall
clock that jumps."""
import os

import pytest
from harness.chain import LATER, RESUMED, a_stream, assert_serves, said
from harness.preloads import Clock
from harness.process import CLIENT_PROGRAM, ReadyProgram, run
from harness.tunnel import client_command, make_invite, start_client, start_exit, start_relay
from harness.watching import METRICS, NOT_UP, UP, ask, health, status

KEPT_OUT = "nobody new comes in"
MENDED = "can be read again"
YEAR = 365 * 86_400
PATIENCE = 30


def missing(state):
    away = state.with_name("away.json")
    os.rename(state / "invites.json", away)
    return lambda: os.rename(away, state / "invites.json")


def replaced(change):
    def damage(state):
        good = (state / "invites.json").read_bytes()
        _replace(state / "invites.json", change(good))
        return lambda: _replace(state / "invites.json", good)

    return damage


def _replace(path, content):
    new = path.with_name("new")
    new.write_bytes(content)
    new.chmod(0o600)
    os.rename(new, path)


def without_its_directory(state):
    away = state.with_name("away")
    os.rename(state, away)
    return lambda: os.rename(away, state)


def open_to_others(state):
    good = (state / "invites.json").read_bytes()
    _replace(state / "invites.json", good)
    (state / "invites.json").chmod(0o644)
    return lambda: (state / "invites.json").chmod(0o600)


def of_what_was_used(state):
    _replace(state / "usage.json", b'{"version":1,"used":')
    return lambda: os.unlink(state / "usage.json")


FAULTS = {
    "missing": missing,
    "directory missing": without_its_directory,
    "empty": replaced(lambda good: b""),
    "cut off": replaced(lambda good: good[:150]),
    "of another version": replaced(lambda good: good.replace(b'"version": 1', b'"version": 2')),
    "open to others": open_to_others,
    "usage damaged": of_what_was_used,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.native_relay("the relay is ended, and the same answers come from both: tests/conformance")
def test_who_is_in_stays_and_nobody_is_told_that_a_link_is_wrong(fault, new_chain, tmp_path, programs):
    chain = new_chain(exit_options=METRICS)
    assert health(chain.exit) == 200
    with a_stream(chain.proxy) as assert_alive:
        mend = FAULTS[fault](chain.exit.state)
        chain.exit.says(KEPT_OUT, seconds=PATIENCE)
        state = chain.exit.state if chain.exit.state.exists() else tmp_path / "away"
        answer = ask(state)
        assert answer.returncode == NOT_UP and "degraded" in answer.stdout and ".json" in answer.stdout
        assert health(chain.exit) == 503
        assert_alive()
        assert_serves(chain.proxy)
        newcomer = ReadyProgram("newcomer", client_command(tmp_path, chain.exit.link(), ca_file=chain.authority.ca_file,
                                                           name="newcomer"), tmp_path, wait=False)
        programs.append(newcomer)
        newcomer.says(LATER, seconds=PATIENCE)
        chain.relay.kill()
        chain.relay.start()
        chain.client.says(RESUMED, seconds=60)
        assert_alive()
        mend()
        chain.exit.says(MENDED, seconds=PATIENCE)
        newcomer.wait_ready(60)
        assert_serves(newcomer.address())
        assert_alive()
    assert ask(chain.exit.state).returncode == UP and health(chain.exit) == 200
    assert status(chain.exit)["exit"]["faults"] == []
    assert said(chain.exit, KEPT_OUT) < 5, "it is told once, and once a minute"
    assert not said(chain.client, "revoked")


def test_a_missing_file_is_not_replaced_by_an_empty_one(new_tunnel):
    chain = new_tunnel()
    state = chain.exit.state
    mend = missing(state)
    for command in (["invite", "bob"], ["revoke", "default"], ["limit", "default", "--quota", "1GB"], ["invites"]):
        done = run([CLIENT_PROGRAM, *command, "--state-dir", state])
        assert done.returncode == 1 and "invites.json is missing: put it back" in done.stderr
    assert not (state / "invites.json").exists()
    chain.exit.stop()
    again = run([CLIENT_PROGRAM, "exit-peer", "--state-dir", state])
    assert again.returncode == 1 and "invites.json is missing: put it back" in again.stderr
    mend()
    assert run([CLIENT_PROGRAM, "invite", "bob", "--state-dir", state]).returncode == 0


@pytest.mark.native_relay("it is about the exit's clock")
def test_a_clock_that_jumps_ends_nobody(tmp_path, programs):
    clock = Clock(tmp_path)
    relay = start_relay(tmp_path)  # plaintext: a certificate would not be valid meanwhile
    programs.append(relay)
    with clock.loaded():
        exit_peer = start_exit(tmp_path, relay.url)
    programs.append(exit_peer)

    def new_guest(name):
        guest = start_client(tmp_path, make_invite(exit_peer, name, "--expires", "1d"), name=name)
        programs.append(guest)
        return guest

    guest = new_guest("guest")
    with a_stream(guest.proxy) as assert_alive:
        for number, jump in enumerate((YEAR, -YEAR), 1):
            clock.shift(jump)
            exit_peer.says("the clock was set by", seconds=PATIENCE, times=number)
            assert_alive()
            assert_serves(new_guest(f"new{number}").proxy)
            clock.shift(0)
            assert_serves(guest.proxy)
            assert_alive()
    assert guest.stop() == 0 and not said(guest, "revoked")
