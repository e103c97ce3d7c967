# SPDX-License-Identifier: MIT
"""A relay that drops, repeats, swaps, cuts and alters records, mixes pairs, gives wrong keys, replays old lanes and closes
with every code there is. No application gets a wrong byte; the lane dies; the session goes on over the next one, on
which the relay is honest.

Each misdeed meets a lane in the middle of a transfer, and one on which the session is just being resumed.
"""
import pytest
from harness import misdeeds, servers, socks
from harness.chain import assert_serves
from harness.hostile_relay import DOWN, UP, HostileRelay
from harness.process import wait_until
from harness.transfer import MIB, download, sha256_of, upload, write_random
from harness.tunnel import start_client, start_exit

SIZE = 4 * MIB
MIDDLE = MIB
COMPLETE_WITHIN_SECONDS = 20  # a few attempts with their pauses; nothing here waits for a timeout
CODES = [1000, 1001, 1002, 1008, 1009, 1011, 1012, 4000, 4403, 4404, 4409, 4410, 4413]


@pytest.fixture(scope="module")
def source(web):
    """A file that is carried both ways, and its SHA-256."""
    path = web.root / "carried"
    return path, write_random(path, SIZE)


class Victims:
    """An exit and a client with a session through a hostile relay."""

    def __init__(self, directory, web, source, programs):
        self.directory = directory
        self._web = web
        self._source, self._digest = source
        self._programs = programs
        self.relay = HostileRelay()
        programs.append(self.relay)

    def start(self, *conducts):
        self.relay.conducts += conducts
        # A registration that ends at once is a failure, after which the next one waits longer.
        self.exit = self.keep(start_exit(self.directory, self.relay.url, "--reconnect-max", "1s"))
        self.client = self.start_client("client")

    def start_client(self, name):
        return self.keep(start_client(self.directory, self.exit.link(), name=name))

    def keep(self, program):
        self._programs.append(program)
        return program

    def begin(self, client, name=""):
        """Transfers both ways at once through one client."""
        return [self.keep(way(self.directory, client.proxy, self._web, self._source, name=name + way.__name__))
                for way in (download, upload)]

    def assert_right_bytes(self, transfers):
        """Complete, and until then never other bytes than the source's."""
        statuses = [transfer.finish(COMPLETE_WITHIN_SECONDS) for transfer in transfers]
        down, up = transfers
        got = down.result.read_bytes() if down.result.exists() else b""
        assert got == self._source.read_bytes()[:len(got)], "what arrived is what was sent"
        assert statuses == [0, 0], [transfer.stderr() for transfer in transfers]
        assert len(got) == SIZE
        assert sha256_of(up.result) == self._digest
        up.result.unlink()

    def assert_survive(self, lanes):
        """Both programs, with a session that works, after that many lanes."""
        assert self.client.alive() and self.exit.alive()
        assert len(self.relay.lanes) >= lanes, "the lane died and another one was made"
        assert_serves(self.client.proxy)
        assert self.relay.failures == []

    def carry(self):
        self.assert_right_bytes(self.begin(self.client))


@pytest.fixture
def victims(tmp_path, web, source, programs):
    return Victims(tmp_path, web, source, programs)


def cut_in_the_middle():
    """Ends a lane without a word, so that the next one is to resume its session."""
    return misdeeds.Misdeed(misdeeds.close({"client": None, "exit": None}), DOWN, after_bytes=MIDDLE)


@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("deed", misdeeds.RECORD_DEEDS)
def test_record_in_the_middle(victims, deed, direction):
    misdeed = misdeeds.Misdeed(misdeeds.RECORD_DEEDS[deed], direction, after_bytes=MIDDLE)
    victims.start(misdeed)
    victims.carry()
    assert misdeed.done
    victims.assert_survive(lanes=2)
    wait_until(lambda: victims.relay.lanes[0].over, 10, "the first lane is gone at both ends")


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("deed", ["drop", "repeat", "swap", "flip-middle", "truncate-by-one", "random"])
def test_record_of_a_lane_that_resumes(victims, deed, direction, number):
    """Message 0 is the handshake's, 1 holds HELLO or WELCOME."""
    misdeed = misdeeds.Misdeed(misdeeds.RECORD_DEEDS[deed], direction, number=number)
    victims.start(cut_in_the_middle(), misdeed)
    victims.carry()
    assert misdeed.done
    victims.assert_survive(lanes=3)


@pytest.mark.parametrize("half", ["both", "client", "exit"])
@pytest.mark.parametrize("code", CODES)
def test_close_in_the_middle(victims, code, half):
    misdeed = misdeeds.Misdeed(misdeeds.close(misdeeds.ends_with(code)[half]), DOWN, after_bytes=MIDDLE)
    victims.start(misdeed)
    victims.carry()
    assert misdeed.done
    victims.assert_survive(lanes=2)


@pytest.mark.parametrize("code", CODES)
def test_close_in_place_of_a_pair(victims, code):
    """After the first session none of them is the last word."""
    victims.start(cut_in_the_middle(), misdeeds.Refusal(code))
    victims.carry()
    assert not victims.relay.conducts, "the refusal was met"
    victims.assert_survive(lanes=2)


@pytest.mark.parametrize("code", CODES)
def test_close_of_a_lane_that_resumes(victims, code):
    misdeed = misdeeds.Misdeed(misdeeds.close(misdeeds.ends_with(code)["both"]), DOWN, number=1)
    victims.start(cut_in_the_middle(), misdeed)
    victims.carry()
    assert misdeed.done
    victims.assert_survive(lanes=3)


def test_close_of_the_control_socket(victims):
    """With each code: the exit registers again, its sessions do not notice, and new ones can begin."""
    victims.start()
    with servers.accepting() as server:
        with socks.connect(victims.client.proxy, "127.0.0.1", server.port) as near, server.next() as far:
            for count, code in enumerate([*CODES, None], start=2):
                victims.relay.close_controls(code)
                near.sendall(bytes([count]))
                assert socks.read_exactly(far, 1) == bytes([count])
                wait_until(lambda: victims.relay.registrations == count, 5, f"registered again after {code}")
    assert_serves(victims.start_client("late").proxy)
    assert len(victims.relay.lanes) == 2, "one for each client"


def test_different_keys_for_the_two_halves(victims):
    misdeed = misdeeds.DifferentKeys()
    victims.start(cut_in_the_middle(), misdeed)
    victims.carry()
    assert misdeed.done
    victims.assert_survive(lanes=3)


@pytest.mark.parametrize("deed", misdeeds.KEY_DEEDS)
def test_control_message_in_the_middle(victims, deed):
    misdeed = misdeeds.Misdeed(misdeeds.KEY_DEEDS[deed], DOWN, after_bytes=MIDDLE)
    victims.start(misdeed)
    victims.carry()
    assert misdeed.done
    victims.assert_survive(lanes=2)


@pytest.mark.parametrize("deed", [misdeeds.keys(1, 2, 3), misdeeds.keys(1), misdeeds.keys(1, halves=("exit", "client"))],
                         ids=["without-waiting", "one", "exit-first"])
def test_keys_that_may_be_followed(victims, deed):
    """Not to wait for the answers is against the rule, but an end need not notice: only the bytes count."""
    misdeed = misdeeds.Misdeed(deed, DOWN, after_bytes=MIDDLE)
    victims.start(misdeed)
    victims.carry()
    assert misdeed.done
    victims.assert_survive(lanes=1)


def test_rotation_as_often_as_the_rule_allows(victims):
    """The control of this file: an honest relay with hundreds of epochs, past 255, costs no lane."""
    rotating = misdeeds.Rotating()
    victims.start(rotating)
    victims.carry()
    assert rotating.epoch > 10
    with servers.accepting() as server:
        with socks.connect(victims.client.proxy, "127.0.0.1", server.port) as near, server.next() as far:
            for _ in range(1500):
                near.sendall(b"a")
                assert socks.read_exactly(far, 1) == b"a"
                far.sendall(b"b")
                assert socks.read_exactly(near, 1) == b"b"
    assert rotating.epoch > 300
    victims.carry()
    victims.assert_survive(lanes=1)
    assert len(victims.relay.lanes) == 1


@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("first", [0, 1], ids=["with-the-handshake", "records-only"])
def test_replay_of_a_whole_lane(victims, direction, first):
    victims.start(cut_in_the_middle())
    replay = misdeeds.Replay(victims.relay, direction, first)
    victims.relay.conducts.append(replay)
    victims.carry()
    assert replay.done
    victims.assert_survive(lanes=3)


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_two_pairs_are_mixed(victims, direction):
    """A record of each of two clients' lanes goes to the other client, or comes to the exit as the other's."""
    crossing = misdeeds.Crossing(direction, after_bytes=MIDDLE)
    victims.start(crossing, crossing)
    other = victims.start_client("other")
    transfers = [victims.begin(victims.client), victims.begin(other, "other-")]
    for both in transfers:
        victims.assert_right_bytes(both)
    assert crossing.done
    victims.assert_survive(lanes=4)
    assert_serves(other.proxy)
