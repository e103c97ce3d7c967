# SPDX-License-Identifier: MIT
"""Streams outlive their lane: transfers and an ssh session over relays that are killed, frozen and replaced. Nothing
is lost, nothing is doubled, and no application notices more than a pause."""
import string
import subprocess
import time

import pytest
from harness import servers, socks
from harness.chain import LOST, RESUMED, said
from harness.outages import pause
from harness.process import clean_environment, wait_until
from harness.ssh import SshServer
from harness.transfer import MIB, download, upload, write_random

KILL_EVERY_SECONDS = 2
# A PING is due after 10 s of silence while something is owed and has 5 s for its answer; looked at every second.
NOTICED_WITHIN_SECONDS = 17
# The longest pause between two attempts (15 s), an attempt at a relay that does not answer (10 s), the new lane.
BACK_WITHIN_SECONDS = 30


class Transfers:
    """The ways in `carry` (download, upload) at once, each paced so that it takes about `seconds`: curl takes what is
    there, some 10 MiB at once, and waits afterwards, so `seconds` and `rate` together have to be far above that."""

    def __init__(self, chain, web, seconds, carry=(download, upload), rate=MIB):
        self.source = web.root / f"{chain.directory.name}-source"
        self.digest = write_random(self.source, seconds * rate)
        self.processes = [way(chain.directory, chain.proxy, web, self.source, rate) for way in carry]

    def running(self):
        return all(process.alive() for process in self.processes)

    def assert_complete(self, seconds):
        for process in self.processes:
            process.assert_complete(self.digest, seconds)

    def close(self):
        for process in self.processes:
            process.kill()
            process.result.unlink(missing_ok=True)
        self.source.unlink()


@pytest.fixture
def new_transfers(web):
    made = []

    def make(chain, **options):
        made.append(Transfers(chain, web, **options))
        return made[-1]

    yield make
    for transfers in made:
        transfers.close()


@pytest.mark.load
@pytest.mark.timeout(300)
def test_transfer_through_relay_kills(new_chain, new_transfers, full):
    """Down and up at once, while the relay dies every 2 s."""
    kills = 50 if full else 15
    chain = new_chain()
    transfers = new_transfers(chain, seconds=kills * KILL_EVERY_SECONDS + 12, rate=2 * MIB)
    for _ in range(kills):
        pause(KILL_EVERY_SECONDS)
        assert transfers.running(), "the transfers span all kills"
        chain.relay.kill()
        chain.relay.start()
    transfers.assert_complete(120)
    assert said(chain.client, LOST) >= kills // 2, "the lane was there to be lost"
    chain.client.says(RESUMED, times=said(chain.client, LOST))
    assert said(chain.client, RESUMED) == said(chain.client, LOST)


@pytest.fixture(scope="module")
def sshd(workspace):
    server = SshServer(workspace)
    yield server
    server.close()


def type_slowly(terminal, text, every_seconds):
    for character in text:
        terminal.write(character.encode())
        terminal.flush()
        pause(every_seconds)


@pytest.mark.timeout(300)
def test_ssh_session_through_an_outage(new_chain, sshd, tmp_path, full):
    """What is typed before, during and after the outage reaches the far end once and in order, and is echoed so."""
    outage_seconds, every_seconds = (60, 1) if full else (10, 0.25)
    chain = new_chain()
    far_file = tmp_path / "typed"
    through = ["-o", "ProxyCommand=nc -X 5 -x {}:{} %h %p".format(*chain.proxy), "-o", "ConnectTimeout=20"]
    ssh = subprocess.Popen([*map(str, sshd.command(*through)), f"tee {far_file}"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
    letters = string.ascii_letters + string.digits
    before = letters[:5]
    during = "".join(letters[i % len(letters)] for i in range(int(outage_seconds / every_seconds)))
    after = letters[::-1][:10]
    try:
        type_slowly(ssh.stdin, before, every_seconds)
        wait_until(lambda: far_file.exists() and far_file.read_text() == before, 15, "what was typed arrives")
        chain.relay.kill()
        type_slowly(ssh.stdin, during, every_seconds)
        assert far_file.read_text() == before, "nothing arrives in an outage"
        chain.relay.start()
        type_slowly(ssh.stdin, after, every_seconds)
        wait_until(lambda: len(far_file.read_text()) >= len(before + during + after), BACK_WITHIN_SECONDS,
                   "all that was typed arrives")
        echoed, complaints = ssh.communicate(timeout=15)
    finally:
        ssh.kill()
        ssh.wait()
    assert far_file.read_text() == before + during + after
    assert echoed.decode() == before + during + after
    assert ssh.returncode == 0, complaints
    chain.client.says(RESUMED)
    assert said(chain.client, LOST) == 1 and said(chain.client, RESUMED) == 1


WAYS = {"down": (download,), "up": (upload,), "both": (download, upload)}


def frozen_since(chain, transfers):
    """Freezes the first relay in the middle of the transfers; when that was."""
    pause(3)
    assert transfers.running()
    chain.relay.freeze()
    return time.monotonic()


def assert_noticed(chain, began):
    chain.client.says(LOST, seconds=NOTICED_WITHIN_SECONDS - (time.monotonic() - began))


@pytest.mark.parametrize("ways", WAYS)
def test_black_hole_is_noticed_and_outlived(new_chain, new_transfers, full, ways):
    """The relay neither answers nor closes for a while; then it goes on."""
    frozen_seconds = 40 if full else 20
    chain = new_chain()
    # More than what may be on the near side of the relay already: a window of 12 MiB and the kernel's buffers.
    transfers = new_transfers(chain, seconds=frozen_seconds + 15, carry=WAYS[ways])
    began = frozen_since(chain, transfers)
    assert_noticed(chain, began)
    pause(max(0, began + frozen_seconds - time.monotonic()))
    assert transfers.running(), "they wait"
    chain.relay.thaw()
    transfers.assert_complete(BACK_WITHIN_SECONDS + frozen_seconds + 15)
    chain.client.says(RESUMED)


def test_black_hole_with_a_second_relay(new_chain, new_transfers):
    """The streams go on through the other relay of the link, while the first one stays frozen: long before its lane would
    be given up."""
    chain = new_chain(relays=2)
    assert len(chain.exit.link().hosts.split(",")) == 2
    transfers = new_transfers(chain, seconds=10, rate=3 * MIB)
    frozen_since(chain, transfers)
    chain.client.says("a lane that was silent is replaced", seconds=BACK_WITHIN_SECONDS)
    transfers.assert_complete(60)
    assert said(chain.client, LOST) == 0


def test_killed_relay_with_a_second_one(new_chain, new_transfers):
    """The same without the wait: a relay that is dead is known to be dead at once."""
    chain = new_chain(relays=2)
    transfers = new_transfers(chain, seconds=8, rate=3 * MIB)
    pause(3)
    chain.relay.kill()
    chain.client.says(RESUMED, seconds=5)
    transfers.assert_complete(60)


def test_connections_begun_in_an_outage_are_served_after_it(new_chain):
    """The proxy goes on accepting, and tells of the outage once, however many wait."""
    waiting, outage_seconds = 50, 3
    # With long pauses the exit may come back after the time that a connection waits.
    soon = "--reconnect-max", "1s"
    chain = new_chain(exit_options=soon, client_options=soon)
    chain.relay.kill()
    chain.client.says(LOST, seconds=5)
    with servers.accepting() as server:
        near = [socks.greet(chain.proxy) for _ in range(waiting)]
        for sock in near:
            sock.sendall(socks.request("127.0.0.1", server.port))
        pause(outage_seconds)
        assert server.none_accepted()
        chain.relay.start()
        for number, sock in enumerate(near):
            assert socks.read_reply(sock) == 0
            sock.sendall(bytes([number]))
        far = [server.next() for _ in range(waiting)]
        for sock in far:
            sock.sendall(socks.read_exactly(sock, 1))
        assert [socks.read_exactly(sock, 1) for sock in near] == [bytes([number]) for number in range(waiting)]
        for sock in (*near, *far):
            sock.close()
    chain.client.says(RESUMED)
    assert said(chain.client, LOST) == 1
    during = chain.client.stderr().split(LOST)[1].split(RESUMED)[0]
    assert len(during.splitlines()) < waiting / 2, f"lines of attempts, not of connections: {during}"
