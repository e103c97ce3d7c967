# SPDX-License-Identifier: MIT
"""Programs of this version and of an older one (scripts/build-old) meet, as PROTOCOL.md says under "Versions that may
meet": every mixture of client, exit and relay; and an exit's and a client's state goes to a newer version and back, and
nothing in it is lost."""
import itertools
import json

import pytest
from harness.chain import LOST, RESUMED, assert_serves
from harness.outages import MortalRelay, pause
from harness.process import run
from harness.transfer import MIB, download, upload, write_random
from harness.tunnel import RELAY, make_invite, start_client, start_exit
from harness.udp import Association, UdpServer
from harness.versions import VERSIONS, require_old
from harness.watching import UP, ask

REFUSED = 3
PATIENCE = 60
# In words, since that is what a failed test's name should say.
MIXTURES = [mixture for mixture in itertools.product(VERSIONS, repeat=3) if len(set(mixture)) == 2]


@pytest.fixture(autouse=True)
def old_is_built():
    require_old(RELAY)


def status_of(program, by):
    """What `status` of the version `by` reads from a running program."""
    asked = ask(program.state, "--json", program=VERSIONS[by].client)
    assert asked.returncode == UP, asked.stderr
    return json.loads(asked.stdout)


def assert_datagrams_come_back(proxy):
    with UdpServer() as echo, Association(proxy) as association:
        for size in (1, 1_200, 20_000):
            payload = bytes(size)
            assert association.ask_until_answered(*echo.address, payload) == (echo.address, payload)


def assert_a_revoked_guest_is_out(directory, exit_peer, exit_version, client_version, ca_file):
    program = VERSIONS[exit_version].client
    link = make_invite(exit_peer, "guest", "--devices", "1", "--quota", "1GB", program=program)
    guest = start_client(directory, link, ca_file=ca_file, name="guest", program=VERSIONS[client_version].client)
    try:
        assert_serves(guest.proxy)
        revoked = run([program, "revoke", "guest", "--state-dir", exit_peer.state])
        assert revoked.returncode == 0, revoked.stderr
        assert guest.wait(PATIENCE) == REFUSED
        assert "revoked" in guest.stderr()
    finally:
        guest.kill()


@pytest.mark.parametrize("client, exit_peer, relay", MIXTURES)
def test_every_mixture_works(client, exit_peer, relay, tmp_path, authority, programs, web):
    middle = MortalRelay(tmp_path, authority, program=VERSIONS[relay].relays[RELAY])
    programs.append(middle)
    far = start_exit(tmp_path, middle.url, ca_file=authority.ca_file, program=VERSIONS[exit_peer].client)
    programs.append(far)
    near = start_client(tmp_path, far.link(), "--lanes", "2", ca_file=authority.ca_file,
                        program=VERSIONS[client].client)
    programs.append(near)
    near.says("a lane joined the session", seconds=PATIENCE)
    assert_serves(near.proxy)
    assert_datagrams_come_back(near.proxy)

    source = web.root / "versions"
    digest = write_random(source, 18 * MIB)
    transfers = [way(tmp_path, near.proxy, web, source, 2 * MIB) for way in (download, upload)]
    pause(2)
    assert all(transfer.alive() for transfer in transfers), "they are under way"
    middle.kill()
    near.says(LOST, seconds=PATIENCE)
    middle.start()
    near.says(RESUMED, seconds=PATIENCE)
    for transfer in transfers:
        transfer.assert_complete(digest, PATIENCE)
    assert_datagrams_come_back(near.proxy)

    for by in VERSIONS:
        assert status_of(near, by)["client"]["session"]["lanes"]
        assert status_of(far, by)["exit"]["sessions"][0]["invite"] == "default"
    assert_a_revoked_guest_is_out(tmp_path, far, exit_peer, client, authority.ca_file)
    assert_serves(near.proxy)
    assert near.stop() == 0 and far.stop() == 0


TERMS = ("--deny", "198.51.100.0/24", "--allow", "203.0.113.7:443", "--max-streams", "9", "--stream-rate", "50",
         "--rate", "5MB", "--quota", "1GB", "--devices", "2", "--expires", "30d", "--allow-listen",
         "127.0.0.1:40000-40009")


class ExitState:
    """The files of one exit, used by one version after the other."""

    def __init__(self, path):
        self.path = path

    def read(self, name):
        return json.loads((self.path / name).read_text())

    def keys(self):
        return self.read("exit-identity.json"), self.read("relays.json")

    def invites(self):
        return {invite["name"]: invite for invite in self.read("invites.json")["invites"]}

    def used(self):
        return self.read("usage.json")["used"]


@pytest.mark.native_relay("it is about the state of the ends")
def test_an_exit_changes_its_version_and_goes_back(tmp_path, authority, programs):
    """Clients of both versions come back by themselves each time, as the devices that they were."""
    relay = MortalRelay(tmp_path, authority)
    programs.append(relay)
    state = ExitState(tmp_path / "exit-state")
    clients, keys, invites, used, running = {}, None, {}, {}, None
    for life, version in enumerate(("old", "new", "old", "new")):
        if running:
            assert running.stop() == 0
            used_before, used = used, state.used()
            assert all(used[each] >= used_before[each] for each in used_before) and len(used) == len(invites) - 1
        program = VERSIONS[version].client
        running = start_exit(tmp_path, relay.url, ca_file=authority.ca_file, state=state.path, name=f"exit{life}",
                             program=program)
        programs.append(running)
        keys = keys or state.keys()
        assert state.keys() == keys
        for client, began in clients.items():
            client.says("session with the exit is up", seconds=PATIENCE, times=1 + life - began)
            assert_serves(client.proxy)

        name = f"of-{life}-{version}"
        link = make_invite(running, name, *TERMS, program=program)
        for each in VERSIONS:
            client = start_client(tmp_path, link, ca_file=authority.ca_file, name=f"{name}-{each}",
                                  program=VERSIONS[each].client)
            programs.append(client)
            clients[client] = life
            assert_serves(client.proxy)
        now = state.invites()
        assert len(now[name]["devices"]) == 2 and len(now[name]["terms"]) == 7
        assert {each: now[each] for each in invites} == invites, f"nothing is lost where {version} writes it again"
        invites = now
        listed = run([program, "invites", "--state-dir", state.path])
        assert listed.returncode == 0 and all(each in listed.stdout for each in invites), listed.stderr


@pytest.mark.native_relay("it is about the state of the ends")
def test_a_client_stays_the_device_that_it_was(tmp_path, authority, programs):
    relay = MortalRelay(tmp_path, authority)
    exit_peer = start_exit(tmp_path, relay.url, ca_file=authority.ca_file)
    programs += [relay, exit_peer]
    link = make_invite(exit_peer, "one-device", "--devices", "1")
    for life, version in enumerate(("old", "new", "old", "new")):
        client = start_client(tmp_path, link, ca_file=authority.ca_file, name=f"client{life}",
                              state=tmp_path / "client-state", program=VERSIONS[version].client)
        programs.append(client)
        assert_serves(client.proxy)
        assert client.stop() == 0
    exit_peer.says("a session began", seconds=PATIENCE, times=4)
