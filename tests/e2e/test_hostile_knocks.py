# SPDX-License-Identifier: MIT
"""An exit that is registered at two relays, one of which is hostile: whatever it wakes the exit for, clients of the honest
one get their sessions, and what the exit does for it is bounded."""
import asyncio
import base64
import re

import pytest
from dissononce.dh.x25519.x25519 import X25519DH
from harness import honest_user
from harness.chain import assert_serves
from harness.knocking_relay import KnockingRelay
from harness.process import CLIENT_PROGRAM, run, wait_until
from harness.session_client import SessionClient
from harness.tunnel import make_invite, start_client, start_exit, start_relay
from harness.watching import status
from relay_peers import Closed, RelayAccess, scenario

KNOCKS_A_SECOND = 300


class Place:
    """The exit, links that name one relay of the two, and a user of the honest one."""

    def __init__(self, directory, programs):
        self.directory = directory
        self.honest = start_relay(directory, name="honest")
        programs.append(self.honest)
        self.hostile = KnockingRelay()
        programs.append(self.hostile)
        self.exit = start_exit(directory, self.honest.url, "--relay", self.hostile.url)
        programs.append(self.exit)
        wait_until(lambda: self.hostile.registrations == 1, 10, "the exit is at both relays")
        self.honest_link = self.link(self.honest, make_invite(self.exit, "honest"))
        self.user = start_client(directory, self.honest_link, name="user")
        programs.append(self.user)

    def link(self, relay, link=None):
        return (link or self.exit.link()).with_(hosts=f"localhost:{relay.port}" if relay is self.honest else f"127.0.0.1:{relay.port}")

    def check(self, relay):
        """(exit status, the step that failed) of a session of its own over `relay`."""
        file = self.directory / "checked.link"
        file.write_text(f"{self.link(relay)}\n")
        file.chmod(0o600)
        done = run([CLIENT_PROGRAM, "check", "--link-file", file, "--state-dir", self.directory / "check-state"])
        return done.returncode, re.findall(r"^  (\S.*?) +FAILED ", done.stdout, re.MULTILINE)

    def figures(self):
        """Of the user, whose joins are sessions of another device of his."""
        return honest_user.at_exit(self.user.proxy, self.honest_link, self.directory)

    def counters(self):
        return status(self.exit)["exit"]["counters"]


@pytest.fixture
def place(tmp_path, programs):
    return Place(tmp_path, programs)


@pytest.mark.load
@pytest.mark.parametrize("conduct", ["never-answers", "says-nothing"])
def test_knocks_of_one_relay_take_no_places_of_another(place, conduct):
    alone = place.figures()
    place.hostile.start_knocking(KNOCKS_A_SECOND, None if conduct == "never-answers" else place.hostile.say_nothing)
    wait_until(lambda: place.hostile.dialled >= 64, 20, "the exit's places are taken")
    honest_user.assert_stays(alone, place.figures())
    assert place.counters()["refused_clients"].get("busy", 0) + place.counters()["refused_clients"].get("limit", 0) > 0


@pytest.mark.load
def test_a_message_1_that_is_played_again_gets_nothing(place):
    assert place.check(place.hostile) == (0, [])
    alone = place.figures()
    assert len(place.hostile.lanes[0].said["up"][0]) == 106
    place.hostile.start_knocking(60, place.hostile.play_again)
    wait_until(lambda: len(place.hostile.answers) >= 60, 20, "the exit answered what was played")
    honest_user.assert_stays(alone, place.figures())
    assert {str(answer) for answer in place.hostile.answers} == {"([50], 4403)"}, "the uniform refusal"
    assert place.counters()["refused_clients"]["not_invited"] >= 60
    assert place.counters()["sessions"] == 2 + 2 * honest_user.JOINS, "none for what was played"


@pytest.mark.load
def test_a_session_that_runs_does_not_notice(place):
    place.hostile.start_knocking(KNOCKS_A_SECOND)
    wait_until(lambda: place.hostile.dialled >= 128, 20, "the exit's places were taken twice")
    for _ in range(5):
        assert_serves(place.user.proxy)
    assert (place.counters()["sessions"], place.counters()["resumes"]) == (1, 0)


async def half_open(place, link):
    """A client that has message 2 and has shown no record."""
    relay = RelayAccess(place.honest.url)
    peer = await relay.connect(f"/v1/rooms/{link.room}/client")
    client = SessionClient(peer, link, X25519DH().generate_keypair())
    await client.shake_hands(base64.b32decode(link.room.upper()))
    return client, peer


@pytest.mark.load
def test_one_link_does_not_keep_the_others_out(place):
    """More lanes that stop after message 2 than there are places, 50 a second more: another invite's users come in."""
    link = make_invite(place.exit, "wild", "--devices", "64")
    alone = place.figures()

    async def flood():
        async def lane():
            _, peer = await half_open(place, link)
            await peer.close_code()

        lanes = set()
        made, beside = 0, None
        while beside is None or not beside.done():
            if made == 100:
                beside = asyncio.get_running_loop().run_in_executor(None, place.figures)
            lanes.add(asyncio.create_task(lane()))
            made += 1
            await asyncio.sleep(0.02)
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        return await beside

    honest_user.assert_stays(alone, scenario(flood()))
    assert place.counters()["sessions"] == 1 + 2 * honest_user.JOINS


def test_who_is_revoked_before_the_first_record_gets_no_session(place):
    """Also within the second in which an exit looks for changed invites."""
    link = make_invite(place.exit, "late")

    async def come_late():
        for revoked in (False, True):
            client, peer = await half_open(place, link)
            if not revoked:
                await client.begin()
                peer.drop()
                continue
            done = run([CLIENT_PROGRAM, "revoke", "late", "--state-dir", place.exit.state])
            assert done.returncode == 0, done.stderr
            with pytest.raises(Closed) as closed:
                await client.begin()
            assert closed.value.code == 4403

    scenario(come_late())
    assert place.counters()["sessions"] == 2, "the user's, and that of who was not revoked"
